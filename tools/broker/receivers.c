/* SPDX-License-Identifier: MIT */
/*
 * The broker's receivers: which of them has what to do, and for whom there is another one. One that takes
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
#define START_AGAIN_MS 100                  /* after one could not be started */

static struct peer_user *user_of(struct broker *broker, uint32_t uid, int64_t now)
{
	return peer_find_user(&broker->receivers.users, uid, now);
}

static void close_control(struct broker *broker, struct receiver *receiver)
{
	(void)epoll_ctl(broker->epoll, EPOLL_CTL_DEL, receiver->source.fd, NULL);
	close(receiver->source.fd);
	receiver->source.fd = -1;
}

/* What it had to do is done. It is not forgotten before it has ended. */
static void end_work(struct broker *broker, struct receiver *receiver, bool stalled)
{
	const int64_t now = clock_ms();
	struct peer_user *user = user_of(broker, receiver->uid, now);

	receiver->working = false;
	receiver->stuck = stalled;
	close_control(broker, receiver);
	if (user)
		peer_end(user, now, stalled);
}

/* It hangs on the first that it told nothing of; it did not come to the others. */
static void lose(struct broker *broker, struct receiver *receiver)
{
	unsigned int i = receiver->done;

	end_work(broker, receiver, true);
	if (!broker->receivers.told_lost)
		broker_note(
			broker,
			"user %u handed over what cannot be closed: such hand-overs are given up, "
			"and the next ones of that user delayed",
			receiver->uid);
	broker->receivers.told_lost = true;
	peers_lost(broker, receiver->ids[i]);
	while (++i < receiver->count)
		peers_not_received(broker, receiver->ids[i]);
}

static void control_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct receiver *receiver = (struct receiver *)source;
	struct ipc_msg message;
	int fd, n = ipc_receive(source->fd, &message, &fd);

	(void)events;
	if (fd >= 0)
		close(fd);
	if (n == 1 && message.id == receiver->ids[receiver->done]) {
		receiver->since = clock_ms();
		if (message.type == IPC_ANSWER) {
			receiver->done++;
			peers_received(broker, &message);
		}
	}
	if (receiver->done == receiver->count)
		end_work(broker, receiver, false);
	else if (n < 0 && n != -EBADMSG)
		lose(broker, receiver);
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

bool receivers_take_spare(struct broker *broker)
{
	int *spare = broker->receivers.spare;

	for (unsigned int i = 0; i < RECEIVERS_SPARE; i++)
		if (spare[i] <= 0)
			spare[i] = fcntl(broker->epoll, F_DUPFD_CLOEXEC, 3);
	return spare[RECEIVERS_SPARE - 1] > 0;
}

/* There are descriptors for a control link, also where peers have taken all others. */
static int make_control(struct broker *broker, int ends[2])
{
	int *spare = broker->receivers.spare;

	for (unsigned int i = 0; i < RECEIVERS_SPARE; i++) {
		if (spare[i] > 0)
			close(spare[i]);
		spare[i] = 0;
	}
	return ipc_new(ends);
}

/* @hold: nothing is received. Returns it, or NULL. */
static struct receiver *start(struct broker *broker, const struct receiver_job *jobs,
			      unsigned int count, bool hold)
{
	const struct broker_options *options = broker->options;
	struct receiver *receiver = find_free(&broker->receivers);
	int ends[2];
	pid_t us = getpid();

	if (!receiver || make_control(broker, ends) < 0)
		return NULL;
	receiver->pid = fork();
	if (receiver->pid == 0) {
		become_receiver(us);
		if (hold)
			receiver_hold(ends[1], jobs, count);
		receiver_work(ends[1], broker->link.fd, jobs, count, options->plain,
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

int receivers_may(struct broker *broker, uint32_t uid, int64_t now, int64_t *retry_at)
{
	struct peer_user *user = user_of(broker, uid, now);

	*retry_at = 0;
	if (!user || count_stuck(&broker->receivers, uid) >= STUCK_MAX)
		return -EBUSY;
	return peer_begin(user, now, retry_at) ? 0 : -EAGAIN;
}

int receivers_start(struct broker *broker, uint32_t uid, const struct receiver_job *jobs,
		    unsigned int count)
{
	struct receiver *receiver = start(broker, jobs, count, false);

	if (!receiver) {
		user_of(broker, uid, 0)->busy = false;
		broker->receivers.retry_at = clock_ms() + START_AGAIN_MS;
		return -EAGAIN;
	}
	receiver->working = true;
	receiver->uid = uid;
	receiver->count = count;
	receiver->since = receiver->began = clock_ms();
	for (unsigned int i = 0; i < count; i++)
		receiver->ids[i] = jobs[i].id;
	if (broker_add(broker, &receiver->source, EPOLLIN) < 0)
		lose(broker, receiver);
	return 0;
}

struct receiver *receivers_hold(struct broker *broker, const struct receiver_job *jobs,
				unsigned int count)
{
	return start(broker, jobs, count, true);
}

void receivers_release(struct broker *broker, struct receiver *receiver)
{
	close_control(broker, receiver);
}

/* ---- room ---- */

/* What several receivers have to say fits while it is writable at all. */
static bool is_writable(int link)
{
	struct pollfd ready = { .fd = link, .events = POLLOUT };

	return poll(&ready, 1, 0) == 1 && ready.revents & POLLOUT;
}

bool receivers_ready(struct broker *broker)
{
	struct receivers *receivers = &broker->receivers;
	unsigned int i, working = 0;

	if (clock_ms() < receivers->retry_at)
		return false;
	receivers->retry_at = 0;
	for (i = 0; i < RECEIVERS_MAX; i++)
		working += receivers->all[i].pid && receivers->all[i].working;
	if (working >= WORKING_MAX || broker->unsent_count > 0 || !find_free(&broker->receivers))
		return false;
	if (is_writable(broker->link.fd))
		return true;
	broker_change(broker, &broker->link, EPOLLIN | EPOLLOUT);
	return false;
}

/* ---- the end ---- */

static void ended(struct broker *broker, struct receiver *receiver)
{
	while (receiver->working) /* what it has said comes first */
		control_ready(broker, &receiver->source, 0);
	/* It may have been on the way when it was withdrawn first. */
	if (receiver->stuck)
		broker_detach(broker, receiver->ids[receiver->done]);
	receiver->pid = 0;
}

static void receivers_signals_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct signalfd_siginfo info;
	pid_t pid;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
			if (broker->receivers.all[i].pid == pid)
				ended(broker, &broker->receivers.all[i]);
}

int receivers_init(struct broker *broker)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_SETMASK, &child, NULL);
	broker->receivers.signals =
		(struct source){ receivers_signals_ready,
				 signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK) };
	if (broker->receivers.signals.fd < 0)
		return -errno;
	return broker_add(broker, &broker->receivers.signals, EPOLLIN);
}

int64_t receivers_tend(struct broker *broker, int64_t now)
{
	int64_t due = 0;

	for (unsigned int i = 0; i < RECEIVERS_MAX; i++) {
		struct receiver *receiver = &broker->receivers.all[i];

		if (!receiver->pid || !receiver->working)
			continue;
		if (now - receiver->since >= LATE_MS || now - receiver->began >= WORK_MS)
			lose(broker, receiver);
		else
			due = earlier_of(due, receiver->since + LATE_MS);
	}
	return due;
}
