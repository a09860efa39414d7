/* SPDX-License-Identifier: MIT */
/* The broker's receivers: starting them, what they report, and those that hang. */
#include "broker/receivers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/sys.h"

#define RECEIVERS_MAX  64                      /* with those that do not end */
#define WORKING_MAX    4                       /* at a time */
#define LATE_MS        (RECEIVER_JOB_MS + 100) /* after that it should have ended by itself */
#define LIFE_MS        25000                   /* whatever it reports */
#define START_RETRY_MS 100                     /* after one could not be started */
#define RESERVE_COUNT  2
/* Each job has one result, and those of all are taken before another one starts. */
#define RESULTS_MAX (WORKING_MAX * RECEIVER_JOBS_MAX)

struct receiver {
	struct event_source control; /* -1: it has nothing more to report */
	pid_t pid;                   /* 0: there is none */
	bool working, stuck;
	uint32_t uid;
	uint64_t ids[RECEIVER_JOBS_MAX];
	unsigned int count, done;
	int64_t since; /* when it began with the next job, or reported that it waits for the server */
	int64_t began;
};

struct receivers {
	struct loop *loop;
	struct outbox *outbox;
	struct peer_users *users;
	const struct broker_options *options;
	struct receiver all[RECEIVERS_MAX];
	struct event_source signals;   /* SIGCHLD */
	int reserve_fd[RESERVE_COUNT]; /* closed to start one; 0: none */
	struct receive_result results[RESULTS_MAX];
	unsigned int first_result, result_count;
	int64_t retry_at; /* none can be started before, for want of memory; 0: one can */
	bool stuck_reported;
};

/* ---- results ---- */

static void add_result(struct receivers *receivers, const struct receive_result *result)
{
	unsigned int at = receivers->first_result + receivers->result_count++;

	receivers->results[at % RESULTS_MAX] = *result;
}

bool receivers_take_result(struct receivers *receivers, struct receive_result *result)
{
	if (receivers->result_count == 0)
		return false;
	*result = receivers->results[receivers->first_result++ % RESULTS_MAX];
	receivers->result_count--;
	return true;
}

static void add_answer(struct receivers *receivers, const struct ipc_msg *answer)
{
	struct receive_result result = { .id = answer->id,
					 .outcome = RECEIVE_ANSWERED,
					 .error = answer->error,
					 .flags = answer->flags };

	snprintf(result.text, sizeof(result.text), "%s", answer->text);
	add_result(receivers, &result);
}

/* ---- work ---- */

static void close_control(struct receivers *receivers, struct receiver *receiver)
{
	loop_remove(receivers->loop, &receiver->control);
	close(receiver->control.fd);
	receiver->control.fd = -1;
}

/* It is not forgotten before the process has ended. */
static void end_work(struct receivers *receivers, struct receiver *receiver, bool stuck)
{
	const int64_t now = clock_ms();
	struct peer_user *user = peer_find_user(receivers->users, receiver->uid, now);

	receiver->working = false;
	receiver->stuck = stuck;
	close_control(receivers, receiver);
	if (!user)
		return;
	user->stuck += stuck;
	peer_end(user, now, stuck);
}

/* Gives one up. It hangs on the first job that it did not report, and has not begun with the others. */
static void give_up(struct receivers *receivers, struct receiver *receiver)
{
	enum receive_outcome outcome = RECEIVE_STUCK;

	end_work(receivers, receiver, true);
	if (!receivers->stuck_reported)
		outbox_note(receivers->outbox,
			    "user %u handed over what cannot be closed: such hand-overs are "
			    "given up, and the next ones of that user delayed",
			    receiver->uid);
	receivers->stuck_reported = true;
	for (unsigned int i = receiver->done; i < receiver->count; i++) {
		add_result(receivers, &(struct receive_result){ .id = receiver->ids[i],
								.outcome = outcome });
		outcome = RECEIVE_NOT_BEGUN;
	}
}

static void control_ready(struct event_source *source, uint32_t events)
{
	struct receivers *receivers = source->owner;
	struct receiver *receiver = (struct receiver *)source;
	struct ipc_msg message;
	int fd, n = ipc_receive(source->fd, &message, &fd);

	(void)events;
	/* A receiver that was taken over. The descriptor stays open: closing it may block. */
	if (fd >= 0) {
		give_up(receivers, receiver);
		return;
	}
	if (n == 1 && message.id == receiver->ids[receiver->done]) {
		receiver->since = clock_ms();
		if (message.type == IPC_ANSWER) {
			receiver->done++;
			add_answer(receivers, &message);
		}
	}
	if (receiver->done == receiver->count)
		end_work(receivers, receiver, false);
	else if (n < 0 && n != -EBADMSG)
		give_up(receivers, receiver);
}

/* ---- starting ---- */

static struct receiver *find_free(struct receivers *receivers)
{
	for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
		if (receivers->all[i].pid == 0)
			return &receivers->all[i];
	return NULL;
}

bool receivers_reserve(struct receivers *receivers)
{
	int *fds = receivers->reserve_fd;

	for (unsigned int i = 0; i < RESERVE_COUNT; i++)
		if (fds[i] <= 0)
			fds[i] = fcntl(receivers->loop->epoll, F_DUPFD_CLOEXEC, 3);
	return fds[RESERVE_COUNT - 1] > 0;
}

/* There are descriptors for it, also where clients have taken all others. */
static int make_control(struct receivers *receivers, int ends[2])
{
	int *fds = receivers->reserve_fd;

	for (unsigned int i = 0; i < RESERVE_COUNT; i++) {
		if (fds[i] > 0)
			close(fds[i]);
		fds[i] = 0;
	}
	return ipc_new(ends);
}

