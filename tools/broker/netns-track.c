/* SPDX-License-Identifier: MIT */
/*
 * The broker's view of namespaces: which of those that are served are gone, and, if all are
 * wanted, which are new. One is gone when it has neither process nor name. One that we never saw,
 * because we may not look at its processes, is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/internal.h"
#include "common/sys.h"
#include "common/text.h"

#define LOOK_MS  1000
#define AGAIN_MS 100 /* what is missing is looked for again, since processes come and go */
#define SOON_MS  20

/* A name appears a little before it is one of a namespace. */
static const int hurry_ms[] = { 300, 100, SOON_MS };

static bool is_wanted(const struct broker *broker)
{
	return broker->options->all_netns || broker->options->again ||
	       broker->track.watch_count > 0;
}

/* Looking takes no more than a tenth of our time, whatever happens to names. */
static void look_in(struct netns_track *track, int64_t now, int64_t ms)
{
	int64_t pause = 10 * track->took, due = now + ms, earliest;

	earliest = track->looked + (pause < LOOK_MS ? pause : LOOK_MS);
	if (due < earliest)
		due = earliest;
	if (track->due == 0 || due < track->due)
		track->due = due;
}

static void names_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct netns_track *track = &broker->track;

	(void)source;
	(void)events;
	netns_scan_drain(track->scan);
	track->hurry = sizeof(hurry_ms) / sizeof(hurry_ms[0]);
	if (is_wanted(broker))
		look_in(track, clock_ms(), SOON_MS);
}

/* What cannot be looked at is not taken for absent: it would be served. */
static int fail_excluded(struct broker *broker, const char *text, int err)
{
	broker_note(broker, "--exclude %s: cannot be looked at: %s", text, strerror(err));
	return -err;
}

/* Process ids are used again, and so mean the namespace that they are in now. */
static int init_excluded(struct broker *broker)
{
	const struct broker_options *options = broker->options;
	struct netns_track *track = &broker->track;

	track->excluded = calloc(options->excluded_count + 1, sizeof(*track->excluded));
	if (!track->excluded)
		return -ENOMEM;
	for (unsigned int i = 0; i < options->excluded_count; i++) {
		struct excluded *excluded = &track->excluded[i];
		const char *text = options->excluded[i];

		if (strcmp(text, "self") == 0) {
			excluded->inode = netns_scan_of_process(track->scan, (uint32_t)getpid());
			if (excluded->inode == 0)
				return fail_excluded(broker, text, errno);
			continue;
		}
		excluded->inode = netns_scan_of_text(track->scan, text);
		if (excluded->inode == 0 && !netns_scan_is_absent(errno))
			return fail_excluded(broker, text, errno);
		if (excluded->inode == 0)
			broker_note(broker, "--exclude %s: there is no such namespace now", text);
		if (excluded->inode == 0 || strchr(text, '/') ||
		    netns_scan_of_name(track->scan, text) == excluded->inode)
			excluded->text = text;
	}
	return 0;
}

static bool is_excluded(const struct broker *broker, uint64_t inode)
{
	for (unsigned int i = 0; i < broker->options->excluded_count; i++)
		if (broker->track.excluded[i].inode == inode)
			return true;
	return false;
}

static void look_at_excluded(struct broker *broker)
{
	struct netns_track *track = &broker->track;

	for (unsigned int i = 0; i < broker->options->excluded_count; i++) {
		struct excluded *excluded = &track->excluded[i];

		if (excluded->text) {
			uint64_t inode = netns_scan_of_text(track->scan, excluded->text);

			if (inode != 0 || netns_scan_is_absent(errno))
				excluded->inode = inode;
		} else if (netns_scan_sees_all(track->scan) &&
			   !netns_scan_has(track->scan, excluded->inode)) {
			excluded->inode = 0; /* the number may become that of another one */
		}
	}
}

int netns_track_init(struct broker *broker)
{
	struct netns_track *track = &broker->track;
	int err = netns_scan_new(&track->scan);

	if (err < 0)
		return err;
	track->names = (struct source){ names_ready, netns_scan_get_fd(track->scan) };
	if (track->names.fd >= 0)
		err = broker_add(broker, &track->names, EPOLLIN);
	track->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (err == 0 && track->home < 0)
		err = -errno;
	netns_scan_look_at(track->scan, broker->options->netns, broker->options->netns_count);
	if (err == 0)
		err = init_excluded(broker);
	if (broker->options->all_netns)
		look_in(track, clock_ms(), 0);
	return err;
}

/* Room for one more of @size bytes each. */
static int make_room(void **array, size_t count, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : 16;
	void *grown;

	if (count < *room)
		return 0;
	grown = realloc(*array, more * size);
	if (!grown)
		return -ENOMEM;
	*array = grown;
	*room = more;
	return 0;
}

/* ---- watched ones ---- */

