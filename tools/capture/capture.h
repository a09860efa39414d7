/* SPDX-License-Identifier: MIT */
/* Writing a capture: its interfaces, its packets, and in the end its statistics. For any number of threads. */
#ifndef MNFQ_TOOLS_CAPTURE_CAPTURE_H
#define MNFQ_TOOLS_CAPTURE_CAPTURE_H

#include "capture/files.h"
#include "capture/record.h"
#include "common/output.h"

struct capture_options {
	struct files_options files;
	uint32_t snap; /* bytes of a frame; 0: no limit */
	enum output_blocked when_blocked;
	bool filtered; /* not all packets are written */
	/** Called once writing has failed, in any thread; ECANCELED: the last file is full. */
	void (*failed)(void *data, int error);
	void *data;
};

struct capture;

/** Creates the file. NULL with the message in @error on failure. While there is one thread. */
struct capture *capture_open(const struct capture_options *options, char *error,
			     size_t error_size);

/** Start the thread that writes. Returns 0 or a negative errno. */
int capture_start(struct capture *capture);

/** A packet, with the interface of record_interface_of(). What does not fit is counted. */
void capture_write(struct capture *capture, const struct record *record,
		   const struct record_interface *interface);

/** The kernel has dropped packets of a namespace; @netns and @label may be NULL. */
void capture_add_drops(struct capture *capture, const char *netns, const char *label,
		       uint64_t count);

/** What is buffered is written, in the background. */
void capture_flush(struct capture *capture);

/** From now on wait only as long as there is progress. Safe in signal handlers. */
void capture_give_up(struct capture *capture);

/** Write statistics and all that is buffered. Returns 0 or the errno that has ended it; and the name of the file. */
int capture_finish(struct capture *capture, const char **name);

/** Packets that were not written, because that took too long or had failed. */
uint64_t capture_missing(struct capture *capture);

/** The name of the file that is being written; once it has failed. */
const char *capture_name(const struct capture *capture);

/** NULL is allowed. */
void capture_free(struct capture *capture);

#endif