/* In the child, which dies with the broker. */
static _Noreturn void run_receiver(const struct receivers *receivers, pid_t broker, int control,
				   const struct receiver_job *jobs, unsigned int count, bool hold)
{
	const struct broker_options *options = receivers->options;
	sigset_t none;

	die_with_parent(broker, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (hold)
		receiver_hold(control, jobs, count);
	receiver_work(&(struct receiver_setup){
		.control = control,
		.ipc = outbox_get_fd(receivers->outbox),
		.jobs = jobs,
		.count = count,
		.life_ms = options->receive_ms ? options->receive_ms : LIFE_MS,
		.plain = options->plain,
		.sandbox = options->sandbox });
}

/* @hold: it receives nothing. */
static struct receiver *start(struct receivers *receivers, const struct receiver_job *jobs,
			      unsigned int count, bool hold)
{
	struct receiver *receiver = find_free(receivers);
	pid_t broker = getpid(), pid = -1;
	int ends[2];

	if (!receiver || make_control(receivers, ends) < 0)
		return NULL;
	*receiver = (struct receiver){ .control = { control_ready, receivers, ends[0] } };
	if (hold || loop_add(receivers->loop, &receiver->control, EPOLLIN) == 0)
		pid = fork();
	if (pid == 0)
		run_receiver(receivers, broker, ends[1], jobs, count, hold);
	close(ends[1]);
	if (pid < 0) {
		close_control(receivers, receiver);
		return NULL;
	}
	receiver->pid = pid;
	return receiver;
}

static unsigned int count_free(const struct receivers *receivers)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
		count += receivers->all[i].pid == 0;
	return count;
}

int receivers_may_start(struct receivers *receivers, uint32_t uid, int64_t now, int64_t *retry_at,
			const char **why)
{
	struct peer_user *user = peer_find_user(receivers->users, uid, now);
	int err = user ? peer_check_stuck(user, count_free(receivers), why) : -EBUSY;

	*retry_at = 0;
	if (!user)
		*why = "too many users hand sockets over: try again later";
	if (err < 0)
		return err;
	return peer_begin(user, now, retry_at) ? 0 : -EAGAIN;
}

int receivers_start(struct receivers *receivers, uint32_t uid, const struct receiver_job *jobs,
		    unsigned int count)
{
	struct receiver *receiver = start(receivers, jobs, count, false);

	if (!receiver) {
		peer_find_user(receivers->users, uid, 0)->busy = false;
		receivers->retry_at = clock_ms() + START_RETRY_MS;
		return -EAGAIN;
	}
	receiver->working = true;
	receiver->uid = uid;
	receiver->count = count;
	receiver->since = receiver->began = clock_ms();
	for (unsigned int i = 0; i < count; i++)
		receiver->ids[i] = jobs[i].id;
	return 0;
}

struct receiver *receivers_hold(struct receivers *receivers, const struct receiver_job *jobs,
				unsigned int count)
{
	return start(receivers, jobs, count, true);
}

void receivers_release(struct receivers *receivers, struct receiver *receiver)
{
	close_control(receivers, receiver);
}

int64_t receivers_get_retry(const struct receivers *receivers)
{
	return receivers->retry_at;
}

bool receivers_ready(struct receivers *receivers)
{
	unsigned int working = 0;

	if (clock_ms() < receivers->retry_at)
		return false;
	receivers->retry_at = 0;
	for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
		working += receivers->all[i].pid && receivers->all[i].working;
	return working < WORKING_MAX && find_free(receivers) &&
	       outbox_has_room(receivers->outbox);
}

/* ---- the end ---- */

static void ended(struct receivers *receivers, struct receiver *receiver)
{
	struct peer_user *user;

	while (receiver->working) /* what it has reported comes first */
		control_ready(&receiver->control, 0);
	receiver->pid = 0;
	if (!receiver->stuck)
		return;
	/* It may have sent IPC_ATTACH only after the first IPC_DETACH. */
	outbox_detach(receivers->outbox, receiver->ids[receiver->done]);
	user = peer_find_user(receivers->users, receiver->uid, clock_ms());
	if (user)
		user->stuck--;
}

static void child_ended(struct event_source *source, uint32_t events)
{
	struct receivers *receivers = source->owner;
	struct signalfd_siginfo info;
	pid_t pid;

	(void)events;
	while (read(source->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		;
	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (unsigned int i = 0; i < RECEIVERS_MAX; i++)
			if (receivers->all[i].pid == pid)
				ended(receivers, &receivers->all[i]);
}

int receivers_new(struct receivers **ret, struct loop *loop, struct outbox *outbox,
		  struct peer_users *users, const struct broker_options *options)
{
	struct receivers *receivers = calloc(1, sizeof(*receivers));
	sigset_t child;

	if (!receivers)
		return -ENOMEM;
	*ret = receivers;
	receivers->loop = loop;
	receivers->outbox = outbox;
	receivers->users = users;
	receivers->options = options;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_SETMASK, &child, NULL);
	receivers->signals =
		(struct event_source){ child_ended, receivers,
				       signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK) };
	if (receivers->signals.fd < 0)
		return -errno;
	return loop_add(loop, &receivers->signals, EPOLLIN);
}

int64_t receivers_run_timers(struct receivers *receivers, int64_t now)
{
	const unsigned int life_ms = receivers->options->receive_ms;
	int64_t due = 0;

	for (unsigned int i = 0; i < RECEIVERS_MAX; i++) {
		struct receiver *receiver = &receivers->all[i];

		if (!receiver->pid || !receiver->working)
			continue;
		if (now - receiver->since >= LATE_MS ||
		    now - receiver->began >= (life_ms ? life_ms : LIFE_MS))
			give_up(receivers, receiver);
		else
			due = earlier(due, receiver->since + LATE_MS);
	}
	return due;
}