static struct watch *find_watch(const struct netns_track *track, uint64_t id)
{
	for (size_t i = 0; i < track->watch_count; i++)
		if (track->watches[i].id == id)
			return &track->watches[i];
	return NULL;
}

static void unwatch(struct netns_track *track, struct watch *watch)
{
	*watch = track->watches[--track->watch_count];
}

static struct watch *add_watch(struct broker *broker, uint64_t id)
{
	struct netns_track *track = &broker->track;
	struct watch *watch = find_watch(track, id);

	if (watch)
		return watch;
	if (make_room((void **)&track->watches, track->watch_count, &track->watch_room,
		      sizeof(*watch)) < 0) {
		broker_note(broker, "no memory is left to watch a namespace");
		return NULL;
	}
	watch = &track->watches[track->watch_count++];
	*watch = (struct watch){ .id = id };
	return watch;
}

uint64_t netns_track_of_process(const struct broker *broker, uint32_t pid)
{
	return netns_scan_of_process(broker->track.scan, pid);
}

/* Whether it is gone. Asks for another look before it says so. @sure: it would be seen. */
static bool is_gone(struct netns_track *track, uint64_t inode, bool sure, bool *missed)
{
	bool before = *missed;

	*missed = !netns_scan_has(track->scan, inode);
	if (!*missed || !sure)
		return false;
	if (!before)
		look_in(track, clock_ms(), AGAIN_MS);
	return before;
}

static void check_watches(struct broker *broker)
{
	struct netns_track *track = &broker->track;
	size_t i = 0;

	while (i < track->watch_count) {
		struct watch *watch = &track->watches[i];
		bool sure = watch->seen || (!watch->hidden && netns_scan_sees_all(track->scan));

		if (watch->inode != 0 && is_gone(track, watch->inode, sure, &watch->missed)) {
			broker_detach(broker, watch->id);
			unwatch(track, watch);
		} else {
			watch->seen |= !watch->missed;
			i++;
		}
	}
}

/* ---- found ones ---- */

static struct found *find_found(const struct netns_track *track, uint64_t id)
{
	for (size_t i = 0; i < track->found_count; i++)
		if (track->found[i].id == id)
			return &track->found[i];
	return NULL;
}

/* They stay in order. */
static void check_found(struct broker *broker)
{
	struct netns_track *track = &broker->track;
	size_t i, left = 0;

	for (i = 0; i < track->found_count; i++) {
		struct found *found = &track->found[i];

		if (!is_gone(track, found->inode, true, &found->missed) &&
		    !is_excluded(broker, found->inode) && !found->lost)
			track->found[left++] = *found;
		else if (!found->refused)
			broker_detach(broker, found->id);
	}
	track->found_count = left;
}

/* A socket of the namespace, or a negative errno. It is the whole broker that goes there. */
static int open_socket(const struct netns_track *track, uint64_t inode)
{
	int fd, err, netns = netns_scan_open(track->scan, inode);

	if (netns < 0)
		return netns;
	err = setns(netns, CLONE_NEWNET) < 0 ? -errno : 0;
	close(netns);
	if (err < 0)
		return err;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	err = fd < 0 ? -errno : fd;
	/* In there we would keep it alive, and see it alive. */
	if (setns(track->home, CLONE_NEWNET) < 0)
		_exit(EXIT_FAILURE);
	return err;
}

static void netns_track_offer(struct broker *broker, struct found *found)
{
	struct ipc_msg message = { .type = IPC_ATTACH, .id = found->id, .inode = found->inode };
	int err, fd = open_socket(&broker->track, found->inode);

	err = fd < 0 ? fd : broker_send(broker, &message, fd);
	found->refused = err < 0;
	found->lost = err == -ENOENT;
	broker->track.entered |= err == 0;
	if (err == 0 || err == -ENOENT)
		return;
	broker->refused++;
	if (err == -EPERM)
		broker->track.forbidden++;
	else
		broker_note(broker, "cannot enter the namespace net:[%llu]: %s",
			    (unsigned long long)found->inode, strerror(-err));
}

/* Who has no right over one has none over many: a line for all of them. */
static void tell_forbidden(struct broker *broker)
{
	struct netns_track *track = &broker->track;

	if (track->forbidden == 0)
		return;
	if (track->entered || broker->options->again || broker->options->listener_count > 0)
		broker_note(broker, "no right to enter %u %s (CAP_SYS_ADMIN)", track->forbidden,
			    plural(track->forbidden, "namespace", "namespaces"));
	else
		broker_give_up(broker, -EPERM,
			       "no right to enter any namespace (CAP_SYS_ADMIN): run as root");
	track->forbidden = 0;
}

/* Inserts what is new. Both lists ascend, so @at is where the previous one was. */
static struct found *insert(struct broker *broker, uint64_t inode, size_t *at)
{
	struct netns_track *track = &broker->track;
	struct found *found;

