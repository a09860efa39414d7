/* SPDX-License-Identifier: MIT */
/*
 * mnfq share --connect: this process does nothing but connect, again and again. For each connection it forks a
 * child that does the hand-over, in a sandbox that cannot connect to anything.
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

#define BACKOFF_MIN 20 /* ms between attempts; doubled each time */
#define BACKOFF_MAX 1000

/* The result of an attempt; also the exit status of the child. */
enum share_outcome {
	TAKEN,  /* and with --keep the connection has ended */
	FAILED, /* for good; the reason was reported */
	RETRY,  /* no program listened, or it closed the connection without replying */
	ENDED,  /* by a signal */
};

struct offerer {
	const struct share_options *opts;
	int signals;
	int64_t deadline; /* 0: none */
	bool reported;    /* that we wait */
};

/* The time until the deadline, at most @most; -1: no limit. */
static int time_left(const struct offerer *offerer, int most)
{
	int64_t left = offerer->deadline - clock_ms();

	if (offerer->deadline == 0 || (most >= 0 && left > most))
		return most;
	return left > 0 ? (int)left : 0;
}

/* ---- the child --------------------------------------------------------------------------- */

/* Whatever the peer sends meanwhile is discarded. */
static void wait_for_hangup(int stream)
{
	struct pollfd pfd = { .fd = stream, .events = POLLIN };
	char discarded[256];

	do
		poll(&pfd, 1, -1);
	while (recv(stream, discarded, sizeof(discarded), 0) > 0);
}

static bool is_worth_retrying(int err)
{
	switch (err) {
	case -ECONNRESET:
	case -EPIPE:
	case -ETIMEDOUT:
	case -ETIME: /* from the peer */
	case -EMFILE:
	case -ENFILE:
	case -ENOMEM:
	case -ETOOMANYREFS:
		return true;
	default:
		return false;
	}
}

static enum share_outcome hand_over(struct offerer *offerer, int stream)
{
	const struct share_options *opts = offerer->opts;
	char error[MNFQ_ERRMSG_SIZE] = "";
	const struct mnfq_handover_options options = { .size = sizeof(options),
						       .error = error,
						       .error_size = sizeof(error) };
	struct ucred peer = { .pid = 0 };
	socklen_t len = sizeof(peer);
	int err;

	if (share_enter_sandbox(opts))
		return FAILED;
	err = share_send(opts, stream, opts->keep ? MNFQ_HANDOVER_KEEP : 0, error, sizeof(error));
	if (err == 0 || err == -EPIPE) /* its answer may say why */
		err = mnfq_handover_wait(stream, time_left(offerer, -1), &options);
	if (is_worth_retrying(err))
		return RETRY;
	(void)getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	if (err < 0) {
		fail(SHARE_NAME, "pid %d, uid %u refused the socket: %s", (int)peer.pid, peer.uid,
		     error);
		return FAILED;
	}
	fprintf(stderr, "socket taken by pid %d, uid %u\n", (int)peer.pid, peer.uid);
	if (opts->keep)
		wait_for_hangup(stream);
	return TAKEN;
}

/* ---- the parent -------------------------------------------------------------------------- */

/* The next signal, or 0 if none came in time. */
static int wait_for_signal(const struct offerer *offerer, int timeout_ms)
{
	struct pollfd pfd = { .fd = offerer->signals, .events = POLLIN };
	struct signalfd_siginfo info;

	if (poll(&pfd, 1, timeout_ms) <= 0 ||
	    read(offerer->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	return (int)info.ssi_signo;
}

/* On a signal the child is terminated. */
static enum share_outcome wait_for_child(const struct offerer *offerer, pid_t pid)
{
	int status = 0, signal;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		signal = wait_for_signal(offerer, -1);
		if (signal == 0 || signal == SIGCHLD)
			continue;
		kill(pid, SIGTERM);
		waitpid(pid, &status, 0);
		return ENDED;
	}
	if (WIFEXITED(status))
		return (enum share_outcome)WEXITSTATUS(status);
	fail(SHARE_NAME, "the child that offers the socket was killed by signal %d",
	     WTERMSIG(status));
	return FAILED;
}

static void run_child(struct offerer *offerer, int stream, pid_t parent)
{
	sigset_t none;

	close(offerer->signals);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	_exit(getppid() == parent ? hand_over(offerer, stream) : FAILED);
}

static enum share_outcome try_handover(struct offerer *offerer)
{
	char error[512];
	pid_t pid, parent = getpid();
	int stream = unix_connect(offerer->opts->connect, error, sizeof(error));

	if (stream == -ENOENT || stream == -ECONNREFUSED || stream == -EAGAIN)
		return RETRY;
	if (stream < 0) {
		fail(SHARE_NAME, "%s", error);
		return FAILED;
	}
	pid = fork();
	if (pid == 0)
		run_child(offerer, stream, parent);
	close(stream);
	if (pid < 0) {
		fail(SHARE_NAME, "cannot fork: %s", strerror(errno));
		return FAILED;
	}
	return wait_for_child(offerer, pid);
}

static void start_attempts(struct offerer *offerer)
{
	offerer->reported = false;
	if (offerer->opts->timeout > 0)
		offerer->deadline = clock_ms() + (int64_t)offerer->opts->timeout * 1000;
}

/* Returns false on a signal. */
static bool back_off(struct offerer *offerer, int backoff_ms)
{
	int signal;

	if (!offerer->reported)
		fprintf(stderr, "waiting for a receiver at %s\n", offerer->opts->connect);
	offerer->reported = true;
	do
		signal = wait_for_signal(offerer, time_left(offerer, backoff_ms));
	while (signal == SIGCHLD);
	return signal == 0;
}

static int get_end_status(const struct offerer *offerer)
{
	if (offerer->opts->keep)
		return EXIT_SUCCESS;
	return fail(SHARE_NAME, "interrupted before the socket was taken");
}

int share_connect(const struct share_options *opts)
{
	struct offerer offerer = { .opts = opts };
	int backoff_ms = BACKOFF_MIN;

	signal(SIGCHLD, SIG_DFL); /* if it was ignored, there would be no child to wait for */
	offerer.signals = share_catch_signals(SIGCHLD);
	if (offerer.signals < 0)
		return fail(SHARE_NAME, "cannot catch signals: %s", strerror(-offerer.signals));
	start_attempts(&offerer);
	for (;;) {
		switch (try_handover(&offerer)) {
		case TAKEN:
			if (!opts->keep)
				return EXIT_SUCCESS;
			start_attempts(&offerer);
			backoff_ms = BACKOFF_MIN;
			break;
		case RETRY:
			if (time_left(&offerer, 1) == 0)
				return fail(SHARE_NAME,
					    "no receiver at %s took the socket within %u s",
					    opts->connect, opts->timeout);
			break;
		case ENDED:
			return get_end_status(&offerer);
		default:
			return EXIT_FAILURE;
		}
		if (!back_off(&offerer, backoff_ms))
			return get_end_status(&offerer);
		backoff_ms = backoff_ms * 2 < BACKOFF_MAX ? backoff_ms * 2 : BACKOFF_MAX;
	}
}
