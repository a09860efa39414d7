/* SPDX-License-Identifier: MIT */
/*
 * Namespaces of which the broker keeps track: when it scans, those that it found and offered, and messages
 * of the server on both kinds.
 */
#include "broker/netns-track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "broker/netns-enter.h"
#include "broker/netns-exclude.h"
#include "broker/netns-scan.h"
#include "broker/netns-watch.h"
#include "common/sys.h"
#include "common/text.h"

#define SCAN_MS  1000
#define AGAIN_MS 100 /* what is missing is looked for again, since processes come and go */
#define SOON_MS  20

/* A name appears a little before it is one of a namespace. The last entry comes first. */
static const int rescan_ms[] = { 300, 100, SOON_MS };

/* A namespace that was found, and offered to the server. */
struct found {
	uint64_t inode;
	uint64_t id;
	bool refused; /* not to be offered again before it is gone */
	bool lost;    /* the process that led there had ended: another one may */
	bool missed;
};

struct netns_track {
	struct loop *loop;
	struct outbox *outbox;
	const struct broker_options *options;
	struct netns_scan *scan;
	struct netns_exclude *exclude;
	struct event_source names; /* changes under /run/netns */
	int home;                  /* our own namespace */
	struct netns_watches watches;
	struct found *found; /* ascending by inode */
	size_t found_count, found_room;
	int64_t due, scanned;      /* the next and the last scan, in ms; due 0: none */
	int64_t took;              /* the last scan */
	unsigned int rescan_burst; /* scans that are still to follow a change of names closely */
	bool entered;              /* at least one that was found */
	unsigned int forbidden;    /* by the last scan: we may not enter them */
	uint32_t refused;
};

static bool is_wanted(const struct netns_track *track)
{
	return track->options->all_netns || track->options->again || track->watches.count > 0;
}

/* Scanning takes no more than a tenth of our time, whatever happens to names. */
static void scan_in(struct netns_track *track, int64_t now, int64_t ms)
{
	int64_t pause = 10 * track->took, due = now + ms, earliest;

	earliest = track->scanned + (pause < SCAN_MS ? pause : SCAN_MS);
	if (due < earliest)
		due = earliest;
	if (track->due == 0 || due < track->due)
		track->due = due;
}

static void names_ready(struct event_source *source, uint32_t events)
{
	struct netns_track *track = source->owner;

	(void)events;
	netns_scan_drain(track->scan);
	track->rescan_burst = sizeof(rescan_ms) / sizeof(rescan_ms[0]);
	if (is_wanted(track))
		scan_in(track, clock_ms(), SOON_MS);
}

static int netns_track_set_up(struct netns_track *track)
{
	const struct broker_options *options = track->options;
	int err = netns_scan_new(&track->scan);

	if (err < 0)
		return err;
	track->names =
		(struct event_source){ names_ready, track, netns_scan_get_fd(track->scan) };
	if (track->names.fd >= 0)
		err = loop_add(track->loop, &track->names, EPOLLIN);
	track->home = netns_enter_open_home();
	if (err == 0 && track->home < 0)
		err = track->home;
	netns_scan_look_at(track->scan, options->netns, options->netns_count);
	if (err == 0)
		err = netns_exclude_new(&track->exclude, track->scan, track->outbox,
					options->excluded, options->excluded_count);
	if (options->all_netns)
		scan_in(track, clock_ms(), 0);
	return err;
}

int netns_track_new(struct netns_track **ret, struct loop *loop, struct outbox *outbox,
		    const struct broker_options *options)
{
	struct netns_track *track = calloc(1, sizeof(*track));

	if (!track)
		return -ENOMEM;
	*ret = track;
	track->loop = loop;
	track->outbox = outbox;
	track->options = options;
	return netns_track_set_up(track);
}

uint64_t netns_track_of_process(const struct netns_track *track, uint32_t pid)
{
	return netns_scan_of_process(track->scan, pid);
}

uint32_t netns_track_count_refused(const struct netns_track *track)
{
	return track->refused;
}

/* ---- found ones ---- */

