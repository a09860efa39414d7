/* SPDX-License-Identifier: MIT */
/*
 * The porter's view of namespaces: which of those that are served are gone, and, if all are
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

static bool is_wanted(const struct porter *porter)
{
	return porter->options->all_netns || porter->options->again ||
	       porter->spaces.watch_count > 0;
}

/* Looking takes no more than a tenth of our time, whatever happens to names. */
static void look_in(struct spaces *spaces, int64_t now, int64_t ms)
{
	int64_t pause = 10 * spaces->took, due = now + ms, earliest;

	earliest = spaces->looked + (pause < LOOK_MS ? pause : LOOK_MS);
	if (due < earliest)
		due = earliest;
	if (spaces->due == 0 || due < spaces->due)
		spaces->due = due;
}

static void names_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct spaces *spaces = &porter->spaces;

	(void)source;
	(void)events;
	finder_drain(spaces->finder);
	spaces->hurry = sizeof(hurry_ms) / sizeof(hurry_ms[0]);
	if (is_wanted(porter))
		look_in(spaces, clock_ms(), SOON_MS);
}

/* What cannot be looked at is not taken for absent: it would be served. */
static int fail_excluded(struct porter *porter, const char *text, int err)
{
	porter_note(porter, "--exclude %s: cannot be looked at: %s", text, strerror(err));
	return -err;
}

/* Process ids are used again, and so mean the namespace that they are in now. */
static int init_excluded(struct porter *porter)
{
	const struct porter_options *options = porter->options;
	struct spaces *spaces = &porter->spaces;

	spaces->excluded = calloc(options->excluded_count + 1, sizeof(*spaces->excluded));
	if (!spaces->excluded)
		return -ENOMEM;
	for (unsigned int i = 0; i < options->excluded_count; i++) {
		struct excluded *excluded = &spaces->excluded[i];
		const char *text = options->excluded[i];

		if (strcmp(text, "self") == 0) {
			excluded->inode = finder_of_process(spaces->finder, (uint32_t)getpid());
			if (excluded->inode == 0)
				return fail_excluded(porter, text, errno);
			continue;
		}
		excluded->inode = finder_of_text(spaces->finder, text);
		if (excluded->inode == 0 && !finder_is_absent(errno))
			return fail_excluded(porter, text, errno);
		if (excluded->inode == 0)
			porter_note(porter, "--exclude %s: there is no such namespace now", text);
		if (excluded->inode == 0 || strchr(text, '/') ||
		    finder_of_name(spaces->finder, text) == excluded->inode)
			excluded->text = text;
	}
	return 0;
}

static bool is_excluded(const struct porter *porter, uint64_t inode)
{
	for (unsigned int i = 0; i < porter->options->excluded_count; i++)
		if (porter->spaces.excluded[i].inode == inode)
			return true;
	return false;
}

static void look_at_excluded(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;

	for (unsigned int i = 0; i < porter->options->excluded_count; i++) {
		struct excluded *excluded = &spaces->excluded[i];

		if (excluded->text) {
			uint64_t inode = finder_of_text(spaces->finder, excluded->text);

			if (inode != 0 || finder_is_absent(errno))
				excluded->inode = inode;
		} else if (finder_sees_all(spaces->finder) &&
			   !finder_has(spaces->finder, excluded->inode)) {
			excluded->inode = 0; /* the number may become that of another one */
		}
	}
}

