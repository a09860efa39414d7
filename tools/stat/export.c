/* SPDX-License-Identifier: MIT */
/* A reading for programs: JSON (RFC 8259), and the text format of Prometheus. */
#include "stat/export.h"

#include <inttypes.h>
#include <string.h>

#include "common/text.h"
#include "print/writer.h"

static const char *get_copy_mode(const struct row *row)
{
	static const char *const modes[] = { [MNFQ_COPY_DEFAULT] = "unknown",
					     [MNFQ_COPY_META] = "meta",
					     [MNFQ_COPY_PACKET] = "packet",
					     [MNFQ_COPY_NONE] = "none" };

	return modes[row->queue.copy_mode];
}

/* ---- JSON ------------------------------------------------------------------------------- */

/* Rounded. */
static void put_rate(struct writer *w, const char *key, const struct reading *reading,
		     uint32_t now, uint32_t before)
{
	put_number(w, key, NULL, (uint64_t)(reading_rate(reading, now, before) + 0.5));
}

static void put_row(struct writer *w, const struct reading *reading, const struct row *row)
{
	const struct mnfq_kernel_queue *now = &row->queue, *before = &row->before;

	put_name(w, "netns", NULL, row->netns, strlen(row->netns));
	put_number(w, "queue", NULL, now->num);
	put_number(w, "portid", NULL, now->portid);
	if (row->pid) {
		put_number(w, "pid", NULL, (uint64_t)row->pid);
		put_name(w, "command", NULL, row->command, strlen(row->command));
	}
	put_number(w, "waiting", NULL, now->waiting);
	if (row->limit)
		put_number(w, "limit", NULL, row->limit);
	put_text(w, "copy_mode", NULL, get_copy_mode(row));
	put_number(w, "copy_range", NULL, now->copy_range);
	put_number(w, "dropped_full", NULL, now->queue_dropped);
	put_number(w, "dropped_socket", NULL, now->user_dropped);
	put_number(w, "packets", NULL, now->last_id);
	if (!row->compared || !reading->elapsed_ms)
		return;
	put_rate(w, "packets_per_second", reading, now->last_id, before->last_id);
	put_rate(w, "dropped_full_per_second", reading, now->queue_dropped,
		 before->queue_dropped);
	put_rate(w, "dropped_socket_per_second", reading, now->user_dropped,
		 before->user_dropped);
}

void export_json(FILE *out, const struct reading *reading, bool watched)
{
	struct writer w = { .out = out, .json = true };

	flockfile(out);
	for (size_t i = 0; i < reading->count; i++) {
		begin_line(&w);
		if (watched)
			put_seconds(&w, "time", reading->time_us);
		put_row(&w, reading, &reading->rows[i]);
		end_line(&w);
	}
	funlockfile(out);
}

/* ---- Prometheus ------------------------------------------------------------------------- */

/* Printable ASCII; of that, quotes and backslashes need one more backslash. */
static void put_label(FILE *out, const char *name, const char *value)
{
	char clean[4 * PLACE_NAME_SIZE];

	fprintf(out, "%s=\"", name);
	for (const char *at = clean_text(clean, sizeof(clean), value); *at; at++) {
		if (*at == '"' || *at == '\\')
			putc('\\', out);
		putc(*at, out);
	}
	putc('"', out);
}

/* Before what else is in the braces. */
static void begin_sample(FILE *out, const char *metric, const struct row *row)
{
	fprintf(out, "%s{", metric);
	put_label(out, "netns", row->netns);
	fprintf(out, ",queue=\"%u\"", row->queue.num);
}

static void put_info(FILE *out, const struct row *row)
{
	begin_sample(out, "nfqueue_info", row);
	fprintf(out, ",portid=\"%" PRIu32 "\"", row->queue.portid);
	if (row->pid) {
		fprintf(out, ",pid=\"%d\",", row->pid);
		put_label(out, "command", row->command);
	}
	fprintf(out, ",copy_mode=\"%s\"} 1\n", get_copy_mode(row));
}

#define FIELD(name) offsetof(struct mnfq_kernel_queue, name)

static const struct {
	const char *name, *type, *help;
	size_t offset;
} metrics[] = {
	{ "nfqueue_packets_waiting", "gauge", "Packets in the queue that have no verdict yet.",
	  FIELD(waiting) },
	{ "nfqueue_packets_total", "counter",
	  "Packets that entered the queue since it was bound; wraps at 2^32.", FIELD(last_id) },
	{ "nfqueue_dropped_full_packets_total", "counter",
	  "Packets dropped because the queue was full; wraps at 2^32.", FIELD(queue_dropped) },
	{ "nfqueue_dropped_socket_packets_total", "counter",
	  "Packets dropped because the receive buffer of the owner's socket was full; wraps at 2^32.",
	  FIELD(user_dropped) },
	{ "nfqueue_copy_range_bytes", "gauge",
	  "How many bytes of a packet are copied to the owner.", FIELD(copy_range) },
};

static void put_heading(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void export_prometheus(FILE *out, const struct reading *reading)
{
	const struct row *end = reading->rows + reading->count;
	uint32_t value;

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
		put_heading(out, metrics[i].name, metrics[i].type, metrics[i].help);
		for (const struct row *row = reading->rows; row < end; row++) {
			memcpy(&value, (const char *)&row->queue + metrics[i].offset,
			       sizeof(value));
			begin_sample(out, metrics[i].name, row);
			fprintf(out, "} %" PRIu32 "\n", value);
		}
	}
	put_heading(out, "nfqueue_info", "gauge",
		    "Always 1. Who owns the queue, and what is copied of a packet.");
	for (const struct row *row = reading->rows; row < end; row++)
		put_info(out, row);
}
