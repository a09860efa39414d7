/* SPDX-License-Identifier: MIT */
/* A file system of FUSE, without a library, whose files cannot be closed until it ends. */
#ifndef TEST_FUSE_H
#define TEST_FUSE_H

#include "child.h"

struct fuse {
	struct child child; /* which answers the kernel's requests, but for FUSE_FLUSH */
	char directory[64];
};

/* Mounted where everybody may open the one file, "file". Takes root. */
void fuse_start(struct fuse *fuse);

/* A descriptor of the file. */
int fuse_open(const struct fuse *fuse);

/* All who wait to close one go on. */
void fuse_stop(struct fuse *fuse);

#endif
