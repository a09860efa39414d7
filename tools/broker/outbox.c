/* SPDX-License-Identifier: MIT */
/* Messages from the broker to the server, and the ids in them. */
#include "broker/outbox.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "common/sys.h"

/* The kernel counts descriptors in flight by user, so other programs may have used up the limit. */
#define SEND_RETRY_MS 20

/* The upper bits of an id differ from broker to broker: messages of the one before may still come. */
#define GENERATION_SHIFT 40

struct unsent {
	struct unsent *next;
	struct ipc_msg message;
	int fd;
};

struct unsent_queue {
	struct unsent *first, **last;
};

struct outbox {
	struct loop *loop;
	struct event_source *ipc;
	struct unsent_queue with_fd;
	struct unsent_queue without_fd; /* which may overtake */
	unsigned int count;             /* of both */
	int64_t retry_at;               /* no descriptor can be sent before; 0: one can */
	uint64_t first_id, last_id;
};

int outbox_new(struct outbox **ret, struct loop *loop, struct event_source *ipc,
	       unsigned int generation)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));

	if (!outbox)
		return -ENOMEM;
	outbox->loop = loop;
	outbox->ipc = ipc;
	outbox->with_fd.last = &outbox->with_fd.first;
	outbox->without_fd.last = &outbox->without_fd.first;
	outbox->first_id = IPC_BROKER_ID | (uint64_t)generation << GENERATION_SHIFT;
	outbox->last_id = outbox->first_id;
	*ret = outbox;
	return 0;
}

int outbox_get_fd(const struct outbox *outbox)
{
	return outbox->ipc->fd;
}

uint64_t outbox_new_id(struct outbox *outbox)
{
	return ++outbox->last_id;
}

bool outbox_is_own_id(const struct outbox *outbox, uint64_t id)
{
	return id >> GENERATION_SHIFT == outbox->first_id >> GENERATION_SHIFT;
}

unsigned int outbox_count(const struct outbox *outbox)
{
	return outbox->count;
}

/* ---- sending ---- */

static int keep_unsent(struct outbox *outbox, struct unsent_queue *queue,
		       const struct ipc_msg *message, int fd)
{
	struct unsent *unsent = malloc(sizeof(*unsent));

	if (!unsent)
		return -ENOMEM;
	*unsent = (struct unsent){ .message = *message, .fd = fd };
	if (outbox->count++ == 0)
		loop_change(outbox->loop, outbox->ipc, EPOLLIN | EPOLLOUT);
	*queue->last = unsent;
	queue->last = &unsent->next;
	return 0;
}

int outbox_send(struct outbox *outbox, const struct ipc_msg *message, int fd)
{
	struct unsent_queue *queue = fd >= 0 ? &outbox->with_fd : &outbox->without_fd;
	int err = queue->first ? -EAGAIN : ipc_send(outbox->ipc->fd, message, fd);

	if (err == -EAGAIN || err == -ETOOMANYREFS) {
		err = keep_unsent(outbox, queue, message, fd);
		if (err == 0)
			return 0;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* Takes the message that @at points to out of its queue. */
static void drop_unsent(struct outbox *outbox, struct unsent_queue *queue, struct unsent **at)
{
	struct unsent *unsent = *at;

	*at = unsent->next;
	if (!*at)
		queue->last = at;
	outbox->count--;
	if (unsent->fd >= 0)
		close(unsent->fd);
	free(unsent);
}

/* Sends as long as there is room. What cannot be sent for another reason is lost. */
static int flush_queue(struct outbox *outbox, struct unsent_queue *queue)
{
	int err;

	while (queue->first) {
		err = ipc_send(outbox->ipc->fd, &queue->first->message, queue->first->fd);
		if (err == -EAGAIN || err == -ETOOMANYREFS)
			return err;
		drop_unsent(outbox, queue, &queue->first);
	}
	return 0;
}

void outbox_flush(struct outbox *outbox)
{
	int err = flush_queue(outbox, &outbox->without_fd);

	if (err == 0)
		err = flush_queue(outbox, &outbox->with_fd);
	if (err == -ETOOMANYREFS)
		outbox->retry_at = clock_ms() + SEND_RETRY_MS;
	if (err != -EAGAIN)
		loop_change(outbox->loop, outbox->ipc, EPOLLIN);
}

/* While it is writable at all, what several receivers send fits. */
bool outbox_has_room(struct outbox *outbox)
{
	struct pollfd ready = { .fd = outbox->ipc->fd, .events = POLLOUT };

	if (outbox->count > 0)
		return false;
	if (poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT)
		return true;
	loop_change(outbox->loop, outbox->ipc, EPOLLIN | EPOLLOUT);
	return false;
}

int64_t outbox_run_timers(struct outbox *outbox, int64_t now)
{
	if (outbox->retry_at != 0 && now >= outbox->retry_at) {
		outbox->retry_at = 0;
		loop_change(outbox->loop, outbox->ipc, EPOLLIN | EPOLLOUT);
	}
	return outbox->retry_at;
}

/* ---- messages ---- */

/* Drops an IPC_ATTACH that was not sent. */
static bool drop_attach(struct outbox *outbox, uint64_t id)
{
	struct unsent **at;

	for (at = &outbox->with_fd.first; *at; at = &(*at)->next)
		if ((*at)->message.id == id) {
			drop_unsent(outbox, &outbox->with_fd, at);
			return true;
		}
	return false;
}

/* Without the message the server would serve it for ever: another broker is better than that. */
void outbox_detach(struct outbox *outbox, uint64_t id)
{
	const struct ipc_msg message = { .type = IPC_DETACH, .id = id };

	if (!drop_attach(outbox, id) && outbox_send(outbox, &message, -1) < 0)
		loop_end(outbox->loop, BROKER_FAILED);
}

static void send_note(struct outbox *outbox, int err, const char *format, va_list args)
{
	struct ipc_msg message = { .type = IPC_NOTE, .error = err };

	vsnprintf(message.text, sizeof(message.text), format, args);
	(void)outbox_send(outbox, &message, -1);
}

void outbox_note(struct outbox *outbox, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	send_note(outbox, 0, format, args);
	va_end(args);
}

void outbox_give_up(struct outbox *outbox, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	send_note(outbox, err, format, args);
	va_end(args);
	loop_end(outbox->loop, BROKER_GAVE_UP);
}
