/* SPDX-License-Identifier: MIT */
/*
 * The porter's receivers: which of them has what to do, and for whom there is another one. One that takes
 * too long is given up; its user has to wait then, longer each time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/internal.h"
#include "common/sys.h"

#define WORKING_MAX 4 /* at a time */
#define STUCK_MAX   2 /* that a user has made hang and that have not ended */
#define LATE_MS     (RECEIVER_JOB_MS + 100) /* it should have ended by itself */
#define WORK_MS     25000                   /* whatever it says */

static struct peer_user *user_of(struct porter *porter, uint32_t uid, int64_t now)
{
	return peer_find_user(&porter->receivers.users, uid, now);
}

static void close_control(struct porter *porter, struct receiver *receiver)
{
	(void)epoll_ctl(porter->epoll, EPOLL_CTL_DEL, receiver->source.fd, NULL);
	close(receiver->source.fd);
	receiver->source.fd = -1;
}

/* What it had to do is done. It is not forgotten before it has ended. */
static void end_work(struct porter *porter, struct receiver *receiver, bool stalled)
{
	const int64_t now = clock_ms();
	struct peer_user *user = user_of(porter, receiver->uid, now);

	receiver->working = false;
	receiver->stuck = stalled;
	close_control(porter, receiver);
	if (user)
		peer_end(user, now, stalled);
}

/* It hangs on the first that it told nothing of; it did not come to the others. */
static void lose(struct porter *porter, struct receiver *receiver)
{
	unsigned int i = receiver->done;

	end_work(porter, receiver, true);
	if (!porter->receivers.told_lost)
		porter_note(
			porter,
			"user %u handed over what cannot be closed: such hand-overs are given up, "
			"and the next ones of that user delayed",
			receiver->uid);
	porter->receivers.told_lost = true;
	peers_lost(porter, receiver->ids[i]);
	while (++i < receiver->count)
		peers_not_received(porter, receiver->ids[i]);
}

static void control_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct receiver *receiver = (struct receiver *)source;
	struct link_message message;
	int fd, n = link_receive(source->fd, &message, &fd);

	(void)events;
	if (fd >= 0)
		close(fd);
	if (n == 1 && message.id == receiver->ids[receiver->done]) {
		receiver->since = clock_ms();
		if (message.type == LINK_ANSWER) {
			receiver->done++;
			peers_received(porter, &message);
		}
	}
	if (receiver->done == receiver->count)
		end_work(porter, receiver, false);
	else if (n < 0 && n != -EBADMSG)
		lose(porter, receiver);
}

/* ---- the start ---- */

static struct receiver *find_free(struct receivers *receivers)
{
	for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
		if (receivers->all[i].pid == 0)
			return &receivers->all[i];
	return NULL;
}

/* In the child, which dies with us. */
static void become_receiver(pid_t parent)
{
	sigset_t none;

	die_with_parent(parent, SIGKILL);
	prctl(PR_SET_NAME, "mnfq-receiver");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

bool receivers_take_spare(struct porter *porter)
{
	int *spare = porter->receivers.spare;

	for (unsigned int i = 0; i < RECEIVERS_SPARE; i++)
		if (spare[i] <= 0)
			spare[i] = fcntl(porter->epoll, F_DUPFD_CLOEXEC, 3);
	return spare[RECEIVERS_SPARE - 1] > 0;
}

/* There are descriptors for a control link, also where peers have taken all others. */
static int make_control(struct porter *porter, int ends[2])
{
	int *spare = porter->receivers.spare;

	for (unsigned int i = 0; i < RECEIVERS_SPARE; i++) {
		if (spare[i] > 0)
			close(spare[i]);
		spare[i] = 0;
	}
	return link_new(ends);
}

/* @hold: nothing is received. Returns it, or NULL. */
static struct receiver *start(struct porter *porter, const struct receiver_job *jobs,
			      unsigned int count, bool hold)
{
	const struct porter_options *options = porter->options;
	struct receiver *receiver = find_free(&porter->receivers);
	int ends[2];
	pid_t us = getpid();

	if (!receiver || make_control(porter, ends) < 0)
		return NULL;
	receiver->pid = fork();
	if (receiver->pid == 0) {
		become_receiver(us);
		if (hold)
			receiver_hold(ends[1], jobs, count);
		receiver_work(ends[1], porter->link.fd, jobs, count, options->plain,
			      options->sandbox);
	}
	close(ends[1]);
	if (receiver->pid < 0) {
		receiver->pid = 0;
		close(ends[0]);
		return NULL;
	}
	*receiver =
		(struct receiver){ .source = { control_ready, ends[0] }, .pid = receiver->pid };
	return receiver;
}

static unsigned int count_stuck(const struct receivers *receivers, uint32_t uid)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
		count += receivers->all[i].pid && receivers->all[i].stuck &&
			 receivers->all[i].uid == uid;
	return count;
}

