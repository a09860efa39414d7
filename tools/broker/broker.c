/* SPDX-License-Identifier: MIT */
/*
 * The porter: its loop, and what it hears and says over the link. It never has a descriptor of a stranger,
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
	struct link_message message;
	int fd;
};

/* ---- what is said ---- */

int porter_add(struct porter *porter, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(porter->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

void porter_change(struct porter *porter, struct source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	(void)epoll_ctl(porter->epoll, EPOLL_CTL_MOD, source->fd, &event);
}

static int keep_unsent(struct porter *porter, const struct link_message *message, int fd)
{
	struct queue *queue = fd >= 0 ? &porter->attach : &porter->plain;
	struct unsent *unsent = malloc(sizeof(*unsent));

	if (!unsent)
		return -ENOMEM;
	*unsent = (struct unsent){ .message = *message, .fd = fd };
	if (porter->unsent_count++ == 0)
		porter_change(porter, &porter->link, EPOLLIN | EPOLLOUT);
	*queue->last = unsent;
	queue->last = &unsent->next;
	return 0;
}

int porter_send(struct porter *porter, const struct link_message *message, int fd)
{
	const struct queue *queue = fd >= 0 ? &porter->attach : &porter->plain;
	int err = queue->first ? -EAGAIN : link_send(porter->link.fd, message, fd);

	if (err == -EAGAIN || err == -ETOOMANYREFS) {
		err = keep_unsent(porter, message, fd);
		if (err == 0)
			return 0;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* Takes the message that @at points to out of its queue. */
static void drop_unsent(struct porter *porter, struct queue *queue, struct unsent **at)
{
	struct unsent *unsent = *at;

	*at = unsent->next;
	if (!*at)
		queue->last = at;
	porter->unsent_count--;
	if (unsent->fd >= 0)
		close(unsent->fd);
	free(unsent);
}

/* As long as the server reads. What cannot be sent for another reason is lost with its id. */
static int send_queue(struct porter *porter, struct queue *queue)
{
	int err;

	while (queue->first) {
		err = link_send(porter->link.fd, &queue->first->message, queue->first->fd);
		if (err == -EAGAIN || err == -ETOOMANYREFS)
			return err;
		drop_unsent(porter, queue, &queue->first);
	}
	return 0;
}

static void send_unsent(struct porter *porter)
{
	int err = send_queue(porter, &porter->plain);

	if (err == 0)
		err = send_queue(porter, &porter->attach);
	if (err == -ETOOMANYREFS)
		porter->crowded_until = clock_ms() + CROWDED_MS;
	if (err != -EAGAIN)
		porter_change(porter, &porter->link, EPOLLIN);
}

/* The server never heard of it. */
static bool take_back(struct porter *porter, uint32_t id)
{
	struct unsent **at;

	for (at = &porter->attach.first; *at; at = &(*at)->next)
		if ((*at)->message.id == id) {
			drop_unsent(porter, &porter->attach, at);
			return true;
		}
	return false;
}

/* Returns when to call again; 0: never. */
static int64_t send_again(struct porter *porter, int64_t now)
{
	if (porter->crowded_until != 0 && now >= porter->crowded_until) {
		porter->crowded_until = 0;
		porter_change(porter, &porter->link, EPOLLIN | EPOLLOUT);
	}
	return porter->crowded_until;
}

/* The keeper starts another one. */
static void fall(struct porter *porter)
{
	porter->over = true;
	porter->status = PORTER_GAVE_UP + 1;
}

/* The server would serve for ever what it does not hear of: rather another porter than that. */
void porter_detach(struct porter *porter, uint32_t id)
{
	struct link_message message = { .type = LINK_DETACH, .id = id };

	if (!take_back(porter, id) && porter_send(porter, &message, -1) < 0)
		fall(porter);
}

static void note(struct porter *porter, int err, const char *format, va_list args)
{
	struct link_message message = { .type = LINK_NOTE, .error = err };

	vsnprintf(message.text, sizeof(message.text), format, args);
	(void)porter_send(porter, &message, -1);
}

void porter_note(struct porter *porter, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(porter, 0, format, args);
	va_end(args);
}

void porter_give_up(struct porter *porter, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	note(porter, err, format, args);
	va_end(args);
	porter->over = true;
	porter->status = PORTER_GAVE_UP;
}

/* None that the porter before us may have used: what it had a receiver say may still come. */
#define GENERATION_SHIFT 27
#define ID_MASK          ((1u << GENERATION_SHIFT) - 1)

static uint32_t first_id(unsigned int generation)
{
	return LINK_PORTER | (generation << GENERATION_SHIFT);
}

static bool is_of_another(const struct porter *porter, uint32_t id)
{
	return id & LINK_PORTER && (id & ~ID_MASK) != porter->first_id;
}

uint32_t porter_new_id(struct porter *porter)
{
	do {
		porter->last_id = porter->first_id | ((porter->last_id + 1) & ID_MASK);
	} while (peers_have(porter, porter->last_id) || spaces_have(porter, porter->last_id));
	return porter->last_id;
}

/* ---- what is heard ---- */

/* The peer went with the porter before us, and so does not know that it was taken. */
static void disown(struct porter *porter, const struct link_message *answer)
{
	(void)spaces_forget(porter, answer->id);
	if (answer->error == 0)
		porter_detach(porter, answer->id);
}

static void handle_message(struct porter *porter, const struct link_message *message)
{
	const struct link_message count = { .type = LINK_COUNT, .id = porter->refused };

	/* Ids that nobody has any more are normal: messages cross on their way. */
	switch (message->type) {
	case LINK_ANSWER:
		if (is_of_another(porter, message->id))
			disown(porter, message);
		else if (!peers_answer(porter, message))
			(void)spaces_answer(porter, message);
		break;
	case LINK_WATCH:
		spaces_watch(porter, message);
		break;
	case LINK_FORGET:
		if (!peers_forget(porter, message->id))
			(void)spaces_forget(porter, message->id);
		break;
	case LINK_COUNT:
		(void)porter_send(porter, &count, -1);
		break;
	case LINK_PING:
		(void)porter_send(porter, message, -1);
		break;
	default:
		break;
	}
}

static void link_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct link_message message;
	int fd, n = link_receive(source->fd, &message, &fd);

	if (fd >= 0)
		close(fd);
	if (n == 1)
		handle_message(porter, &message);
	else if (n == -ECONNRESET)
		porter->over = true;
	else if (n < 0 && n != -EBADMSG)
		fall(porter);
	if (events & EPOLLOUT)
		send_unsent(porter);
}

static void channel_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct link_message message;
	int fd, n = link_receive(source->fd, &message, &fd);

	(void)events;
	if (fd >= 0)
		close(fd);
	if (n == 1 && message.type == LINK_PING)
		(void)link_send(source->fd, &message, -1);
	else if (n < 0 && n != -EBADMSG)
		fall(porter);
}

/* ---- the loop ---- */

int64_t porter_earlier(int64_t a, int64_t b)
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
static void broker_run(struct porter *porter)
{
	struct epoll_event event;
	int64_t now, due;
	int n;

	while (!porter->over) {
		now = clock_ms();
		due = spaces_tend(porter, now);
		due = porter_earlier(due, receivers_tend(porter, now));
		due = porter_earlier(due, peers_tend(porter, now));
		due = porter_earlier(due, send_again(porter, now));
		n = epoll_wait(porter->epoll, &event, 1, timeout(now, due));
		if (n == 1) {
			struct source *source = event.data.ptr;

			source->ready(porter, source, event.events);
		} else if (n < 0 && errno != EINTR) {
			fall(porter);
		}
	}
}

/* ---- the start ---- */

static int set_up(struct porter *porter)
{
	unsigned int i;
	int err;

	porter->attach.last = &porter->attach.first;
	porter->plain.last = &porter->plain.first;
	porter->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (porter->epoll < 0)
		return -errno;
	err = porter_add(porter, &porter->link, EPOLLIN);
	if (err == 0)
		err = porter_add(porter, &porter->channel, EPOLLIN);
	for (i = 0; err == 0 && i < porter->options->listener_count; i++)
		err = porter_add(porter, &porter->listeners[i], EPOLLIN);
	if (err == 0)
		err = receivers_init(porter);
	peers_init(porter);
	return err == 0 ? spaces_init(porter) : err;
}

bool porter_finds(const struct porter_options *options)
{
	return options->all_netns || options->again;
}

static int give_up_rights(const struct porter_birth *birth, char *error, size_t error_size)
{
	if (!birth->options->sandbox)
		return 0;
	return sandbox_enter(porter_finds(birth->options) ? SANDBOX_FINDER : SANDBOX_PORTER,
			     birth->keep, false, NULL, error, error_size);
}

_Noreturn void porter_live(const struct porter_birth *birth)
{
	const struct porter_options *options = birth->options;
	struct porter porter = { .options = options,
				 .link = { link_ready, birth->link },
				 .channel = { channel_ready, birth->channel },
				 .first_id = first_id(birth->generation) };
	char error[LINK_TEXT_SIZE] = "";
	int err = -ENOMEM;

	porter.listeners = calloc(options->listener_count + 1, sizeof(porter.listeners[0]));
	for (unsigned int i = 0; porter.listeners && i < options->listener_count; i++)
		porter.listeners[i] = (struct source){ peers_accept, birth->listeners[i] };
	if (porter.listeners)
		err = set_up(&porter);
	if (err == 0)
		err = give_up_rights(birth, error, sizeof(error));
	if (err == 0)
		broker_run(&porter);
	else
		porter_give_up(&porter, err, "cannot take sockets or watch namespaces: %s",
			       error[0] ? error : strerror(-err));
	_exit(porter.status);
}
