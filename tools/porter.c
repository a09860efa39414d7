/* SPDX-License-Identifier: MIT */
/* The porter: how it starts, its loop, and what it hears and says over the link. */
#include "porter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "common.h"
#include "porter-parts.h"
#include "sandbox.h"

/*
 * To close what strangers sent may mean to wait: a TCP socket lingers until its peer has read.
 * Signals end such waits. No call of ours minds them.
 */
#define TICK_US 1000

/* Descriptors on their way are counted by user, so strangers may have used up what is allowed. */
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

/* The server would serve for ever what it does not hear of: rather no porter than that. */
void porter_detach(struct porter *porter, uint32_t id)
{
	struct link_message message = { .type = LINK_DETACH, .id = id };

	if (!take_back(porter, id) && porter_send(porter, &message, -1) < 0)
		porter->over = true;
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
}

uint32_t porter_new_id(struct porter *porter)
{
	do {
		porter->last_id = (porter->last_id + 1) | LINK_PORTER;
	} while (peers_have(porter, porter->last_id) || spaces_have(porter, porter->last_id));
	return porter->last_id;
}

/* ---- what is heard ---- */

static void handle_message(struct porter *porter, const struct link_message *message)
{
	struct link_message count = { .type = LINK_COUNT, .id = porter->refused };

	/* Ids that nobody has any more are normal: messages cross on their way. */
	switch (message->type) {
	case LINK_ANSWER:
		if (!peers_answer(porter, message))
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
	else if (n < 0 && n != -EBADMSG)
		porter->over = true;
	if (events & EPOLLOUT)
		send_unsent(porter);
}

/* ---- the loop ---- */

static void tick(int signal)
{
	(void)signal;
}

static void set_tick(long us)
{
	const struct itimerval timer = { { 0, us }, { 0, us } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

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
static void run(struct porter *porter)
{
	struct epoll_event event;
	int64_t now, due;
	int n;

	while (!porter->over) {
		now = clock_ms();
		due = spaces_tend(porter, now);
		set_tick(TICK_US);
		due = porter_earlier(due, peers_tend(porter, now));
		set_tick(0);
		due = porter_earlier(due, send_again(porter, now));
		n = epoll_wait(porter->epoll, &event, 1, timeout(now, due));
		if (n == 1) {
			struct source *source = event.data.ptr;

			set_tick(TICK_US);
			source->ready(porter, source, event.events);
			set_tick(0);
		} else if (n < 0 && errno != EINTR) {
			return;
		}
	}
}

/* ---- the start ---- */

static void close_from_to(unsigned int first, unsigned int last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* Before Linux 5.9. Higher ones are improbable. */
	for (; first <= last && first < 65536; first++)
		close((int)first);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * Another's copy of a netlink socket would keep its queue, and our copy of stdout would keep
 * whoever reads the server's from seeing its end.
 */
static int close_others(int *fds, unsigned int count)
{
	unsigned int i, first = 3;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
		return -errno;
	qsort(fds, count, sizeof(fds[0]), by_value);
	for (i = 0; i < count; i++) {
		close_from_to(first, (unsigned int)fds[i] - 1);
		first = (unsigned int)fds[i] + 1;
	}
	close_from_to(first, ~0u);
	return 0;
}

/* The standard descriptors are replaced: what is ours must not be among them. */
static int above_standard(int fd)
{
	if (fd > 2)
		return fd;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int keep_ours(struct porter *porter)
{
	unsigned int i, n = porter->options->listener_count;
	int *fds = calloc(n + 1, sizeof(fds[0])), err = 0;

	if (!fds)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		fds[i] = above_standard(porter->options->listeners[i]);
		/* Others may accept before us. */
		(void)fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
		porter->listeners[i] = (struct source){ peers_accept, fds[i] };
		err = fds[i] < 0 ? fds[i] : err;
	}
	fds[n] = porter->link.fd = above_standard(porter->link.fd);
	err = fds[n] < 0 ? fds[n] : err;
	if (err == 0)
		err = close_others(fds, n + 1);
	free(fds);
	return err;
}

/* Signals often go to the whole group; the server says when it is over. */
static void set_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	static const int ignored[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE };
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &action, NULL);
	action.sa_handler = tick; /* without SA_RESTART */
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* CAP_SYS_PTRACE is what it takes to see which namespaces the processes of others are in. */
static int give_up_rights(const struct porter_options *options, char *error, size_t error_size)
{
	uint64_t keep = SANDBOX_CAP(CAP_SYS_PTRACE);
	enum sandbox_role role = SANDBOX_PORTER;

	if (!options->sandbox)
		return 0;
	if (options->all_netns || options->again) {
		keep |= SANDBOX_CAP(CAP_SYS_ADMIN); /* setns() */
		role = SANDBOX_FINDER;
	}
	return sandbox_enter(role, keep, false, NULL, error, error_size);
}

static int set_up(struct porter *porter)
{
	unsigned int i;
	int err = keep_ours(porter);

	if (err < 0)
		return err;
	set_signals();
	raise_file_limit(); /* peers that stay, and strangers who do not speak */
	porter->attach.last = &porter->attach.first;
	porter->plain.last = &porter->plain.first;
	porter->link.ready = link_ready;
	porter->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (porter->epoll < 0)
		return -errno;
	porter->spare = -1;
	err = porter_add(porter, &porter->link, EPOLLIN);
	for (i = 0; err == 0 && i < porter->options->listener_count; i++)
		err = porter_add(porter, &porter->listeners[i], EPOLLIN);
	peers_init(porter);
	return err == 0 ? spaces_init(porter) : err;
}

static _Noreturn void live(const struct porter_options *options, int link, pid_t parent)
{
	struct porter porter = { .options = options, .link.fd = link };
	char error[LINK_TEXT_SIZE] = "";
	int err;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	porter.listeners = calloc(options->listener_count + 1, sizeof(porter.listeners[0]));
	err = porter.listeners ? set_up(&porter) : -ENOMEM;
	if (err == 0)
		err = give_up_rights(options, error, sizeof(error));
	if (err == 0)
		run(&porter);
	else
		porter_give_up(&porter, err, "cannot take sockets or watch namespaces: %s",
			       error[0] ? error : strerror(-err));
	if (options->own)
		unix_unlisten(options->own);
	_exit(err == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

/*
 * Room for thousands of answers, so that the server hardly ever finds the link full. In the other
 * direction the porter keeps what there is no room for.
 */
static void widen(int link)
{
	const int size = 4 << 20;

	if (setsockopt(link, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(link, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int porter_start(const struct porter_options *options, pid_t *pid, char *error, size_t error_size)
{
	pid_t parent = getpid(), child;
	int ends[2], err = link_new(ends);

	if (err < 0) {
		snprintf(error, error_size, "cannot make sockets: %s", strerror(-err));
		return err;
	}
	child = fork();
	if (child == 0)
		live(options, ends[1], parent);
	err = child < 0 ? -errno : 0;
	close(ends[1]);
	if (err < 0) {
		snprintf(error, error_size, "cannot start another process: %s", strerror(-err));
		close(ends[0]);
		return err;
	}
	widen(ends[0]);
	*pid = child;
	return ends[0];
}
