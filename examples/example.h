/* SPDX-License-Identifier: MIT */
/* Common code of the examples: arguments, failures, signals. */
#ifndef MNFQ_EXAMPLE_H
#define MNFQ_EXAMPLE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <mnfq/mnfq.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parses a queue number; exits if it is invalid. */
static inline unsigned int example_queue(const char *text)
{
	char *end;
	unsigned long num = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || num > 65535) {
		fprintf(stderr, "'%s' is not a queue number (0 to 65535)\n", text);
		exit(2);
	}
	return (unsigned int)num;
}

/* Exits with the library's error message. */
static inline void example_fail(int err, const char *errmsg)
{
	fprintf(stderr, "%s\n", *errmsg ? errmsg : strerror(-err));
	exit(1);
}

/* A socket in this namespace with one queue, with the default verdict @verdict and the flags
 * MNFQ_QUEUE_* in @flags. */
static inline struct mnfq_socket *example_listen_with(unsigned int num, uint32_t flags,
						      enum mnfq_verdict verdict,
						      mnfq_callback callback, void *data)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_socket_options socket_options = MNFQ_INIT(socket_options);
	struct mnfq_queue_options queue_options = MNFQ_INIT(queue_options);
	struct mnfq_socket *sock;
	int err;

	socket_options.error = error;
	socket_options.error_size = sizeof(error);
	queue_options.flags = flags;
	queue_options.default_verdict = verdict;
	err = mnfq_socket_open(&sock, &socket_options);
	if (err < 0)
		example_fail(err, error);
	err = mnfq_queue_bind(NULL, sock, num, &queue_options, callback, data);
	if (err < 0)
		example_fail(err, mnfq_socket_get_error(sock));
	return sock;
}

static inline struct mnfq_socket *example_listen(unsigned int num, enum mnfq_verdict verdict,
						 mnfq_callback callback, void *data)
{
	return example_listen_with(num, 0, verdict, callback, data);
}

static struct mnfq_socket *volatile example_running;

static inline void example_on_signal(int signal)
{
	(void)signal;
	mnfq_socket_stop(example_running);
}

/* Runs until SIGINT or SIGTERM. */
static inline void example_run(struct mnfq_socket *sock)
{
	struct sigaction action = { .sa_handler = example_on_signal };
	int err;

	example_running = sock;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	err = mnfq_socket_run(sock);
	if (err < 0)
		example_fail(err, mnfq_socket_get_error(sock));
}

#endif
