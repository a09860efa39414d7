/* SPDX-License-Identifier: MIT */
/* Writing a capture. A thread of its own writes, so that the disk delays no packet. */
#include "capture/capture.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "capture/pcapng-write.h"

#define CAPTURE_BUFFER (4u << 20)
#define TABLE_SIZE     1024u
#define NAMED_MAX      4096u /* with names: each file begins with all, and each takes memory */

struct capture_interface {
	struct capture_interface *next; /* of those with the same hash */
	struct capture_interface *newer;
	struct record_interface public;
	uint32_t id;
	uint32_t unreported; /* packets that are missing in front of the next one */
	struct pcapng_counts counts;
};

struct capture {
	struct capture_options options;
	struct files files;
	struct output *out;
	atomic_bool failed;

	pthread_mutex_t lock;
	/* With the lock: */
	struct capture_interface *table[TABLE_SIZE];
	struct capture_interface *oldest, **newest;
	struct capture_interface *unwritten; /* those of drops alone, by .newer */
	uint32_t unwritten_count;
	uint32_t count;
	unsigned int seed; /* of the table: names are those of others */
	uint64_t
		unbuffered; /* packets that are missing, besides those that the output has dropped */
	uint8_t bytes[2 * PCAPNG_BLOCK_MAX]; /* an interface and a packet */
};

static int64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- interfaces --------------------------------------------------------------------------- */

static unsigned int add_to_hash(unsigned int hash, const char *text)
{
	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619u;
	return hash;
}

static struct capture_interface **place_of(struct capture *capture,
					   const struct record_interface *interface)
{
	unsigned int hash = add_to_hash(capture->seed, interface->name);

	hash = add_to_hash(hash, interface->netns);
	hash = add_to_hash(hash, interface->label) ^ interface->link_type;
	return &capture->table[(hash ^ hash >> 16) % TABLE_SIZE];
}

static bool is_same_interface(const struct record_interface *a, const struct record_interface *b)
{
	return a->link_type == b->link_type && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->netns, b->netns) == 0 && strcmp(a->label, b->label) == 0;
}

static struct capture_interface *find_interface(struct capture *capture,
						const struct record_interface *interface)
{
	struct capture_interface *each = *place_of(capture, interface);

	while (each && !is_same_interface(&each->public, interface))
		each = each->next;
	return each;
}

/* Once its block is written. */
static void append_interface(struct capture *capture, struct capture_interface *interface)
{
	struct capture_interface **place = place_of(capture, &interface->public);

	interface->next = *place;
	*place = interface;
	*capture->newest = interface;
	capture->newest = &interface->newer;
	capture->count++;
}

/* A new one is added once its block is written. NULL without memory. */
static struct capture_interface *make_interface(const struct capture *capture,
						const struct record_interface *public)
{
	struct capture_interface *interface = calloc(1, sizeof(*interface));

	if (!interface)
		return NULL;
	interface->public = *public;
	interface->id = capture->count;
	interface->counts.start = now_usec();
	return interface;
}

/* The one of a packet. Those that are too many share one without a name. NULL without memory. */
static struct capture_interface *
get_interface(struct capture *capture, const struct record_interface *public, bool *is_new)
{
	const struct record_interface nameless = { .link_type = public->link_type };
	struct capture_interface *interface = find_interface(capture, public);

	if (!interface && capture->count >= NAMED_MAX) {
		public = &nameless;
		interface = find_interface(capture, public);
	}
	*is_new = !interface;
	return interface ? interface : make_interface(capture, public);
}

/* ---- packets ------------------------------------------------------------------------------ */

/* With the lock. */
static void write_record(struct capture *capture, const struct record *record,
			 const struct record_interface *public)
{
	bool is_new;
	struct capture_interface *interface = get_interface(capture, public, &is_new);
	struct record with_drops = *record;
	size_t len = 0;

	if (!interface) {
		capture->unbuffered++;
		return;
	}
	if (is_new)
		len = pcapng_write_interface(capture->bytes, &interface->public,
					     capture->options.snap);
	with_drops.dropped += interface->unreported;
	len += pcapng_write_packet(capture->bytes + len, interface->id, &with_drops,
				   capture->options.snap);
	if (!output_put(capture->out, capture->bytes, len, false)) {
		if (is_new) { /* the next packet brings it */
			free(interface);
			return;
		}
		interface->counts.matched++;
		interface->counts.missing++;
		interface->unreported++;
		return;
	}
	if (is_new)
		append_interface(capture, interface);
	interface->unreported = 0;
	interface->counts.matched++;
	interface->counts.written++;
}

void capture_write(struct capture *capture, const struct record *record,
		   const struct record_interface *interface)
{
	pthread_mutex_lock(&capture->lock);
	if (atomic_load(&capture->failed))
		capture->unbuffered++;
	else
		write_record(capture, record, interface);
	pthread_mutex_unlock(&capture->lock);
}

uint64_t capture_missing(struct capture *capture)
{
	uint64_t missing;

	pthread_mutex_lock(&capture->lock);
	missing = capture->unbuffered;
	pthread_mutex_unlock(&capture->lock);
	return missing + output_dropped(capture->out);
}

/* ---- statistics --------------------------------------------------------------------------- */

static struct capture_interface *find_in_netns(struct capture_interface *each,
					       const struct record_interface *nameless)
{
	while (each && (strcmp(each->public.netns, nameless->netns) != 0 ||
			strcmp(each->public.label, nameless->label) != 0))
		each = each->newer;
	return each;
}

