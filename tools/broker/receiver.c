/* SPDX-License-Identifier: MIT */
/* A receiver: the only process that has descriptors of clients, and that may hang on them. */
#include "broker/receiver.h"

#include <errno.h>
#include <mnfq/handover.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "broker/ipc.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

#define BUSY_MS                                                                                  \
	20000 /* how long the server may be late, or the limit of descriptors in flight reached */
#define PASS_RETRY_MS 5

/* While it hangs it must not keep descriptors of the broker or the server open, nor stderr. */
static void close_others(int control, int ipc, const struct receiver_job *jobs,
			 unsigned int count)
{
	int own[RECEIVER_JOBS_MAX + 2] = { control, ipc };
	unsigned int i;

	(void)dup2(0, 2);
	for (i = 0; i < count; i++)
		own[2 + i] = jobs[i].stream;
	close_all_but(own, count + 2);
}

/*
 * The time limit of all of it, also for one that was taken over through what a client sent: SIGKILL
 * cannot be ignored, and in the sandbox the timer cannot be changed.
 */
static int limit_life(unsigned int ms)
{
	struct sigevent kill = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	const struct itimerspec when = { .it_value = { .tv_sec = ms / 1000,
						       .tv_nsec = ms % 1000 * 1000000L } };
	timer_t timer;

	if (timer_create(CLOCK_MONOTONIC, &kill, &timer) < 0)
		return -errno;
	return timer_settime(timer, 0, &when, NULL) < 0 ? -errno : 0;
}

/* The time limit of a job. The signal also interrupts a close() that can be interrupted. */
static void set_alarm(void)
{
	const struct itimerval timer = { .it_value.tv_usec = RECEIVER_JOB_MS * 1000 };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * Hardly ever waits for the server, since the broker starts no receiver while its socket is full. But the
 * kernel counts descriptors in flight by user, and other programs may have used up the limit. The broker gets
 * to know that we are waiting, and do not hang.
 */
static int pass_on(const struct receiver_setup *setup, const struct ipc_msg *message, int fd)
{
	const struct ipc_msg waiting = { .type = IPC_PING, .id = message->id };
	const int64_t end = clock_ms() + BUSY_MS;
	int err;

	while (((err = ipc_send(setup->ipc, message, fd)) == -EAGAIN || err == -ETOOMANYREFS) &&
	       clock_ms() < end) {
		set_alarm();
		(void)ipc_send(setup->control, &waiting, -1);
		(void)poll(NULL, 0, PASS_RETRY_MS);
	}
	return err == -EAGAIN || err == -ETOOMANYREFS ? -EBUSY : err;
}

/* Offers what was received to the server. Takes @fd. */
static int offer_to_server(const struct receiver_setup *setup, int stream,
			   const struct mnfq_handover *info, struct ipc_msg *message, int fd)
{
	int err;

	message->type = IPC_ATTACH;
	message->flags = info->flags;
	memcpy(message->label, info->label, sizeof(message->label));
	err = pass_on(setup, message, fd);
	close(fd);
	if (err < 0) {
		snprintf(message->text, sizeof(message->text),
			 "mnfq dump cannot take it: try again");
		(void)mnfq_handover_answer(stream, info, err, message->text);
	}
	return err;
}

/* Turns @message into the answer for the broker. */
static void receive_one(const struct receiver_setup *setup, struct ipc_msg *message, int stream)
{
	struct mnfq_handover info = MNFQ_INIT(info);
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = setup->plain ? MNFQ_HANDOVER_PLAIN : 0,
						 .error = message->text,
						 .error_size = sizeof(message->text) };
	int fd, err = mnfq_handover_receive(&fd, stream, 0, &info, &options);

	if (err == 0)
		err = offer_to_server(setup, stream, &info, message, fd);
	close(stream); /* of which the broker has another copy */
	message->type = IPC_ANSWER;
	message->error = err;
}

_Noreturn void receiver_work(const struct receiver_setup *setup)
{
	const struct receiver_job *jobs = setup->jobs;
	char error[IPC_TEXT_SIZE];

	/* Whoever finds it by its name finds it limited. */
	if (limit_life(setup->life_ms) < 0)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_NAME, "mnfq-receiver");
	close_others(setup->control, setup->ipc, jobs, setup->count);
	signal(SIGALRM, SIG_DFL);
	if (setup->sandbox &&
	    sandbox_enter(SANDBOX_RECEIVER, 0, false, NULL, error, sizeof(error)) < 0)
		_exit(EXIT_FAILURE);
	for (unsigned int i = 0; i < setup->count; i++) {
		struct ipc_msg message = { .id = jobs[i].id,
					   .uid = jobs[i].uid,
					   .pid = jobs[i].pid };

		set_alarm();
		receive_one(setup, &message, jobs[i].stream);
		(void)ipc_send(setup->control, &message, -1);
	}
	_exit(EXIT_SUCCESS);
}

_Noreturn void receiver_hold(int control, const struct receiver_job *jobs, unsigned int count)
{
	struct pollfd ready = { .fd = control };

	prctl(PR_SET_NAME, "mnfq-receiver");
	close_others(control, control, jobs, count);
	while (poll(&ready, 1, -1) < 0)
		;
	_exit(EXIT_SUCCESS);
}
