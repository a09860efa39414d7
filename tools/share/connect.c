/* SPDX-License-Identifier: MIT */
/*
 * mnfq share --connect: this process does nothing but connect, again and again. For each connection
 * it forks one that talks, without the right to connect to anything.
 */
#include <errno.h>
#include <mnfq/handover.h>
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

#include "common/program.h"
#include "common/sys.h"
#include "common/unix-socket.h"
#include "share/share.h"

#define PAUSE_MIN 20 /* ms between tries; doubled each time */
#define PAUSE_MAX 1000

/* What became of a try. */
enum share_outcome {
	TAKEN,  /* and with --keep it is over again */
	FAILED, /* for good; the reason was told */
	AGAIN,  /* nobody was there, or went without having said anything */
	ENDED,  /* by a signal */
};

struct offerer {
	const struct share_options *opts;
	int signals;
	int64_t deadline; /* 0: none */
	bool told;        /* that we wait */
};

/* What is left of @most, or of the time until the deadline if that is less; -1 is without end. */
static int time_left(const struct offerer *offerer, int most)
{
	int64_t left = offerer->deadline - clock_ms();

	if (offerer->deadline == 0 || (most >= 0 && left > most))
		return most;
	return left > 0 ? (int)left : 0;
}

/* ---- the one that talks ---- */

/* It has no business with what the other side may say meanwhile: only its end counts. */
static void stay(int stream)
{
	struct pollfd pfd = { .fd = stream, .events = POLLIN };
	char scrap[256];

	do
		poll(&pfd, 1, -1);
	while (recv(stream, scrap, sizeof(scrap), 0) > 0);
}

static bool is_passing(int err)
{
	switch (err) {
	case -ECONNRESET:
	case -EPIPE:
	case -ETIMEDOUT:
	case -ETIME: /* the other side says that */
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ETOOMANYREFS:
		return true;
	default:
		return false;
	}
}

static enum share_outcome talk(struct offerer *offerer, int stream)
{
	const struct share_options *opts = offerer->opts;
	char error[MNFQ_ERRMSG_SIZE] = "";
	const struct mnfq_handover_options options = { .size = sizeof(options),
						       .error = error,
						       .error_size = sizeof(error) };
	struct ucred who = { .pid = 0 };
	socklen_t len = sizeof(who);
	int err;

	if (share_enter_sandbox(opts))
		return FAILED;
	err = share_send(opts, stream, opts->keep ? MNFQ_HANDOVER_KEEP : 0, error, sizeof(error));
	if (err == 0 || err == -EPIPE) /* it may have said why */
		err = mnfq_handover_wait(stream, time_left(offerer, -1), &options);
	if (is_passing(err))
		return AGAIN;
	(void)getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &who, &len);
	if (err < 0) {
		fail(SHARE_NAME, "pid %d, uid %u has not taken it: %s", (int)who.pid, who.uid,
		     error);
		return FAILED;
	}
	fprintf(stderr, "pid %d, uid %u took the socket\n", (int)who.pid, who.uid);
	if (opts->keep)
		stay(stream);
	return TAKEN;
}

/* ---- the one that connects ---- */

/* The next signal, or 0 if none came in time. */
static int await_signal(const struct offerer *offerer, int timeout_ms)
{
	struct pollfd pfd = { .fd = offerer->signals, .events = POLLIN };
	struct signalfd_siginfo info;

	if (poll(&pfd, 1, timeout_ms) <= 0 ||
	    read(offerer->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

/* Waits for the one that talks, or ends it. */
static enum share_outcome await_talker(const struct offerer *offerer, pid_t pid)
{
	int status = 0, signal;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		signal = await_signal(offerer, -1);
		if (signal == 0 || signal == SIGCHLD)
			continue;
		kill(pid, SIGTERM);
		waitpid(pid, &status, 0);
		return ENDED;
	}
	if (WIFEXITED(status))
		return (enum share_outcome)WEXITSTATUS(status);
	fail(SHARE_NAME, "ended by signal %d while offering a socket", WTERMSIG(status));
	return FAILED;
}

static void run_talker(struct offerer *offerer, int stream, pid_t parent)
{
	sigset_t none;

	close(offerer->signals);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	_exit(getppid() == parent ? talk(offerer, stream) : FAILED);
}

static enum share_outcome try(struct offerer *offerer)
{
	char error[512];
	pid_t pid, parent = getpid();
	int stream = unix_connect(offerer->opts->connect, error, sizeof(error));

	if (stream == -ENOENT || stream == -ECONNREFUSED || stream == -EAGAIN)
		return AGAIN;
	if (stream < 0) {
		fail(SHARE_NAME, "%s", error);
		return FAILED;
	}
	pid = fork();
	if (pid == 0)
		run_talker(offerer, stream, parent);
	close(stream);
	if (pid < 0) {
		fail(SHARE_NAME, "cannot fork: %s", strerror(errno));
		return FAILED;
	}
	return await_talker(offerer, pid);
}

static void connect_begin(struct offerer *offerer)
{
	offerer->told = false;
	if (offerer->opts->timeout_ms > 0)
		offerer->deadline = clock_ms() + offerer->opts->timeout_ms;
}

/* Whether there is another try after this pause. */
static bool rest(struct offerer *offerer, int pause_ms)
{
	int signal;

	if (!offerer->told)
		fprintf(stderr, "waiting for somebody to take a socket at %s\n",
			offerer->opts->connect);
	offerer->told = true;
	do
		signal = await_signal(offerer, time_left(offerer, pause_ms));
	while (signal == SIGCHLD);
	return signal == 0;
}

static int end(const struct offerer *offerer)
{
	if (offerer->opts->keep)
		return EXIT_SUCCESS;
	return fail(SHARE_NAME, "ended before anybody took the socket");
}

int share_connect(const struct share_options *opts)
{
	struct offerer offerer = { .opts = opts };
	int pause_ms = PAUSE_MIN;

	signal(SIGCHLD, SIG_DFL); /* ignored, it would leave us no child to wait for */
	offerer.signals = share_catch_signals(SIGCHLD);
	if (offerer.signals < 0)
		return fail(SHARE_NAME, "cannot catch signals: %s", strerror(-offerer.signals));
	connect_begin(&offerer);
	for (;;) {
		switch (try(&offerer)) {
		case TAKEN:
			if (!opts->keep)
				return EXIT_SUCCESS;
			connect_begin(&offerer);
			pause_ms = PAUSE_MIN;
			break;
		case AGAIN:
			if (time_left(&offerer, 1) == 0)
				return fail(SHARE_NAME,
					    "nobody at %s took the socket within %u s",
					    opts->connect, opts->timeout_ms / 1000);
			break;
		case ENDED:
			return end(&offerer);
		default:
			return EXIT_FAILURE;
		}
		if (!rest(&offerer, pause_ms))
			return end(&offerer);
		pause_ms = pause_ms * 2 < PAUSE_MAX ? pause_ms * 2 : PAUSE_MAX;
	}
}
