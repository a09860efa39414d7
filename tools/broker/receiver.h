/* SPDX-License-Identifier: MIT */
/*
 * A receiver: a child process of the broker that receives and closes what clients send. Closing one of
 * their descriptors may take as long as they like (a file of FUSE, a socket that lingers), so the broker
 * never waits for a receiver.
 *
 * It has the streams of the clients from the start, as a copy of the broker. They cannot be sent to it: the
 * kernel counts descriptors in flight by user, and clients that run as the broker's user may have used up
 * the limit.
 */
#ifndef MNFQ_TOOLS_BROKER_RECEIVER_H
#define MNFQ_TOOLS_BROKER_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#define RECEIVER_JOBS_MAX 32
#define RECEIVER_JOB_MS   500 /* then it ends: an honest hand-over takes less than one */

/** A socket to receive: the stream it comes from, and its id, uid and pid in IPC_ATTACH. */
struct receiver_job {
	int stream;
	uint64_t id;
	uint32_t uid, pid;
};

/** What a receiver works with. */
struct receiver_setup {
	int control; /* to the broker */
	int ipc;     /* to the server */
	const struct receiver_job *jobs;
	unsigned int count;
	unsigned int life_ms; /* when the kernel kills it, whatever it does */
	bool plain;           /* take descriptors without our header, too */
	bool sandbox;         /* give up all rights */
};

/**
 * Receive from each of the streams in turn, and pass the sockets on to the server. For each an IPC_ANSWER
 * goes to the broker; of an error the client has been informed.
 */
_Noreturn void receiver_work(const struct receiver_setup *setup);

/** Keep the streams open until the broker closes @control; then close them, as the last process that does. */
_Noreturn void receiver_hold(int control, const struct receiver_job *jobs, unsigned int count);

#endif
