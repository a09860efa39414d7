/* SPDX-License-Identifier: MIT */
/*
 * A queue, a socket and a thread for each processor. A rule spreads flows over the queues; for four
 * processors: iptables -t mangle -A FORWARD -j NFQUEUE --queue-balance 0:3
 */
#include "example.h"

#include <pthread.h>
#include <unistd.h>

struct worker {
	struct mnfq_socket *sock;
	pthread_t thread;
	unsigned int packets;
};

/* Only this thread uses its worker: no locks. */
static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct worker *worker = data;

	(void)packet;
	worker->packets++;
	return MNFQ_ACCEPT;
}

static void *serve(void *data)
{
	struct worker *worker = data;
	int err = mnfq_socket_run(worker->sock);

	if (err < 0)
		example_fail(err, mnfq_socket_get_error(worker->sock));
	return NULL;
}

/* The threads inherit the mask that blocks these signals, so sigwait() gets them. */
static void wait_for_signal(const sigset_t *signals)
{
	int number;

	sigwait(signals, &number);
}

int main(int argc, char **argv)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	struct worker *workers = calloc((size_t)count, sizeof(*workers));
	unsigned int first;
	sigset_t signals;

	if (argc != 2 || !workers) {
		fprintf(stderr, "usage: balance FIRST-QUEUE\n");
		return 2;
	}
	first = example_queue(argv[1]);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (long i = 0; i < count; i++) {
		workers[i].sock =
			example_listen(first + (unsigned int)i, MNFQ_ACCEPT, decide, &workers[i]);
		if (pthread_create(&workers[i].thread, NULL, serve, &workers[i]) != 0)
			example_fail(-EAGAIN, "cannot start a thread");
	}
	wait_for_signal(&signals);
	for (long i = 0; i < count; i++) {
		mnfq_socket_stop(workers[i].sock);
		pthread_join(workers[i].thread, NULL);
		printf("queue %ld: %u packets\n", first + i, workers[i].packets);
		mnfq_socket_close(workers[i].sock);
	}
	free(workers);
	return 0;
}
