/* SPDX-License-Identifier: MIT */
/* Namespaces that are not wanted: what the names, paths and process ids of --exclude lead to. */
#include "broker/netns-exclude.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sys.h"

struct excluded {
	const char *text; /* NULL: of a process id, which meant the namespace of the start */
	uint64_t inode;   /* 0: there is none now */
};

struct netns_exclude {
	unsigned int count;
	struct excluded entries[];
};

/* What cannot be looked at is not taken for absent: it would be served. */
static int fail_excluded(struct outbox *outbox, const char *text, int err)
{
	outbox_note(outbox, "--exclude %s: cannot be looked at: %s", text, strerror(err));
	return -err;
}

static int init_entry(struct excluded *entry, const struct netns_scan *scan,
		      struct outbox *outbox, const char *text)
{
	bool self = strcmp(text, "self") == 0;
	uint64_t named;

	entry->inode = self ? netns_scan_of_process(scan, (uint32_t)getpid())
			    : netns_scan_of_text(scan, text);
	if (entry->inode == 0 && (self || !netns_scan_is_absent(errno)))
		return fail_excluded(outbox, text, errno);
	if (entry->inode == 0)
		outbox_note(outbox, "--exclude %s: there is no such namespace now", text);
	if (self)
		return 0;
	/* Process ids are used again, names and paths are looked up again. */
	named = netns_scan_of_name(scan, text);
	if (named == 0 && is_transient(errno))
		return fail_excluded(outbox, text, errno);
	if (entry->inode == 0 || strchr(text, '/') || named == entry->inode)
		entry->text = text;
	return 0;
}

int netns_exclude_new(struct netns_exclude **ret, const struct netns_scan *scan,
		      struct outbox *outbox, const char *const *texts, unsigned int count)
{
	struct netns_exclude *exclude =
		calloc(1, sizeof(*exclude) + count * sizeof(exclude->entries[0]));
	int err = 0;

	if (!exclude)
		return -ENOMEM;
	*ret = exclude;
	exclude->count = count;
	for (unsigned int i = 0; i < count && err == 0; i++)
		err = init_entry(&exclude->entries[i], scan, outbox, texts[i]);
	return err;
}

void netns_exclude_update(struct netns_exclude *exclude, const struct netns_scan *scan)
{
	for (unsigned int i = 0; i < exclude->count; i++) {
		struct excluded *entry = &exclude->entries[i];

		if (entry->text) {
			uint64_t inode = netns_scan_of_text(scan, entry->text);

			if (inode != 0 || netns_scan_is_absent(errno))
				entry->inode = inode;
		} else if (netns_scan_sees_all(scan) && !netns_scan_has(scan, entry->inode)) {
			entry->inode = 0; /* the number may become that of another one */
		}
	}
}

bool netns_exclude_has(const struct netns_exclude *exclude, uint64_t inode)
{
	for (unsigned int i = 0; i < exclude->count; i++)
		if (exclude->entries[i].inode == inode)
			return true;
	return false;
}