int spaces_init(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;
	int err = finder_new(&spaces->finder);

	if (err < 0)
		return err;
	spaces->names = (struct source){ names_ready, finder_get_fd(spaces->finder) };
	if (spaces->names.fd >= 0)
		err = porter_add(porter, &spaces->names, EPOLLIN);
	spaces->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (err == 0 && spaces->home < 0)
		err = -errno;
	finder_look_at(spaces->finder, porter->options->netns, porter->options->netns_count);
	if (err == 0)
		err = init_excluded(porter);
	if (porter->options->all_netns)
		look_in(spaces, clock_ms(), 0);
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

static struct watch *find_watch(const struct spaces *spaces, uint32_t id)
{
	for (size_t i = 0; i < spaces->watch_count; i++)
		if (spaces->watches[i].id == id)
			return &spaces->watches[i];
	return NULL;
}

static void unwatch(struct spaces *spaces, struct watch *watch)
{
	*watch = spaces->watches[--spaces->watch_count];
}

static struct watch *add_watch(struct porter *porter, uint32_t id)
{
	struct spaces *spaces = &porter->spaces;
	struct watch *watch = find_watch(spaces, id);

	if (watch)
		return watch;
	if (make_room((void **)&spaces->watches, spaces->watch_count, &spaces->watch_room,
		      sizeof(*watch)) < 0) {
		porter_note(porter, "no memory is left to watch a namespace");
		return NULL;
	}
	watch = &spaces->watches[spaces->watch_count++];
	*watch = (struct watch){ .id = id };
	return watch;
}

uint64_t spaces_of_process(const struct porter *porter, uint32_t pid)
{
	return finder_of_process(porter->spaces.finder, pid);
}

void spaces_expect(struct porter *porter, uint32_t id, uint64_t seen)
{
	struct watch *watch = add_watch(porter, id);

	if (!watch)
		return;
	watch->expected = seen;
	watch->seen |= watch->inode != 0 && watch->inode == seen;
}

/*
 * It may be gone before we look for the first time, and then we never learn that we could have seen
 * it. So what was seen before counts, and otherwise the look does not wait.
 */
void spaces_watch(struct porter *porter, const struct link_message *message)
{
	struct spaces *spaces = &porter->spaces;
	struct watch *watch = add_watch(porter, message->id);

	if (!watch)
		return;
	watch->inode = message->inode;
	watch->missed = false;
	watch->hidden = message->flags & LINK_HIDDEN;
	watch->seen = message->flags & LINK_SEEN || watch->expected == watch->inode ||
		      finder_has(spaces->finder, watch->inode);
	if (watch->seen)
		look_in(spaces, clock_ms(), LOOK_MS);
	else
		spaces->due = clock_ms();
}

/* Whether it is gone. Asks for another look before it says so. @sure: it would be seen. */
static bool is_gone(struct spaces *spaces, uint64_t inode, bool sure, bool *missed)
{
	bool before = *missed;

	*missed = !finder_has(spaces->finder, inode);
	if (!*missed || !sure)
		return false;
	if (!before)
		look_in(spaces, clock_ms(), AGAIN_MS);
	return before;
}

static void check_watches(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;
	size_t i = 0;

	while (i < spaces->watch_count) {
		struct watch *watch = &spaces->watches[i];
		bool sure = watch->seen || (!watch->hidden && finder_sees_all(spaces->finder));

		if (watch->inode != 0 && is_gone(spaces, watch->inode, sure, &watch->missed)) {
			porter_detach(porter, watch->id);
			unwatch(spaces, watch);
		} else {
			watch->seen |= !watch->missed;
			i++;
		}
	}
}

/* ---- found ones ---- */

static struct found *find_found(const struct spaces *spaces, uint32_t id)
{
	for (size_t i = 0; i < spaces->found_count; i++)
		if (spaces->found[i].id == id)
			return &spaces->found[i];
	return NULL;
}

/* They stay in order. */
static void check_found(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;
	size_t i, left = 0;

	for (i = 0; i < spaces->found_count; i++) {
		struct found *found = &spaces->found[i];

		if (!is_gone(spaces, found->inode, true, &found->missed) &&
		    !is_excluded(porter, found->inode) && !found->lost)
			spaces->found[left++] = *found;
		else if (!found->refused)
			porter_detach(porter, found->id);
	}
	spaces->found_count = left;
}

/* A socket of the namespace, or a negative errno. It is the whole porter that goes there. */
static int open_socket(const struct spaces *spaces, uint64_t inode)
{
	int fd, err, netns = finder_open(spaces->finder, inode);

	if (netns < 0)
		return netns;
	err = setns(netns, CLONE_NEWNET) < 0 ? -errno : 0;
	close(netns);
	if (err < 0)
		return err;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	err = fd < 0 ? -errno : fd;
	/* In there we would keep it alive, and see it alive. */
	if (setns(spaces->home, CLONE_NEWNET) < 0)
		_exit(EXIT_FAILURE);
	return err;
}

static void spaces_offer(struct porter *porter, struct found *found)
{
	struct link_message message = { .type = LINK_ATTACH,
					.id = found->id,
					.inode = found->inode };
	int err, fd = open_socket(&porter->spaces, found->inode);

	err = fd < 0 ? fd : porter_send(porter, &message, fd);
	found->refused = err < 0;
	found->lost = err == -ENOENT;
	porter->spaces.entered |= err == 0;
	if (err == 0 || err == -ENOENT)
		return;
	porter->refused++;
	if (err == -EPERM)
		porter->spaces.forbidden++;
	else
		porter_note(porter, "cannot enter the namespace net:[%llu]: %s",
			    (unsigned long long)found->inode, strerror(-err));
}

/* Who has no right over one has none over many: a line for all of them. */
static void tell_forbidden(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;

	if (spaces->forbidden == 0)
		return;
	if (spaces->entered || porter->options->again || porter->options->listener_count > 0)
		porter_note(porter, "no right to enter %u %s (CAP_SYS_ADMIN)", spaces->forbidden,
			    plural(spaces->forbidden, "namespace", "namespaces"));
	else
		porter_give_up(porter, -EPERM,
			       "no right to enter any namespace (CAP_SYS_ADMIN): run as root");
	spaces->forbidden = 0;
}

/* Inserts what is new. Both lists ascend, so @at is where the previous one was. */
static struct found *insert(struct porter *porter, uint64_t inode, size_t *at)
{
	struct spaces *spaces = &porter->spaces;
	struct found *found;

	while (*at < spaces->found_count && spaces->found[*at].inode < inode)
		++*at;
	if (*at < spaces->found_count && spaces->found[*at].inode == inode)
		return NULL;
	if (make_room((void **)&spaces->found, spaces->found_count, &spaces->found_room,
		      sizeof(*found)) < 0)
		return NULL;
	found = &spaces->found[*at];
	memmove(found + 1, found, (spaces->found_count++ - *at) * sizeof(*found));
	/* An id is looked for in the list, where this one must not be yet. */
	*found = (struct found){ .inode = inode };
	found->id = porter_new_id(porter);
	return found;
}

/* As long as the server reads; the next look goes on. */
static void offer_new(struct porter *porter)
{
	size_t i, at = 0, count;
	const uint64_t *inodes = finder_get(porter->spaces.finder, &count);

	for (i = 0; i < count && porter->unsent_count == 0; i++) {
		struct found *found =
			is_excluded(porter, inodes[i]) ? NULL : insert(porter, inodes[i], &at);

		if (found)
			spaces_offer(porter, found);
	}
	if (i < count)
		look_in(&porter->spaces, clock_ms(), AGAIN_MS);
	else
		tell_forbidden(porter);
}

static bool is_watched(const struct spaces *spaces, uint64_t inode)
{
	for (size_t i = 0; i < spaces->watch_count; i++)
		if (spaces->watches[i].inode == inode)
			return true;
	return false;
}

/* The server opened what these names led to at first; they may lead to another one by now. */
static void offer_again(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;

	for (unsigned int i = 0; i < porter->options->netns_count; i++) {
		uint64_t inode = finder_of_name(spaces->finder, porter->options->netns[i]);
		struct found *found = NULL;
		size_t at = 0;

		if (inode != 0 && finder_has(spaces->finder, inode) && !is_watched(spaces, inode))
			found = insert(porter, inode, &at);
		if (found)
			spaces_offer(porter, found);
	}
	tell_forbidden(porter);
}

/* ---- what the server says ---- */

bool spaces_have(const struct porter *porter, uint32_t id)
{
	return find_watch(&porter->spaces, id) || find_found(&porter->spaces, id);
}

bool spaces_answer(struct porter *porter, const struct link_message *message)
{
	struct watch *watch = find_watch(&porter->spaces, message->id);
	struct found *found = find_found(&porter->spaces, message->id);

	if (found)
		found->refused = message->error < 0;
	if (watch && message->error < 0) {
		unwatch(&porter->spaces, watch);
		porter->refused++; /* its peer did not wait to hear that */
	}
	return watch || found;
}

/* What the server gave up is not offered again before it is gone. */
bool spaces_forget(struct porter *porter, uint32_t id)
{
	struct watch *watch = find_watch(&porter->spaces, id);
	struct found *found = find_found(&porter->spaces, id);
	bool known = watch || found;
	size_t at = 0;

	if (watch && (porter->options->all_netns || porter->options->again))
		found = insert(porter, watch->inode, &at);
	if (watch)
		unwatch(&porter->spaces, watch);
	if (found)
		found->refused = true;
	return known;
}

/* ---- time ---- */

static void look(struct porter *porter)
{
	struct spaces *spaces = &porter->spaces;
	int64_t before = clock_ms();

	spaces->due = 0;
	look_in(spaces, before, spaces->hurry ? hurry_ms[--spaces->hurry] : LOOK_MS);
	/* After a failure, as without memory, nobody knows; the next one may succeed. */
	if (finder_scan(spaces->finder) == 0) {
		look_at_excluded(porter);
		check_watches(porter);
		check_found(porter);
		if (porter->options->all_netns)
			offer_new(porter);
		else if (porter->options->again)
			offer_again(porter);
	}
	spaces->looked = clock_ms();
	spaces->took = spaces->looked - before;
}

int64_t spaces_tend(struct porter *porter, int64_t now)
{
	struct spaces *spaces = &porter->spaces;

	if (!is_wanted(porter)) {
		if (spaces->due != 0)
			finder_rest(spaces->finder);
		spaces->due = 0;
		return 0;
	}
	if (now >= spaces->due)
		look(porter);
	return spaces->due;
}
