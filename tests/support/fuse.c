/* SPDX-License-Identifier: MIT */
/* A file system of FUSE, without a library, whose files cannot be closed until it ends. */
#include "fuse.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NODE 2

static const struct fuse_attr file_attr = { .ino = FILE_NODE,
					    .mode = S_IFREG | 0666,
					    .nlink = 1 };
static const struct fuse_attr root_attr = { .ino = FUSE_ROOT_ID,
					    .mode = S_IFDIR | 0755,
					    .nlink = 2 };

static void reply(int dev, uint64_t unique, int error, const void *data, size_t len)
{
	char buffer[256];
	struct fuse_out_header head = { .len = (uint32_t)(sizeof(head) + len),
					.error = error,
					.unique = unique };

	memcpy(buffer, &head, sizeof(head));
	if (len)
		memcpy(buffer + sizeof(head), data, len);
	(void)!write(dev, buffer, head.len);
}

static void answer(int dev, const struct fuse_in_header *in)
{
	const struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION,
					    .minor = FUSE_KERNEL_MINOR_VERSION,
					    .max_write = 4096 };
	const struct fuse_entry_out entry = { .nodeid = FILE_NODE, .attr = file_attr };
	const struct fuse_open_out opened = { .fh = 1 };
	const struct fuse_attr_out attr = { .attr = in->nodeid == FILE_NODE ? file_attr
									    : root_attr };

	switch (in->opcode) {
	case FUSE_INIT:
		reply(dev, in->unique, 0, &init, sizeof(init));
		break;
	case FUSE_LOOKUP:
		reply(dev, in->unique, 0, &entry, sizeof(entry));
		break;
	case FUSE_GETATTR:
		reply(dev, in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		reply(dev, in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_RELEASE:
		reply(dev, in->unique, 0, NULL, 0);
		break;
	case FUSE_FLUSH: /* never */
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(dev, in->unique, -ENOSYS, NULL, 0);
	}
}

/* Ends with its descriptor of the device, and so the connection. */
static int serve(int stream, void *arg)
{
	static char buffer[FUSE_MIN_READ_BUFFER + 4096];
	const char *directory = arg;
	char options[128];
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", dev);
	if (dev < 0 ||
	    mount("mnfq-test", directory, "fuse.mnfq-test", MS_NOSUID | MS_NODEV, options) < 0)
		return errno;
	if (write(stream, "", 1) != 1)
		return 1;
	while (read(dev, buffer, sizeof(buffer)) > 0 || errno == EINTR)
		answer(dev, (const struct fuse_in_header *)(void *)buffer);
	return 0;
}

void fuse_start(struct fuse *fuse)
{
	strcpy(fuse->directory, "/tmp/mnfq-fuse-XXXXXX");
	cr_assert(mkdtemp(fuse->directory));
	fuse->child = child_start(serve, fuse->directory);
	child_await(&fuse->child);
}

int fuse_open(const struct fuse *fuse)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/file", fuse->directory);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

void fuse_stop(struct fuse *fuse)
{
	cr_assert(umount2(fuse->directory, MNT_DETACH) == 0, "%s", strerror(errno));
	child_kill(&fuse->child);
	cr_assert(rmdir(fuse->directory) == 0, "%s", strerror(errno));
}
