/* SPDX-License-Identifier: MIT */
/* Namespaces that the broker watches for the server. */
#include "broker/netns-watch.h"

#include <stdlib.h>

struct netns_watch *netns_watches_find(const struct netns_watches *watches, uint64_t id)
{
	for (size_t i = 0; i < watches->count; i++)
		if (watches->list[i].id == id)
			return &watches->list[i];
	return NULL;
}

void netns_watches_remove(struct netns_watches *watches, struct netns_watch *watch)
{
	*watch = watches->list[--watches->count];
}

static bool grow_watches(struct netns_watches *watches)
{
	size_t room = watches->room ? 2 * watches->room : 16;
	struct netns_watch *list = realloc(watches->list, room * sizeof(*list));

	if (!list)
		return false;
	watches->list = list;
	watches->room = room;
	return true;
}

struct netns_watch *netns_watches_add(struct netns_watches *watches, uint64_t id,
				      struct outbox *outbox)
{
	struct netns_watch *watch = netns_watches_find(watches, id);

	if (watch)
		return watch;
	if (watches->count == watches->room && !grow_watches(watches)) {
		outbox_note(outbox, "no memory is left to watch a namespace");
		return NULL;
	}
	watch = &watches->list[watches->count++];
	*watch = (struct netns_watch){ .id = id };
	return watch;
}

bool netns_watches_have(const struct netns_watches *watches, uint64_t inode)
{
	for (size_t i = 0; i < watches->count; i++)
		if (watches->list[i].inode == inode)
			return true;
	return false;
}

/* Processes come and go while a scan goes on, so it may miss a namespace. */
bool netns_is_gone(const struct netns_scan *scan, uint64_t inode, bool *missed, bool *again)
{
	const bool before = *missed;

	*missed = !netns_scan_has(scan, inode);
	*again |= *missed && !before;
	return *missed && before;
}

bool netns_watches_check(struct netns_watches *watches, const struct netns_scan *scan,
			 struct outbox *outbox)
{
	bool again = false;
	size_t i = 0;

	while (i < watches->count) {
		struct netns_watch *watch = &watches->list[i];
		/* If it was there, would the scan have seen it? */
		bool visible = watch->seen || (!watch->hidden && netns_scan_sees_all(scan));
		bool unused = false;

		if (watch->inode != 0 &&
		    netns_is_gone(scan, watch->inode, &watch->missed,
				  visible ? &again : &unused) &&
		    visible) {
			outbox_detach(outbox, watch->id);
			netns_watches_remove(watches, watch);
		} else {
			watch->seen |= !watch->missed;
			i++;
		}
	}
	return again;
}
