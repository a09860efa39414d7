/* SPDX-License-Identifier: MIT */
/* mnfq dump: a socket with its queues, from opening it to its final counters. */
#include "dump/handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/sys.h"
#include "common/text.h"
#include "common/unix-socket.h"
#include "print/print.h"

#define RECEIVE_MS     5000 /* a sharing process sends a socket at once */
#define SLOW_UNBIND_MS 20   /* of a single queue */

/* ---- packets ---------------------------------------------------------------------------- */

/* Returns whether more packets are to come. */
static bool show_packet(struct dump_handle *handle, const struct mnfq_packet *packet,
			enum mnfq_verdict verdict)
{
	struct dump *dump = handle->dump;
	struct line line = line_of(packet);

	line.netns = handle->netns[0] ? handle->netns : NULL;
	line.label = handle->label[0] ? handle->label : NULL;
	line.show_netns = dump->multi && !dump->single_netns;
	line.verdict = dump->opts->packets.verdict_text;
	return packets_show(&dump->packets, &line, &verdict);
}

static enum mnfq_verdict decide_packet(struct mnfq_packet *packet, void *data)
{
	struct dump_handle *handle = data;
	struct packets *packets = &handle->dump->packets;
	enum mnfq_verdict verdict;

	if (packets_decide(packets, packet, &handle->counts, &verdict) &&
	    packets_are_shown(packets) && !show_packet(handle, packet, verdict))
		dump_stop(handle->dump);
	return verdict;
}

/* One flush per batch: lines appear at once, but a packet does not cost a write. */
int handle_dispatch(struct dump_handle *handle)
{
	struct packets *packets = &handle->dump->packets;
	int handled = packets_are_shown(packets) ? mnfq_socket_dispatch(handle->sock, 0) : 0;

	if (handled != 0)
		return handled;
	packets_flush(packets);
	return mnfq_socket_dispatch(handle->sock, -1);
}

/* ---- opening ---------------------------------------------------------------------------- */

/* From a process inside, see mnfq-share(1). */
static int receive_socket(struct dump_handle *handle, const char *path,
			  struct mnfq_socket_options *options)
{
	struct mnfq_handover_options handover = { .size = sizeof(handover),
						  .error = options->error,
						  .error_size = options->error_size };
	struct mnfq_handover info = MNFQ_INIT(info);
	int stream, fd, err;

	stream = unix_connect(path, options->error, options->error_size);
	if (stream < 0)
		return stream;
	if (handle->dump->opts->lend_rights)
		options->flags |= MNFQ_SOCKET_LEND;
	err = mnfq_handover_receive(&fd, stream, RECEIVE_MS, &info, &handover);
	if (err == 0) {
		err = mnfq_socket_adopt(&handle->sock, fd, options);
		if (err < 0)
			close(fd);
		(void)mnfq_handover_answer(stream, &info, err, options->error);
		memcpy(handle->label, info.label, sizeof(handle->label));
	}
	close(stream);
	return err;
}

int handle_open(struct dump_handle *handle, struct dump *dump, const struct socket_spec *spec,
		struct mnfq_socket_options *options)
{
	int err;

	handle->dump = dump;
	handle->spec = *spec;
	options->flags = packets_are_shown(&dump->packets) ? MNFQ_SOCKET_TIMESTAMPS : 0;
	switch (spec->kind) {
	case SPEC_NETNS:
		err = mnfq_socket_open_netns(&handle->sock, spec->text, options);
		break;
	case SPEC_FD:
		options->flags |= spec->lend ? MNFQ_SOCKET_LEND : 0;
		err = mnfq_socket_adopt(&handle->sock, spec->fd, options);
		break;
	case SPEC_FROM:
		err = receive_socket(handle, spec->text, options);
		break;
	default:
		err = mnfq_socket_open(&handle->sock, options);
	}
	if (err == 0 &&
	    mnfq_socket_get_netns_name(handle->sock, handle->netns, sizeof(handle->netns)) < 0)
		handle->netns[0] = '\0';
	return err;
}

/*
 * Packets that are still queued at the end get the default verdict, which cannot set a mark: with repeat they
 * would come back for ever. With a filter it is the verdict of those that nobody has seen to match.
 */
static enum mnfq_verdict get_default_verdict(const struct packet_options *opts)
{
	if (opts->filter)
		return opts->else_verdict;
	return opts->verdict == MNFQ_REPEAT ? MNFQ_DROP : opts->verdict;
}