static struct found *find_found(const struct netns_track *track, uint64_t id)
{
	for (size_t i = 0; i < track->found_count; i++)
		if (track->found[i].id == id)
			return &track->found[i];
	return NULL;
}

/* Keeps their order. Returns whether to scan again soon. */
static bool check_found(struct netns_track *track)
{
	size_t i, left = 0;
	bool again = false;

	for (i = 0; i < track->found_count; i++) {
		struct found *found = &track->found[i];

		if (!netns_is_gone(track->scan, found->inode, &found->missed, &again) &&
		    !netns_exclude_has(track->exclude, found->inode) && !found->lost)
			track->found[left++] = *found;
		else if (!found->refused)
			outbox_detach(track->outbox, found->id);
	}
	track->found_count = left;
	return again;
}

static int grow_found(struct netns_track *track)
{
	size_t room = track->found_room ? 2 * track->found_room : 16;
	struct found *found = realloc(track->found, room * sizeof(*found));

	if (!found)
		return -ENOMEM;
	track->found = found;
	track->found_room = room;
	return 0;
}

/* Inserts it if it is new. Lists of inodes ascend, so @at is where the previous one was. */
static struct found *insert_found(struct netns_track *track, uint64_t inode, size_t *at)
{
	struct found *found;

	while (*at < track->found_count && track->found[*at].inode < inode)
		++*at;
	if (*at < track->found_count && track->found[*at].inode == inode)
		return NULL;
	if (track->found_count == track->found_room && grow_found(track) < 0)
		return NULL;
	found = &track->found[*at];
	memmove(found + 1, found, (track->found_count++ - *at) * sizeof(*found));
	*found = (struct found){ .inode = inode, .id = outbox_new_id(track->outbox) };
	return found;
}

static int open_socket(const struct netns_track *track, uint64_t inode)
{
	int fd, netns = netns_scan_open(track->scan, inode);

	if (netns < 0)
		return netns;
	fd = netns_enter_open_socket(netns, track->home);
	close(netns);
	return fd;
}

static void offer_found(struct netns_track *track, struct found *found)
{
	struct ipc_msg message = { .type = IPC_ATTACH, .id = found->id, .inode = found->inode };
	int err, fd = open_socket(track, found->inode);

	err = fd < 0 ? fd : outbox_send(track->outbox, &message, fd);
	found->refused = err < 0;
	found->lost = err == -ENOENT;
	track->entered |= err == 0;
	if (err == 0 || err == -ENOENT)
		return;
	track->refused++;
	if (err == -EPERM)
		track->forbidden++;
	else
		outbox_note(track->outbox, "cannot enter the namespace net:[%llu]: %s",
			    (unsigned long long)found->inode, strerror(-err));
}

/* One line for all of them: without the right over one there is none over many. */
static void report_forbidden(struct netns_track *track)
{
	const struct broker_options *options = track->options;

	if (track->forbidden == 0)
		return;
	if (track->entered || options->again || options->listener_count > 0)
		outbox_note(track->outbox, "no right to enter %u %s (CAP_SYS_ADMIN)",
			    track->forbidden,
			    plural(track->forbidden, "namespace", "namespaces"));
	else
		outbox_give_up(track->outbox, -EPERM,
			       "no right to enter any namespace (CAP_SYS_ADMIN): run as root");
	track->forbidden = 0;
}

/* As long as the server reads; the next scan goes on. */
static void offer_new(struct netns_track *track)
{
	size_t i, at = 0, count;
	const uint64_t *inodes = netns_scan_get(track->scan, &count);

	for (i = 0; i < count && outbox_count(track->outbox) == 0; i++) {
		struct found *found = NULL;

		if (!netns_exclude_has(track->exclude, inodes[i]))
			found = insert_found(track, inodes[i], &at);
		if (found)
			offer_found(track, found);
	}
	if (i < count)
		scan_in(track, clock_ms(), AGAIN_MS);
	else
		report_forbidden(track);
}

