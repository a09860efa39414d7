/* SPDX-License-Identifier: MIT */
/*
 * A receiver: a child process of the broker that receives and closes what strangers send. To close a
 * descriptor of theirs may take as long as they like (a file of FUSE, a socket that lingers), so a
 * receiver can be lost at any time: it is not missed, and nobody waits for it.
 *
 * The streams of the peers it has from the start, since it is a copy of the broker. To send them would
 * fail where peers that run as the broker's user have sent so much that nobody received yet: the kernel
 * counts descriptors on their way by user.
 */
#ifndef MNFQ_TOOLS_RECEIVER_H
#define MNFQ_TOOLS_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#define RECEIVER_JOBS_MAX 32
#define RECEIVER_JOB_MS   500 /* then it ends: an honest hand-over takes less than one */

/** A socket to be received: from which stream, and its id, uid and pid in IPC_ATTACH. */
struct receiver_job {
	int stream;
	uint64_t id;
	uint32_t uid, pid;
};

/**
 * Receive from each of the streams in turn, and pass the sockets on to the server. For each a IPC_ANSWER
 * on @control tells what became of it; of an error the peer has heard.
 *
 * @link     to the server
 * @plain    take descriptors without our header, too
 * @sandbox  give up all rights
 */
_Noreturn void receiver_work(int control, int link, const struct receiver_job *jobs,
			     unsigned int count, bool plain, bool sandbox);

/** Have the streams until the other end of @control is closed; then be the one that closes them last. */
_Noreturn void receiver_hold(int control, const struct receiver_job *jobs, unsigned int count);

#endif
