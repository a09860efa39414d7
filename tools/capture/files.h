/* SPDX-License-Identifier: MIT */
/* The files that a capture is written to: one, or one after the other. */
#ifndef MNFQ_TOOLS_CAPTURE_FILES_H
#define MNFQ_TOOLS_CAPTURE_FILES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/opener.h"
#include "common/output.h"

struct files_options {
	const char *path;       /* "-": stdout */
	int fifo;               /* what files_open_fifo() has returned */
	uint64_t max_size;      /* bytes of a file, beyond which there is another; 0: no limit */
	uint32_t seconds;       /* between files; 0: no limit */
	unsigned int max_files; /* 0: no limit */
	bool sandbox;           /* for the process that makes further files */
	struct opener_input input;
};

/** All but .name belongs to the thread that writes, once there is one. */
struct files {
	struct files_options options;
	int fd;
	char name[PATH_MAX]; /* of the last one, for messages */
	struct opener opener;
	uint64_t size;   /* of this file so far */
	bool has_packet; /* this file */
	int64_t until;   /* by the monotonic clock; 0: there is no limit */
	unsigned int periods;
	uint8_t *head; /* what each file begins with: the section and its interfaces */
	size_t head_len, head_room;
	bool begins; /* a file that lacks its head */
};

/**
 * A FIFO cannot be opened before somebody reads from it, for which this waits: so it is opened while nobody waits for
 * us. Returns its descriptor, -ENODEV if it is something else, or another negative errno.
 */
int files_open_fifo(const struct files_options *options);

/** Opens the first one. Returns 0 or a negative errno with the message in @error. While there is one thread. */
int files_open(struct files *files, const struct files_options *options, char *error,
	       size_t error_size);

/** For struct output_options: @data is the struct files. The errno is ECANCELED after the last file of -G and -W. */
int files_next(void *data, const char *bytes, size_t len, struct output_piece *piece);
uint64_t files_count(const char *bytes, size_t len);
size_t files_whole(const char *bytes, size_t len);

/** Why writing has failed, in words. */
const char *files_strerror(int err);

/** Returns 0 or a negative errno: what was written is not there. */
int files_close(struct files *files);

#endif