/* The server opened what these names led to at first; they may lead to another one by now. */
static void offer_again(struct netns_track *track)
{
	for (unsigned int i = 0; i < track->options->netns_count; i++) {
		uint64_t inode = netns_scan_of_name(track->scan, track->options->netns[i]);
		struct found *found = NULL;
		size_t at = 0;

		if (inode != 0 && netns_scan_has(track->scan, inode) &&
		    !netns_watches_have(&track->watches, inode))
			found = insert_found(track, inode, &at);
		if (found)
			offer_found(track, found);
	}
	report_forbidden(track);
}

/* ---- scanning ---- */

static void scan_now(struct netns_track *track)
{
	int64_t before = clock_ms();

	track->due = 0;
	scan_in(track, before, track->rescan_burst ? rescan_ms[--track->rescan_burst] : SCAN_MS);
	/* After a failure, such as no memory, nothing is known; the next one may succeed. */
	if (netns_scan_scan(track->scan) == 0) {
		bool again = netns_watches_check(&track->watches, track->scan, track->outbox);

		netns_exclude_update(track->exclude, track->scan);
		again |= check_found(track);
		if (again)
			scan_in(track, clock_ms(), AGAIN_MS);
		if (track->options->all_netns)
			offer_new(track);
		else if (track->options->again)
			offer_again(track);
	}
	track->scanned = clock_ms();
	track->took = track->scanned - before;
}

int64_t netns_track_run_timers(struct netns_track *track, int64_t now)
{
	if (!is_wanted(track)) {
		if (track->due != 0)
			netns_scan_pause(track->scan);
		track->due = 0;
		return 0;
	}
	if (now >= track->due)
		scan_now(track);
	return track->due;
}

/* ---- messages of the server ---- */

void netns_track_expect(struct netns_track *track, uint64_t id, uint64_t seen)
{
	struct netns_watch *watch = netns_watches_add(&track->watches, id, track->outbox);

	if (watch)
		watch->expected = seen;
}

/*
 * The namespace may be gone before the first scan, which then does not show whether it could have been
 * seen. So it counts where the client was seen before; otherwise the scan does not wait.
 */
void netns_track_watch(struct netns_track *track, const struct ipc_msg *answer, uint64_t seen)
{
	struct netns_watch *watch;

	if (answer->inode == 0)
		return;
	watch = netns_watches_add(&track->watches, answer->id, track->outbox);
	if (!watch)
		return;
	watch->inode = answer->inode;
	watch->missed = false;
	watch->hidden = answer->flags & IPC_HIDDEN;
	watch->seen = answer->flags & IPC_SEEN || seen == watch->inode ||
		      netns_scan_has(track->scan, watch->inode);
	if (watch->seen)
		scan_in(track, clock_ms(), SCAN_MS);
	else
		scan_now(track);
}

/* This broker may have offered it anew, which the server refuses as served already. */
void netns_track_take_over(struct netns_track *track, const struct ipc_msg *answer)
{
	struct found *found;
	size_t at = 0;

	found = insert_found(track, answer->inode, &at);
	if (!found && at < track->found_count && track->found[at].inode == answer->inode)
		found = &track->found[at];
	if (!found) { /* no memory */
		outbox_detach(track->outbox, answer->id);
		return;
	}
	found->id = answer->id;
	found->refused = found->lost = false;
	scan_in(track, clock_ms(), SCAN_MS);
}

void netns_track_answer(struct netns_track *track, const struct ipc_msg *answer)
{
	struct netns_watch *watch = netns_watches_find(&track->watches, answer->id);
	struct found *found = find_found(track, answer->id);

	if (found)
		found->refused = answer->error < 0;
	if (watch && answer->error < 0) {
		netns_watches_remove(&track->watches, watch);
		track->refused++; /* its client did not wait for the answer */
	} else if (watch) {
		netns_track_watch(track, answer, watch->expected);
	}
}

/* What the server gave up is not offered again before it is gone. */
void netns_track_forget(struct netns_track *track, uint64_t id)
{
	struct netns_watch *watch = netns_watches_find(&track->watches, id);
	struct found *found = find_found(track, id);
	size_t at = 0;

	if (watch && (track->options->all_netns || track->options->again))
		found = insert_found(track, watch->inode, &at);
	if (watch)
		netns_watches_remove(&track->watches, watch);
	if (found)
		found->refused = true;
}
