/* SPDX-License-Identifier: MIT */
/* Conclusions about what queues that are bound have lost. */
#include <inttypes.h>
#include <string.h>

#include "common/text.h"
#include "doctor/words.h"

/* What a packet of 1,500 bytes takes of a receive buffer, and how many wait in a queue unless it is told otherwise. */
#define MESSAGE_SIZE 2304u
#define LENGTH       1024u

/* How many of a counter, and whether some of them are new. */
struct loss {
	uint32_t total, new;
};

static struct loss get_loss(const struct row *row, uint32_t now, uint32_t before)
{
	return (struct loss){ now, row->compared ? now - before : 0 };
}

/* What was dropped because the queue was full took no number. */
static double count_come(const struct sight *sight, const struct row *row)
{
	return reading_rate(&sight->queues, row->queue.last_id, row->before.last_id) +
	       reading_rate(&sight->queues, row->queue.queue_dropped, row->before.queue_dropped);
}

static struct finding *add_loss(struct findings *findings, const struct row *row,
				const char *name, struct loss loss, const char *why)
{
	char new[64] = "since it was bound, none of them just now";

	if (loss.new > 0)
		snprintf(new, sizeof(new), "%u of them just now", loss.new);
	return finding_cause(findings_add(findings, loss.new > 0 ? LEVEL_ERROR : LEVEL_WARNING,
					  name, row->queue.num),
			     "queue %u has lost %u %s, %s: %s", row->queue.num, loss.total,
			     plural(loss.total, "packet", "packets"), new, why);
}

/* ---- a program that is too slow --------------------------------------------------------- */

/* @what: of the kernel is full; @more: the option that makes it larger, as others call it and mnfq dump does. */
static void report_slow(const struct sight *sight, const struct row *row, const char *name,
			struct loss loss, const char *what, const char *more,
			struct findings *findings)
{
	char why[WORDS_SIZE], owner[WORDS_SIZE];

	snprintf(why, sizeof(why),
		 "%s is full, as %.200s decides %.0f packets a second, and %.0f come", what,
		 format_owner(owner, row),
		 reading_rate(&sight->queues, sight_count_decided(row), 0),
		 count_come(sight, row));
	finding_remedy(
		add_loss(findings, row, name, loss, why),
		"a rule that matches less; or several queues, each with a program "
		"(--queue-balance); or a faster program: smaller copies of packets (mnfq dump: "
		"--copy packet:128), verdicts in batches; or let pass what does not fit (mnfq "
		"dump: --fail-open); or against short bursts only: %s",
		more);
}

static void report_once(const struct row *row, const char *name, struct loss loss,
			const char *what, const char *more, struct findings *findings)
{
	char why[WORDS_SIZE];

	snprintf(why, sizeof(why),
		 "%s was full, as packets came faster than they were decided, or its program was "
		 "stopped for a while",
		 what);
	finding_remedy(
		add_loss(findings, row, name, loss, why),
		"if that comes again: %s; or let pass what does not fit (mnfq dump: "
		"--fail-open); the counter begins anew once the program binds the queue again",
		more);
}

/* ---- the queue -------------------------------------------------------------------------- */

/* What gets in takes a number. Of a length that was set to 0 later this says nothing. */
static void report_no_length(const struct row *row, struct loss loss, struct findings *findings)
{
	struct finding *finding =
		add_loss(findings, row, "queue-full", loss, "its length is 0, so none gets in");

	if (finding)
		finding->level = LEVEL_ERROR;
	finding_remedy(
		finding,
		"have its program set a length (NFQA_CFG_QUEUE_MAXLEN; mnfq dump: --max-len "
		"1024)");
}

static void check_full(const struct sight *sight, const struct row *row, bool at_rest,
		       struct findings *findings)
{
	static const char more[] =
		"a longer queue (NFQA_CFG_QUEUE_MAXLEN; mnfq dump: --max-len 8192)";
	const struct loss loss =
		get_loss(row, row->queue.queue_dropped, row->before.queue_dropped);

	if (loss.total == 0)
		return;
	if (row->queue.last_id == 0)
		report_no_length(row, loss, findings);
	else if (at_rest)
		finding_remedy(
			add_loss(findings, row, "queue-full", loss,
				 "it was full, and at present nothing of it is decided"),
			"first have its program decide packets, see the other finding of queue %u",
			row->queue.num);
	else if (loss.new > 0)
		report_slow(sight, row, "queue-full", loss, "it", more, findings);
	else
		report_once(row, "queue-full", loss, "it", more, findings);
}

/* ---- the socket ------------------------------------------------------------------------- */

static void check_buffer(const struct sight *sight, const struct row *row,
			 struct findings *findings)
{
	static const char what[] = "the receive buffer of its program",
			  more[] = "a larger buffer (SO_RCVBUFFORCE; mnfq dump: --receive-buffer "
				   "134217728)";
	const struct loss loss = get_loss(row, row->queue.user_dropped, row->before.user_dropped);
	const uint64_t need = (uint64_t)LENGTH * MESSAGE_SIZE;

	if (loss.total == 0)
		return;
	if (loss.new > 0)
		report_slow(sight, row, "buffer-full", loss, what, more, findings);
	else
		report_once(row, "buffer-full", loss, what, more, findings);
	if (sight->rmem_max == 0 || sight->rmem_max >= need)
		return;
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_WARNING, "rmem-max", row->queue.num),
			"net.core.rmem_max is %" PRIu64 " bytes, about %" PRIu64
			" packets of 1500 bytes, while a queue holds %u: a program "
			"without rights over the initial namespace gets no larger receive buffer",
			sight->rmem_max, sight->rmem_max / MESSAGE_SIZE, LENGTH),
		"sysctl -w net.core.rmem_max=8388608, and start the program anew");
}

/* Beyond packets: a socket loses acknowledgements as well. Its queues share the counter. */
static void check_socket(const struct sight *sight, const struct row *row,
			 struct findings *findings)
{
	uint64_t packets = 0;
	char owner[WORDS_SIZE];

	if (row->socket_drops <= row->queue.user_dropped)
		return;
	for (size_t i = 0; i < sight->queues.count; i++) {
		const struct row *other = &sight->queues.rows[i];

		if (other->queue.portid != row->queue.portid)
			continue;
		if (other < row)
			return; /* it is told of the first one */
		packets += other->queue.user_dropped;
	}
	if (row->socket_drops <= packets)
		return;
	finding_remedy(
		finding_cause(
			findings_add(findings, LEVEL_WARNING, "socket-losses", row->queue.num),
			"the socket of %.200s, which owns queue %u, has lost %" PRIu64
			" messages of the kernel besides packets of its queues (/proc/net/netlink): "
			"answers to its requests, or packets of queues it had before",
			format_owner(owner, row), row->queue.num, row->socket_drops - packets),
		"restart it with a larger receive buffer (SO_RCVBUFFORCE; mnfq dump: --receive-buffer "
		"134217728)");
}

void check_losses(const struct sight *sight, const struct row *row, bool at_rest,
		  struct findings *findings)
{
	check_full(sight, row, at_rest, findings);
	check_buffer(sight, row, findings);
	check_socket(sight, row, findings);
}