int receivers_may(struct porter *porter, uint32_t uid, int64_t now, int64_t *retry_at)
{
	struct peer_user *user = user_of(porter, uid, now);

	*retry_at = 0;
	if (!user || count_stuck(&porter->receivers, uid) >= STUCK_MAX)
		return -EBUSY;
	return peer_begin(user, now, retry_at) ? 0 : -EAGAIN;
}

int receivers_start(struct porter *porter, uint32_t uid, const struct receiver_job *jobs,
		    unsigned int count)
{
	struct receiver *receiver = start(porter, jobs, count, false);

	if (!receiver) {
		user_of(porter, uid, 0)->busy = false;
		return -EAGAIN;
	}
	receiver->working = true;
	receiver->uid = uid;
	receiver->count = count;
	receiver->since = receiver->began = clock_ms();
	for (unsigned int i = 0; i < count; i++)
		receiver->ids[i] = jobs[i].id;
	if (porter_add(porter, &receiver->source, EPOLLIN) < 0)
		lose(porter, receiver);
	return 0;
}

struct receiver *receivers_hold(struct porter *porter, const struct receiver_job *jobs,
				unsigned int count)
{
	return start(porter, jobs, count, true);
}

void receivers_release(struct porter *porter, struct receiver *receiver)
{
	close_control(porter, receiver);
}

/* ---- room ---- */

/* What several receivers have to say fits while it is writable at all. */
static bool is_writable(int link)
{
	struct pollfd ready = { .fd = link, .events = POLLOUT };

	return poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT;
}

bool receivers_ready(struct porter *porter)
{
	const struct receivers *receivers = &porter->receivers;
	unsigned int i, working = 0;

	for (i = 0; i < RECEIVERS_MAX; i++)
		working += receivers->all[i].pid && receivers->all[i].working;
	if (working >= WORKING_MAX || porter->unsent_count > 0 || !find_free(&porter->receivers))
		return false;
	if (is_writable(porter->link.fd))
		return true;
	porter_change(porter, &porter->link, EPOLLIN | EPOLLOUT);
	return false;
}

/* ---- the end ---- */

static void ended(struct porter *porter, struct receiver *receiver)
{
	while (receiver->working) /* what it has said comes first */
		control_ready(porter, &receiver->source, 0);
	/* It may have been on the way when it was withdrawn first. */
	if (receiver->stuck)
		porter_detach(porter, receiver->ids[receiver->done]);
	receiver->pid = 0;
}

static void receivers_signals_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct signalfd_siginfo info;
	pid_t pid;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
			if (porter->receivers.all[i].pid == pid)
				ended(porter, &porter->receivers.all[i]);
}

int receivers_init(struct porter *porter)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_SETMASK, &child, NULL);
	porter->receivers.signals =
		(struct source){ receivers_signals_ready,
				 signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK) };
	if (porter->receivers.signals.fd < 0)
		return -errno;
	return porter_add(porter, &porter->receivers.signals, EPOLLIN);
}

int64_t receivers_tend(struct porter *porter, int64_t now)
{
	int64_t due = 0;

	for (unsigned int i = 0; i < RECEIVERS_MAX; i++) {
		struct receiver *receiver = &porter->receivers.all[i];

		if (!receiver->pid || !receiver->working)
			continue;
		if (now - receiver->since >= LATE_MS || now - receiver->began >= WORK_MS)
			lose(porter, receiver);
		else
			due = porter_earlier(due, receiver->since + LATE_MS);
	}
	return due;
}
