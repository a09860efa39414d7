/* SPDX-License-Identifier: MIT */
/*
 * The broker's keeper. It stops listening at the end, whatever the other processes do: so it accepts no
 * client, and has no descriptor of one.
 */
#include "broker/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/ipc.h"
#include "broker/loop.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

#define PING_MS        1000
#define UNANSWERED_MAX 3 /* pings */
#define RESTARTS_MAX   5
#define RESTARTS_MS    600000 /* in that time */

struct keeper {
	const struct broker_options *options;
	int *listeners;
	int ipc;     /* to the server */
	int channel; /* to the broker */
	int signals;
	pid_t parent, broker;    /* 0: none for now */
	unsigned int generation; /* of the broker */
	unsigned int restarts;   /* since @restarts_since */
	int64_t restarts_since;
	int64_t ping_at;         /* without a broker: when to start one */
	unsigned int unanswered; /* pings */
	bool announced;          /* that there will be another broker */
	bool ended;
	int status;
};

/* ---- descriptors, signals, rights ---- */

/* With our copy of stdout, a process that reads the server's would not see its end. */
static int replace_standard(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	return null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ? -errno : 0;
}

/* The standard descriptors are replaced, so no other may be among them. */
static int above_standard(int fd)
{
	if (fd > 2)
		return fd;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? -errno : fd;
}

static int keep_descriptors(struct keeper *keeper)
{
	unsigned int i, n = keeper->options->listener_count;
	int *fds = calloc(n + 1, sizeof(fds[0])), err = 0;

	keeper->listeners = calloc(n + 1, sizeof(fds[0]));
	if (!fds || !keeper->listeners) {
		free(fds);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++) {
		fds[i] = keeper->listeners[i] = above_standard(keeper->options->listeners[i]);
		/* Another process may accept before us. */
		(void)fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
		err = fds[i] < 0 ? fds[i] : err;
	}
	fds[n] = keeper->ipc = above_standard(keeper->ipc);
	err = fds[n] < 0 ? fds[n] : err;
	if (err == 0)
		err = replace_standard();
	if (err == 0)
		close_all_but(fds, n + 1); /* a copy of a netlink socket would keep its queue */
	free(fds);
	return err;
}

/* Signals often go to the whole group. The broker ends with its server. */
static void ignore_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	static const int ignored[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE, SIGALRM
	};

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		sigaction(ignored[i], &action, NULL);
}

