/* SPDX-License-Identifier: MIT */
/*
 * The broker: its loop, and what it hears and says over the link. It never has a descriptor of a stranger,
 * and never closes the last copy of a stream in which one may be: that may take as long as the stranger
 * likes. So it never waits.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "broker/internal.h"
#include "broker/keeper.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

/* Descriptors on their way are counted by user, so others may have used up what is allowed. */
#define CROWDED_MS 20

struct unsent {
	struct unsent *next;
	struct ipc_msg message;
	int fd;
};

/* ---- what is said ---- */

int broker_add(struct broker *broker, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(broker->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

void broker_change(struct broker *broker, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	(void)epoll_ctl(broker->epoll, EPOLL_CTL_MOD, source->fd, &event);
}

static int keep_unsent(struct broker *broker, const struct ipc_msg *message, int fd)
{
	struct queue *queue = fd >= 0 ? &broker->attach : &broker->plain;
	struct unsent *unsent = malloc(sizeof(*unsent));

	if (!unsent)
		return -ENOMEM;
	*unsent = (struct unsent){ .message = *message, .fd = fd };
	if (broker->unsent_count++ == 0)
		broker_change(broker, &broker->link, EPOLLIN | EPOLLOUT);
	*queue->last = unsent;
	queue->last = &unsent->next;
	return 0;
}

int broker_send(struct broker *broker, const struct ipc_msg *message, int fd)
{
	const struct queue *queue = fd >= 0 ? &broker->attach : &broker->plain;
	int err = queue->first ? -EAGAIN : ipc_send(broker->link.fd, message, fd);

	if (err == -EAGAIN || err == -ETOOMANYREFS) {
		err = keep_unsent(broker, message, fd);
		if (err == 0)
			return 0;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* Takes the message that @at points to out of its queue. */
static void drop_unsent(struct broker *broker, struct queue *queue, struct unsent **at)
{
	struct unsent *unsent = *at;

	*at = unsent->next;
	if (!*at)
		queue->last = at;
	broker->unsent_count--;
	if (unsent->fd >= 0)
		close(unsent->fd);
	free(unsent);
}

/* As long as the server reads. What cannot be sent for another reason is lost with its id. */
static int send_queue(struct broker *broker, struct queue *queue)
{
	int err;

	while (queue->first) {
		err = ipc_send(broker->link.fd, &queue->first->message, queue->first->fd);
		if (err == -EAGAIN || err == -ETOOMANYREFS)
			return err;
		drop_unsent(broker, queue, &queue->first);
	}
	return 0;
}

static void send_unsent(struct broker *broker)
{
	int err = send_queue(broker, &broker->plain);

	if (err == 0)
		err = send_queue(broker, &broker->attach);
	if (err == -ETOOMANYREFS)
		broker->crowded_until = clock_ms() + CROWDED_MS;
	if (err != -EAGAIN)
		broker_change(broker, &broker->link, EPOLLIN);
}

/* The server never heard of it. */
static bool take_back(struct broker *broker, uint64_t id)
{
	struct unsent **at;

	for (at = &broker->attach.first; *at; at = &(*at)->next)
		if ((*at)->message.id == id) {
			drop_unsent(broker, &broker->attach, at);
			return true;
		}
	return false;
}

/* Returns when to call again; 0: never. */
static int64_t send_again(struct broker *broker, int64_t now)
{
	if (broker->crowded_until != 0 && now >= broker->crowded_until) {
		broker->crowded_until = 0;
		broker_change(broker, &broker->link, EPOLLIN | EPOLLOUT);
	}
	return broker->crowded_until;
}

/* The keeper starts another one. */
static void fall(struct broker *broker)
{
	broker->over = true;
	broker->status = BROKER_GAVE_UP + 1;
}

/* The server would serve for ever what it does not hear of: rather another broker than that. */
void broker_detach(struct broker *broker, uint64_t id)
{
	struct ipc_msg message = { .type = IPC_DETACH, .id = id };

	if (!take_back(broker, id) && broker_send(broker, &message, -1) < 0)
		fall(broker);
}

static void note(struct broker *broker, int err, const char *format, va_list args)
{
	struct ipc_msg message = { .type = IPC_NOTE, .error = err };

	vsnprintf(message.text, sizeof(message.text), format, args);
	(void)broker_send(broker, &message, -1);
}

void broker_note(struct broker *broker, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(broker, 0, format, args);
	va_end(args);
}

void broker_give_up(struct broker *broker, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(broker, err, format, args);
	va_end(args);
	broker->over = true;
	broker->status = BROKER_GAVE_UP;
}

/* The upper bits differ from broker to broker: what a receiver of the one before sent may still come. */
#define GENERATION_SHIFT 40

static uint64_t first_id(unsigned int generation)
{
	return IPC_BROKER_ID | (uint64_t)generation << GENERATION_SHIFT;
}

static bool is_own_id(const struct broker *broker, uint64_t id)
{
	return id >> GENERATION_SHIFT == broker->first_id >> GENERATION_SHIFT;
}

uint64_t broker_new_id(struct broker *broker)
{
	return broker->first_id | ++broker->last_id;
}

/* ---- what is heard ---- */

/* Ids that are not known any more are normal: messages cross on their way. */
static void handle_answer(struct broker *broker, const struct ipc_msg *answer)
{
	if (is_own_id(broker, answer->id)) {
		if (!peers_answer(broker, answer))
			netns_track_answer(broker, answer);
	} else if (answer->error < 0) {
		return;
	} else if (answer->id & IPC_BROKER_ID && !(answer->flags & IPC_AGAIN)) {
		/* Its client lost its connection to the broker before, and does not know that it was taken. */
		broker_detach(broker, answer->id);
	} else {
		netns_track_watch(broker, answer, 0);
	}
}

static void handle_message(struct broker *broker, const struct ipc_msg *message)
{
	const struct ipc_msg count = { .type = IPC_COUNT, .count = broker->refused };

	switch (message->type) {
	case IPC_ANSWER:
		handle_answer(broker, message);
		break;
	case IPC_FORGET:
		if (!peers_forget(broker, message->id))
			netns_track_forget(broker, message->id);
		break;
	case IPC_COUNT:
		(void)broker_send(broker, &count, -1);
		break;
	case IPC_PING:
		(void)broker_send(broker, message, -1);
		break;
	default:
		break;
	}
}

static void link_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct ipc_msg message;
	int fd, n = ipc_receive(source->fd, &message, &fd);

	if (fd >= 0)
		close(fd);
	if (n == 1)
		handle_message(broker, &message);
	else if (n == -ECONNRESET)
		broker->over = true;
	else if (n < 0 && n != -EBADMSG)
		fall(broker);
	if (events & EPOLLOUT)
		send_unsent(broker);
}

static void channel_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct ipc_msg message;
	int fd, n = ipc_receive(source->fd, &message, &fd);

	(void)events;
	if (fd >= 0)
		close(fd);
	if (n == 1 && message.type == IPC_PING)
		(void)ipc_send(source->fd, &message, -1);
	else if (n < 0 && n != -EBADMSG)
		fall(broker);
}

/* ---- the loop ---- */

int64_t earlier_of(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

static int timeout(int64_t now, int64_t due)
{
	if (due == 0)
		return -1;
	return due <= now ? 0 : due - now > 60000 ? 60000 : (int)(due - now);
}

/*
 * One event at a time: what it leads to may be the end of a peer for whom there is an event, too.
 * The kernel returns those in turn.
 */
static void broker_run(struct broker *broker)
{
	struct epoll_event event;
	int64_t now, due;
	int n;

	while (!broker->over) {
		now = clock_ms();
		due = netns_track_tend(broker, now);
		due = earlier_of(due, receivers_tend(broker, now));
		due = earlier_of(due, peers_tend(broker, now));
		due = earlier_of(due, send_again(broker, now));
		n = epoll_wait(broker->epoll, &event, 1, timeout(now, due));
		if (n == 1) {
			struct source *source = event.data.ptr;

			source->ready(broker, source, event.events);
		} else if (n < 0 && errno != EINTR) {
			fall(broker);
		}
	}
}

/* ---- the start ---- */

static int set_up(struct broker *broker)
{
	unsigned int i;
	int err;

	broker->attach.last = &broker->attach.first;
	broker->plain.last = &broker->plain.first;
	broker->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (broker->epoll < 0)
		return -errno;
	err = broker_add(broker, &broker->link, EPOLLIN);
	if (err == 0)
		err = broker_add(broker, &broker->channel, EPOLLIN);
	for (i = 0; err == 0 && i < broker->options->listener_count; i++)
		err = broker_add(broker, &broker->listeners[i], EPOLLIN);
	if (err == 0)
		err = receivers_init(broker);
	peers_init(broker);
	return err == 0 ? netns_track_init(broker) : err;
}

bool broker_finds(const struct broker_options *options)
{
	return options->all_netns || options->again;
}

static int give_up_rights(const struct broker_setup *setup, char *error, size_t error_size)
{
	if (!setup->options->sandbox)
		return 0;
	return sandbox_enter(broker_finds(setup->options) ? SANDBOX_NETNS : SANDBOX_BROKER,
			     setup->keep, false, NULL, error, error_size);
}

_Noreturn void broker_main(const struct broker_setup *setup)
{
	const struct broker_options *options = setup->options;
	struct broker broker = { .options = options,
				 .link = { link_ready, setup->link },
				 .channel = { channel_ready, setup->channel },
				 .first_id = first_id(setup->generation) };
	char error[IPC_TEXT_SIZE] = "";
	int err = -ENOMEM;

	broker.listeners = calloc(options->listener_count + 1, sizeof(broker.listeners[0]));
	for (unsigned int i = 0; broker.listeners && i < options->listener_count; i++)
		broker.listeners[i] = (struct source){ peers_accept, setup->listeners[i] };
	if (broker.listeners)
		err = set_up(&broker);
	if (err == 0)
		err = give_up_rights(setup, error, sizeof(error));
	if (err == 0)
		broker_run(&broker);
	else
		broker_give_up(&broker, err, "cannot take sockets or watch namespaces: %s",
			       error[0] ? error : strerror(-err));
	_exit(broker.status);
}