/* Its block is written at the end: now that could take long. Those that are too many share one. NULL without memory. */
static struct capture_interface *get_unwritten(struct capture *capture,
					       struct record_interface *nameless)
{
	struct capture_interface *interface;

	if (capture->unwritten_count >= NAMED_MAX)
		*nameless = (struct record_interface){ .link_type = nameless->link_type };
	interface = find_in_netns(capture->unwritten, nameless);
	if (interface)
		return interface;
	interface = make_interface(capture, nameless);
	if (!interface)
		return NULL;
	interface->newer = capture->unwritten;
	capture->unwritten = interface;
	capture->unwritten_count++;
	return interface;
}

/* The kernel counts by queue: they count for the first interface of the namespace. */
void capture_add_drops(struct capture *capture, const char *netns, const char *label,
		       uint64_t count)
{
	struct record_interface nameless = { .link_type = LINK_RAW };
	struct capture_interface *interface;

	if (!count || count == MNFQ_UNKNOWN || atomic_load(&capture->failed))
		return;
	strncpy(nameless.netns, netns ? netns : "", sizeof(nameless.netns) - 1);
	strncpy(nameless.label, label ? label : "", sizeof(nameless.label) - 1);
	pthread_mutex_lock(&capture->lock);
	interface = find_in_netns(capture->oldest, &nameless);
	if (!interface)
		interface = get_unwritten(capture, &nameless);
	if (interface)
		interface->counts.dropped += count;
	pthread_mutex_unlock(&capture->lock);
}

/* In the end: a packet may have brought an interface of its namespace since. */
static void write_unwritten(struct capture *capture, const struct capture_interface *unwritten)
{
	struct capture_interface *interface = find_in_netns(capture->oldest, &unwritten->public);
	bool is_new = false;
	size_t len;

	if (!interface)
		interface = get_interface(capture, &unwritten->public, &is_new);
	if (!interface)
		return;
	if (is_new) {
		len = pcapng_write_interface(capture->bytes, &interface->public,
					     capture->options.snap);
		if (!output_put(capture->out, capture->bytes, len, true)) {
			free(interface);
			return;
		}
		append_interface(capture, interface);
	}
	interface->counts.dropped += unwritten->counts.dropped;
}

static void write_statistics(struct capture *capture)
{
	size_t len;

	for (struct capture_interface *each = capture->unwritten; each; each = each->newer)
		write_unwritten(capture, each);
	for (struct capture_interface *each = capture->oldest; each; each = each->newer) {
		each->counts.end = now_usec();
		if (!capture->options.filtered)
			each->counts.received = each->counts.matched + each->counts.dropped;
		len = pcapng_write_statistics(capture->bytes, each->id, &each->counts);
		(void)output_put(capture->out, capture->bytes, len, true);
	}
}

/* ---- the whole ---------------------------------------------------------------------------- */

/* What was buffered then is missing, too. */
static void on_failure(void *data, int error)
{
	struct capture *capture = data;

	atomic_store(&capture->failed, true);
	if (capture->options.failed)
		capture->options.failed(capture->options.data, error);
}

struct capture *capture_open(const struct capture_options *options, char *error,
			     size_t error_size)
{
	struct capture *capture = calloc(1, sizeof(*capture));
	struct output_options output = { .size = CAPTURE_BUFFER,
					 .when_blocked = options->when_blocked,
					 .next = files_next,
					 .count = files_count,
					 .whole = files_whole };
	size_t len;

	if (!capture) {
		snprintf(error, error_size, "out of memory");
		return NULL;
	}
	capture->options = *options;
	capture->newest = &capture->oldest;
	(void)!getrandom(&capture->seed, sizeof(capture->seed), GRND_NONBLOCK);
	pthread_mutex_init(&capture->lock, NULL);
	if (files_open(&capture->files, &options->files, error, error_size) < 0) {
		capture_free(capture);
		return NULL;
	}
	output.data = &capture->files;
	capture->out = output_new(&output);
	if (!capture->out) {
		snprintf(error, error_size, "out of memory");
		capture_free(capture);
		return NULL;
	}
	output_on_error(capture->out, on_failure, capture);
	len = pcapng_write_section(capture->bytes);
	(void)output_put(capture->out, capture->bytes, len, false);
	return capture;
}

/* Readers of a pipe wait for the beginning. */
int capture_start(struct capture *capture)
{
	const int err = output_start(capture->out);

	output_flush(capture->out);
	return err;
}

void capture_flush(struct capture *capture)
{
	output_flush(capture->out);
}

void capture_give_up(struct capture *capture)
{
	output_give_up(capture->out);
}

int capture_finish(struct capture *capture, const char **name)
{
	int error, err;

	pthread_mutex_lock(&capture->lock);
	if (!atomic_load(&capture->failed))
		write_statistics(capture);
	pthread_mutex_unlock(&capture->lock);
	output_finish(capture->out);
	error = output_error(capture->out);
	err = files_close(&capture->files);
	*name = capture->files.name;
	return error ? error : -err;
}

const char *capture_name(const struct capture *capture)
{
	return capture->files.name;
}

static void free_interfaces(struct capture_interface *interface)
{
	struct capture_interface *next;

	for (; interface; interface = next) {
		next = interface->newer;
		free(interface);
	}
}

void capture_free(struct capture *capture)
{
	if (!capture)
		return;
	free_interfaces(capture->oldest);
	free_interfaces(capture->unwritten);
	output_free(capture->out);
	(void)files_close(&capture->files);
	pthread_mutex_destroy(&capture->lock);
	free(capture);
}