	while (*at < track->found_count && track->found[*at].inode < inode)
		++*at;
	if (*at < track->found_count && track->found[*at].inode == inode)
		return NULL;
	if (make_room((void **)&track->found, track->found_count, &track->found_room,
		      sizeof(*found)) < 0)
		return NULL;
	found = &track->found[*at];
	memmove(found + 1, found, (track->found_count++ - *at) * sizeof(*found));
	*found = (struct found){ .inode = inode, .id = broker_new_id(broker) };
	return found;
}

/* As long as the server reads; the next look goes on. */
static void offer_new(struct broker *broker)
{
	size_t i, at = 0, count;
	const uint64_t *inodes = netns_scan_get(broker->track.scan, &count);

	for (i = 0; i < count && broker->unsent_count == 0; i++) {
		struct found *found =
			is_excluded(broker, inodes[i]) ? NULL : insert(broker, inodes[i], &at);

		if (found)
			netns_track_offer(broker, found);
	}
	if (i < count)
		look_in(&broker->track, clock_ms(), AGAIN_MS);
	else
		tell_forbidden(broker);
}

static bool is_watched(const struct netns_track *track, uint64_t inode)
{
	for (size_t i = 0; i < track->watch_count; i++)
		if (track->watches[i].inode == inode)
			return true;
	return false;
}

/* The server opened what these names led to at first; they may lead to another one by now. */
static void offer_again(struct broker *broker)
{
	struct netns_track *track = &broker->track;

	for (unsigned int i = 0; i < broker->options->netns_count; i++) {
		uint64_t inode = netns_scan_of_name(track->scan, broker->options->netns[i]);
		struct found *found = NULL;
		size_t at = 0;

		if (inode != 0 && netns_scan_has(track->scan, inode) && !is_watched(track, inode))
			found = insert(broker, inode, &at);
		if (found)
			netns_track_offer(broker, found);
	}
	tell_forbidden(broker);
}

/* ---- looking ---- */

static void look(struct broker *broker)
{
	struct netns_track *track = &broker->track;
	int64_t before = clock_ms();

	track->due = 0;
	look_in(track, before, track->hurry ? hurry_ms[--track->hurry] : LOOK_MS);
	/* After a failure, as without memory, nobody knows; the next one may succeed. */
	if (netns_scan_scan(track->scan) == 0) {
		look_at_excluded(broker);
		check_watches(broker);
		check_found(broker);
		if (broker->options->all_netns)
			offer_new(broker);
		else if (broker->options->again)
			offer_again(broker);
	}
	track->looked = clock_ms();
	track->took = track->looked - before;
}

int64_t netns_track_tend(struct broker *broker, int64_t now)
{
	struct netns_track *track = &broker->track;

	if (!is_wanted(broker)) {
		if (track->due != 0)
			netns_scan_rest(track->scan);
		track->due = 0;
		return 0;
	}
	if (now >= track->due)
		look(broker);
	return track->due;
}

/* ---- messages of the server ---- */

void netns_track_expect(struct broker *broker, uint64_t id, uint64_t seen)
{
	struct watch *watch = add_watch(broker, id);

	if (watch)
		watch->expected = seen;
}

/*
 * It may be gone before we look for the first time, and then we never learn that we could have seen
 * it. So what was seen before counts, and otherwise the look does not wait.
 */
void netns_track_watch(struct broker *broker, const struct ipc_msg *message, uint64_t seen)
{
	struct netns_track *track = &broker->track;
	struct watch *watch = message->inode ? add_watch(broker, message->id) : NULL;

	if (!watch)
		return;
	watch->inode = message->inode;
	watch->missed = false;
	watch->hidden = message->flags & IPC_HIDDEN;
	watch->seen = message->flags & IPC_SEEN || seen == watch->inode ||
		      netns_scan_has(track->scan, watch->inode);
	if (watch->seen)
		look_in(track, clock_ms(), LOOK_MS);
	else
		look(broker);
}

void netns_track_answer(struct broker *broker, const struct ipc_msg *message)
{
	struct watch *watch = find_watch(&broker->track, message->id);
	struct found *found = find_found(&broker->track, message->id);

	if (found)
		found->refused = message->error < 0;
	if (watch && message->error < 0) {
		unwatch(&broker->track, watch);
		broker->refused++; /* its client did not wait for the answer */
	} else if (watch) {
		netns_track_watch(broker, message, watch->expected);
	}
}

/* What the server gave up is not offered again before it is gone. */
void netns_track_forget(struct broker *broker, uint64_t id)
{
	struct watch *watch = find_watch(&broker->track, id);
	struct found *found = find_found(&broker->track, id);
	size_t at = 0;

	if (watch && (broker->options->all_netns || broker->options->again))
		found = insert(broker, watch->inode, &at);
	if (watch)
		unwatch(&broker->track, watch);
	if (found)
		found->refused = true;
}
