/* SPDX-License-Identifier: MIT */
/* A receiver: the only process that has descriptors of strangers, and that may hang on them. */
#include "broker/receiver.h"

#include <errno.h>
#include <mnfq/handover.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "broker/ipc.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

#define BUSY_MS  20000 /* so long the server may be behind, or too many descriptors on their way */
#define RETRY_MS 5

/* ---- what it has ---- */

/* If it hangs, nobody must miss the end of what is the broker's or the server's, nor of stderr. */
static void close_others(int control, int link, const struct receiver_job *jobs,
			 unsigned int count)
{
	int ours[RECEIVER_JOBS_MAX + 2] = { control, link };
	unsigned int i;

	(void)dup2(0, 2);
	for (i = 0; i < count; i++)
		ours[2 + i] = jobs[i].stream;
	close_all_but(ours, count + 2);
}

/* ---- what it does ---- */

/* The signal ends us, and the wait of a close() that a signal can end. */
static void set_alarm(void)
{
	const struct itimerval timer = { .it_value.tv_usec = RECEIVER_JOB_MS * 1000 };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/*
 * The broker starts nobody while the link is full, so that this hardly ever waits for the server. But
 * descriptors on their way are counted for each user, all programs of whom may have used up what is allowed.
 * That takes time, and the broker hears that we do not hang.
 */
static int pass_on(int control, int link, const struct ipc_msg *message, int fd)
{
	const struct ipc_msg waiting = { .type = IPC_PING, .id = message->id };
	const int64_t end = clock_ms() + BUSY_MS;
	int err;

	while (((err = ipc_send(link, message, fd)) == -EAGAIN || err == -ETOOMANYREFS) &&
	       clock_ms() < end) {
		set_alarm();
		(void)ipc_send(control, &waiting, -1);
		(void)poll(NULL, 0, RETRY_MS);
	}
	return err == -EAGAIN || err == -ETOOMANYREFS ? -EBUSY : err;
}

/* Offers what was received to the server. Takes @fd. */
static int offer(int control, int link, int stream, const struct mnfq_handover *info,
		 struct ipc_msg *message, int fd)
{
	int err;

	message->type = IPC_ATTACH;
	message->flags = info->flags;
	memcpy(message->label, info->label, sizeof(message->label));
	err = pass_on(control, link, message, fd);
	close(fd);
	if (err < 0) {
		snprintf(message->text, sizeof(message->text),
			 "mnfq dump cannot take it: try again");
		(void)mnfq_handover_answer(stream, info, err, message->text);
	}
	return err;
}

/* Makes the broker's answer of @message. */
static void receive(int control, int link, bool plain, struct ipc_msg *message, int stream)
{
	struct mnfq_handover info = MNFQ_INIT(info);
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = plain ? MNFQ_HANDOVER_PLAIN : 0,
						 .error = message->text,
						 .error_size = sizeof(message->text) };
	int fd, err = mnfq_handover_receive(&fd, stream, 0, &info, &options);

	if (err == 0)
		err = offer(control, link, stream, &info, message, fd);
	close(stream); /* of which the broker has another copy */
	message->type = IPC_ANSWER;
	message->error = err;
}

_Noreturn void receiver_work(int control, int link, const struct receiver_job *jobs,
			     unsigned int count, bool plain, bool sandbox)
{
	char error[IPC_TEXT_SIZE];

	close_others(control, link, jobs, count);
	signal(SIGALRM, SIG_DFL);
	if (sandbox && sandbox_enter(SANDBOX_RECEIVER, 0, false, NULL, error, sizeof(error)) < 0)
		_exit(EXIT_FAILURE);
	for (unsigned int i = 0; i < count; i++) {
		struct ipc_msg message = { .id = jobs[i].id,
					   .uid = jobs[i].uid,
					   .pid = jobs[i].pid };

		set_alarm();
		receive(control, link, plain, &message, jobs[i].stream);
		(void)ipc_send(control, &message, -1);
	}
	_exit(EXIT_SUCCESS);
}

_Noreturn void receiver_hold(int control, const struct receiver_job *jobs, unsigned int count)
{
	struct pollfd ready = { .fd = control };

	close_others(control, control, jobs, count);
	while (poll(&ready, 1, -1) < 0)
		;
	_exit(EXIT_SUCCESS);
}