static void set_mask(int signal)
{
	sigset_t mask;

	sigemptyset(&mask);
	if (signal)
		sigaddset(&mask, signal);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* CAP_SYS_PTRACE is what it takes to see which namespaces the processes of others are in. */
static uint64_t rights_of_broker(const struct broker_options *options)
{
	return SANDBOX_CAP(CAP_SYS_PTRACE) |
	       (broker_enters_netns(options) ? SANDBOX_CAP(CAP_SYS_ADMIN) : 0); /* setns() */
}

/* It keeps the capabilities of its children, and the one that it takes to give up others. */
static int limit_rights(const struct keeper *keeper, char *error, size_t error_size)
{
	const uint64_t keep = rights_of_broker(keeper->options) | SANDBOX_CAP(CAP_SETPCAP);
	const struct broker_options *options = keeper->options;
	if (!options->sandbox)
		return 0;
	return sandbox_enter(SANDBOX_KEEPER, keep, false,
			     options->own ? options->own->path : NULL, error, error_size);
}

static int keeper_set_up(struct keeper *keeper)
{
	int err = keep_descriptors(keeper);
	sigset_t child;

	if (err < 0)
		return err;
	ignore_signals();
	set_mask(SIGCHLD);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	keeper->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (keeper->signals < 0)
		return -errno;
	raise_file_limit(); /* clients that stay, or send nothing */
	return 0;
}

static void keeper_note(const struct keeper *keeper, int err, const char *text)
{
	struct ipc_msg message = { .type = IPC_NOTE, .error = err };

	snprintf(message.text, sizeof(message.text), "%s", text);
	(void)ipc_send(keeper->ipc, &message, -1);
}

/* ---- children ---- */

/* In the child, which no other process would end. */
static void become_child(const char *name, pid_t keeper)
{
	die_with_parent(keeper, SIGKILL);
	prctl(PR_SET_NAME, name);
	set_mask(0);
}

static int start_broker(struct keeper *keeper)
{
	int channel[2], err = ipc_new(channel);
	pid_t us = getpid(), pid = err < 0 ? -1 : fork();

	if (pid == 0) {
		become_child("mnfq-broker", us);
		close(keeper->signals);
		close(channel[0]);
		broker_main(&(struct broker_setup){ .options = keeper->options,
						    .listeners = keeper->listeners,
						    .ipc = keeper->ipc,
						    .channel = channel[1],
						    .generation = keeper->generation,
						    .keep = rights_of_broker(keeper->options) });
	}
	if (err == 0 && pid < 0) {
		err = -errno;
		close(channel[0]);
		close(channel[1]);
	}
	keeper->ping_at = clock_ms() + PING_MS;
	if (err < 0)
		return err;
	close(channel[1]);
	keeper->channel = channel[0];
	keeper->broker = pid;
	keeper->unanswered = 0;
	return 0;
}

/* ---- replacing the broker ---- */

/* Its receivers end with it. Another one is to follow, unless too many have failed. */
static void lose_broker(struct keeper *keeper)
{
	const int64_t now = clock_ms();

	if (keeper->broker)
		kill(keeper->broker, SIGKILL);
	close(keeper->channel);
	keeper->channel = -1;
	keeper->broker = 0;
	keeper->announced = false;
	keeper->ping_at = now;
	if (now - keeper->restarts_since >= RESTARTS_MS) {
		keeper->restarts_since = now;
		keeper->restarts = 0;
	}
	if (++keeper->restarts <= RESTARTS_MAX)
		return;
	keeper_note(
		keeper, -ECHILD,
		"the process that takes sockets and watches namespaces has failed again and again: "
		"none is added or left any more; start again");
	keeper->ended = true;
	keeper->status = EXIT_FAILURE;
}

/* Returns whether the server knows, or will never know because it is gone. */
static bool announce(struct keeper *keeper)
{
	const struct ipc_msg message = { .type = IPC_RESTART };
	int err = ipc_send(keeper->ipc, &message, -1);

	if (err < 0 && err != -EPIPE && err != -ECONNRESET) {
		if (err != -EAGAIN) /* for that, there is POLLOUT */
			keeper->ping_at = clock_ms() + PING_MS;
		return false;
	}
	keeper->generation++;
	return true;
}

/*
 * The server must know before the new one sends anything, so this waits for room in the socket. Without
 * memory for a broker it is tried again, as often as it takes.
 */
static void replace_broker(struct keeper *keeper)
{
	keeper->announced = keeper->announced || announce(keeper);
	if (keeper->announced)
		(void)start_broker(keeper);
}

/* ---- the loop ---- */

static void broker_ended(struct keeper *keeper, int status)
{
	/* It has no more to do, or has reported why it cannot. */
	if (WIFEXITED(status) && WEXITSTATUS(status) <= BROKER_GAVE_UP) {
		keeper->broker = 0;
		keeper->ended = true;
		keeper->status = WEXITSTATUS(status);
		return;
	}
	keeper->broker = 0;
	lose_broker(keeper);
}

/* Our parent's end causes the same signal. */
static void signals_ready(struct keeper *keeper)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(keeper->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	if (getppid() != keeper->parent)
		keeper->ended = true;
	while (!keeper->ended && (pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == keeper->broker)
			broker_ended(keeper, status);
}

static void keeper_channel_ready(struct keeper *keeper)
{
	struct ipc_msg message;
	int fd, n = ipc_receive(keeper->channel, &message, &fd);

	/* A broker that was taken over. The descriptor stays open: closing it may block. */
	if (fd >= 0)
		lose_broker(keeper);
	else if (n == 1 && message.type == IPC_PING)
		keeper->unanswered = 0;
	else if (n == -ECONNRESET) /* it is ending */
		poll(NULL, 0, 1);
}

/* Counted, not timed: if both were stopped for a while, that is no reason to replace it. */
static void ping(struct keeper *keeper)
{
	const struct ipc_msg message = { .type = IPC_PING };

	keeper->ping_at = clock_ms() + PING_MS;
	if (keeper->unanswered++ == UNANSWERED_MAX)
		lose_broker(keeper);
	else
		(void)ipc_send(keeper->channel, &message, -1);
}

/* To announce another broker. */
static bool needs_room(const struct keeper *keeper)
{
	return !keeper->broker && !keeper->announced && clock_ms() >= keeper->ping_at;
}

static void keeper_run(struct keeper *keeper)
{
	while (!keeper->ended) {
		struct pollfd ready[] = { { .fd = keeper->ipc,
					    .events = POLLRDHUP |
						      (needs_room(keeper) ? POLLOUT : 0) },
					  { .fd = keeper->signals, .events = POLLIN },
					  { .fd = keeper->channel, .events = POLLIN } };
		int64_t left = needs_room(keeper) ? PING_MS : keeper->ping_at - clock_ms();

		(void)poll(ready, 3, left < 0 ? 0 : left > PING_MS ? PING_MS : (int)left);
		if (ready[0].revents & (POLLRDHUP | POLLHUP | POLLERR))
			return;
		if (ready[1].revents)
			signals_ready(keeper);
		if (ready[2].revents && keeper->channel >= 0)
			keeper_channel_ready(keeper);
		if (keeper->ended || clock_ms() < keeper->ping_at)
			continue;
		if (keeper->broker)
			ping(keeper);
		else
			replace_broker(keeper);
	}
}

/* A broker or receiver that is still there has a copy of the listener, so closing it would not be enough. */
static void stop_listening(struct keeper *keeper)
{
	const struct broker_options *options = keeper->options;

	if (options->own) {
		options->own->fd = -1;
		unix_unlisten(options->own);
		(void)shutdown(keeper->listeners[options->listener_count - 1], SHUT_RDWR);
	}
	if (keeper->broker)
		kill(keeper->broker, SIGKILL);
	(void)shutdown(keeper->ipc, SHUT_RDWR);
}

static _Noreturn void keeper_main(const struct broker_options *options, int ipc, pid_t parent)
{
	struct keeper keeper = {
		.options = options, .ipc = ipc, .channel = -1, .signals = -1, .parent = parent
	};
	char error[IPC_TEXT_SIZE] = "";
	int err;

	prctl(PR_SET_NAME, "mnfq-keeper");
	die_with_parent(parent, SIGCHLD);
	err = keeper_set_up(&keeper);
	if (err == 0)
		err = limit_rights(&keeper, error, sizeof(error));
	if (err == 0 && (err = start_broker(&keeper)) < 0)
		snprintf(error, sizeof(error), "the broker cannot be started: %s",
			 strerror(-err));
	if (err == 0) {
		keeper_run(&keeper);
	} else {
		keeper.status = BROKER_GAVE_UP;
		keeper_note(&keeper, err, error[0] ? error : strerror(-err));
	}
	stop_listening(&keeper);
	_exit(keeper.status);
}

/* ---- the start ---- */

/*
 * Room for thousands of answers, so that the server hardly ever finds the socket full. In the other
 * direction the broker keeps what there is no room for.
 */
static void enlarge_buffer(int ipc)
{
	const int size = 4 << 20;

	if (setsockopt(ipc, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		(void)setsockopt(ipc, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int broker_start(const struct broker_options *options, pid_t *pid, char *error, size_t error_size)
{
	pid_t parent = getpid(), child;
	int ends[2], err = ipc_new(ends);

	if (err < 0) {
		snprintf(error, error_size, "cannot make sockets: %s", strerror(-err));
		return err;
	}
	child = fork();
	if (child == 0)
		keeper_main(options, ends[1], parent);
	err = child < 0 ? -errno : 0;
	close(ends[1]);
	if (err < 0) {
		snprintf(error, error_size, "cannot start another process: %s", strerror(-err));
		close(ends[0]);
		return err;
	}
	enlarge_buffer(ends[0]);
	*pid = child;
	return ends[0];
}