int handle_bind(struct dump_handle *handle, unsigned int first, size_t count, int timeout_ms)
{
	const int64_t since = clock_ms();
	struct mnfq_queue_options options = handle->dump->opts->queue;
	struct mnfq_kernel_stats kernel = MNFQ_INIT(kernel);
	int err = 0;

	options.size = sizeof(options);
	options.default_verdict = get_default_verdict(&handle->dump->opts->packets);
	handle->queues = calloc(count, sizeof(*handle->queues));
	if (!handle->queues)
		return -ENOMEM;
	for (handle->queue_count = 0; handle->queue_count < count; handle->queue_count++) {
		if (timeout_ms > 0 && clock_ms() - since > timeout_ms)
			return -ETIMEDOUT;
		err = mnfq_queue_bind(&handle->queues[handle->queue_count], handle->sock,
				      first + (unsigned int)handle->queue_count, &options,
				      decide_packet, handle);
		if (err < 0)
			break;
	}
	/* Opens the statistics of its namespace while we still have the right to. */
	if (err == 0)
		(void)mnfq_socket_get_kernel_stats(handle->sock, &kernel);
	return err;
}

/* ---- closing ---------------------------------------------------------------------------- */

void handle_read_counters(struct counters *counters, const struct dump_handle *handle)
{
	counters_read_kernel(counters, handle->sock, handle->queue_count);
	counters_read_library(counters, handle->sock);
	counters->packets = handle->counts;
}

/*
 * A process that steals the kernel's acknowledgements must not delay us once per queue, nor thousands of
 * queues all others: closing the socket unbinds the rest without acknowledgements, and without counting what
 * was queued. The first unbind also reads all that is queued, which may take long. No acknowledgement can be
 * stolen from a private socket. Returns how many queues are left.
 */
static size_t unbind_queues(struct dump_handle *handle, int timeout_ms)
{
	const int64_t end = clock_ms() + timeout_ms;
	unsigned int slow = 0;
	size_t i;

	for (i = handle->queue_count; i > 0 && slow < 2; i--) {
		const int64_t since = clock_ms();

		if (timeout_ms > 0 && since >= end)
			break;
		mnfq_queue_unbind(handle->queues[i - 1]);
		slow += !spec_is_private(&handle->spec) && clock_ms() - since >= SLOW_UNBIND_MS;
	}
	return i;
}

void handle_close(struct dump_handle *handle, int timeout_ms, bool leave_queues)
{
	struct counters counters = { .packets = handle->counts };
	int fd;

	handle->counters = (struct counters){ .uncounted = 0 };
	if (!handle->sock)
		return;
	if (handle->queue_count > 0)
		counters_read_kernel(&counters, handle->sock, handle->queue_count);
	if (!leave_queues)
		counters.uncounted = unbind_queues(handle, timeout_ms);
	free(handle->queues);
	counters_read_library(&counters, handle->sock);
	handle->counters = counters;
	if (!leave_queues) {
		handle->sock = mnfq_socket_close(handle->sock);
		return;
	}
	fd = mnfq_socket_detach(handle->sock);
	handle->sock = NULL;
	if (fd >= 0)
		close(fd);
}

/* ---- for messages ----------------------------------------------------------------------- */

const char *handle_format_name(char out[HANDLE_NAME_SIZE], const struct dump_handle *handle)
{
	char netns[4 * sizeof(handle->netns) + 3], label[4 * sizeof(handle->label) + 3] = "";

	quote_word(netns, sizeof(netns), handle->netns[0] ? handle->netns : "(unknown)");
	if (handle->label[0])
		quote_text(label, sizeof(label), handle->label);
	snprintf(out, HANDLE_NAME_SIZE, "%s%s%s", netns, label[0] ? ", label " : "", label);
	return out;
}

void handle_explain(char *out, size_t size, const struct dump_handle *handle, int err)
{
	static const char *const options[] = {
		[SPEC_NETNS] = "-n", [SPEC_FD] = "--fd", [SPEC_FROM] = "--from"
	};
	const char *errmsg = mnfq_socket_get_error(handle->sock);
	const struct socket_spec *spec = &handle->spec;

	if (!*errmsg)
		errmsg = err == -ETIMEDOUT ? "binding its queues takes too long: another process "
					     "reads from the socket"
					   : strerror(-err);
	if (spec->kind != SPEC_HERE && handle->netns[0])
		snprintf(out, size, "namespace %s: %s", handle->netns, errmsg);
	else if (spec->text)
		snprintf(out, size, "%s %s: %s", options[spec->kind], spec->text, errmsg);
	else
		snprintf(out, size, "%s", errmsg);
}
