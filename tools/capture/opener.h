/* SPDX-License-Identifier: MIT */
/*
 * The process that makes the files of a capture. The one that serves packets can open none, so that an attacker who
 * takes it over cannot write to files: this one makes the next one when asked, under a name of its own.
 */
#ifndef MNFQ_TOOLS_CAPTURE_OPENER_H
#define MNFQ_TOOLS_CAPTURE_OPENER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** A file that is being read, and must not be made empty. */
struct opener_input {
	bool is_open;
	dev_t device;
	ino_t inode;
};

/** As -w, -G and -W have them. */
struct opener_names {
	const char *path;
	bool dated;         /* conversions of strftime(3) in the name */
	bool numbered;      /* -C: a number behind the name */
	unsigned int files; /* of a ring; 0: no limit */
	struct opener_input input;
};

/** What the next file is due to. */
enum opener_reason { OPENER_FIRST, OPENER_SIZE, OPENER_TIME };

struct opener {
	int fd; /* to the process; -1: none */
	pid_t pid;
};

/** Returns 0 or a negative errno with the message in @error. While there is one thread. */
int opener_start(struct opener *opener, const struct opener_names *names, bool sandbox,
		 char *error, size_t error_size);

/**
 * Have the next file made. Returns its descriptor, or a negative errno; -EINTR: this was interrupted. @name, of
 * PATH_MAX bytes, becomes that of the file, if one was tried.
 */
int opener_next(const struct opener *opener, enum opener_reason reason, char *name);

/** It ends, and is waited for. */
void opener_stop(struct opener *opener);

#endif
