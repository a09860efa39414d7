/* SPDX-License-Identifier: MIT */
/* The files that a capture is written to. They change between packets; each begins with all interfaces so far. */
#include "capture/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture/pcapng.h"
#include "common/sys.h"

static bool rotates(const struct files_options *options)
{
	return options->max_size > 0 || options->seconds > 0;
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Of several files, which follow no link: in a directory of others, what is not followed or written may be theirs. */
const char *files_strerror(int err)
{
	switch (err) {
	case ELOOP:
		return "it is a symbolic link";
	case EEXIST:
		return "it is no regular file, or the one that is read";
	default:
		return strerror(err);
	}
}

int files_open_fifo(const struct files_options *options)
{
	struct stat status;
	int fd;

	if (rotates(options) || stat(options->path, &status) < 0 || !S_ISFIFO(status.st_mode))
		return -ENODEV;
	fd = open(options->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : fd;
}

static int open_only(struct files *files, char *error, size_t error_size)
{
	const char *path = files->options.path;
	int err;

	snprintf(files->name, sizeof(files->name), "%s", path);
	if (strcmp(path, "-") == 0) {
		snprintf(files->name, sizeof(files->name), "stdout");
		files->fd = STDOUT_FILENO;
		return 0;
	}
	if (files->options.fifo >= 0) {
		files->fd = files->options.fifo;
		return 0;
	}
	files->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (files->fd >= 0)
		return 0;
	err = -errno;
	snprintf(error, error_size, "cannot create %s: %s", path, strerror(-err));
	return err;
}

static void begin_period(struct files *files)
{
	if (files->options.seconds)
		files->until = clock_ms() + (int64_t)files->options.seconds * 1000;
}

int files_open(struct files *files, const struct files_options *options, char *error,
	       size_t error_size)
{
	const struct opener_names names = { .path = options->path,
					    .dated = options->seconds > 0,
					    .numbered = options->max_size > 0,
					    .files = options->max_files,
					    .input = options->input };
	int err;

	*files = (struct files){ .options = *options, .fd = -1, .opener.fd = -1, .periods = 1 };
	if (!rotates(options))
		return open_only(files, error, error_size);
	err = opener_start(&files->opener, &names, options->sandbox, error, error_size);
	if (err < 0)
		return err;
	files->fd = opener_next(&files->opener, OPENER_FIRST, files->name);
	if (files->fd < 0) {
		snprintf(error, error_size, "cannot create %s: %s",
			 files->name[0] ? files->name : options->path,
			 files_strerror(-files->fd));
		return files->fd;
	}
	begin_period(files);
	return 0;
}

/* ---- blocks ------------------------------------------------------------------------------- */

/* They are ours: what is buffered is whole blocks. */
static uint32_t block_number(const char *bytes, size_t at)
{
	uint32_t number;

	memcpy(&number, bytes + at, sizeof(number));
	return number;
}

#define block_type(bytes)   block_number(bytes, 0)
#define block_length(bytes) block_number(bytes, 4)

uint64_t files_count(const char *bytes, size_t len)
{
	uint64_t count = 0;

	for (size_t at = 0; at < len; at += block_length(bytes + at))
		count += block_type(bytes + at) == BLOCK_PACKET;
	return count;
}

size_t files_whole(const char *bytes, size_t len)
{
	size_t at = 0;

	while (len - at >= 8 && block_length(bytes + at) <= len - at)
		at += block_length(bytes + at);
	return at;
}

/* Further files begin with it, too. */
static int remember(struct files *files, const char *block, size_t len)
{
	const size_t room = 2 * (files->head_len + len);
	uint8_t *head = files->head;

	if (!rotates(&files->options))
		return 0;
	if (files->head_len + len > files->head_room) {
		head = realloc(head, room);
		if (!head)
			return ENOMEM;
		files->head = head;
		files->head_room = room;
	}
	memcpy(head + files->head_len, block, len);
	files->head_len += len;
	return 0;
}

/* ---- changing ----------------------------------------------------------------------------- */

static bool is_over(const struct files *files)
{
	return files->until && clock_ms() >= files->until;
}

/* What a file begins with may be larger already. Another one would be no better: each gets a packet. */
static bool is_full(const struct files *files)
{
	return files->options.max_size && files->has_packet &&
	       files->size > files->options.max_size;
}

/* With -C as well, -W counts the files of a ring, as with tcpdump it does nothing. */
static bool was_last(const struct files *files)
{
	return files->options.max_files && !files->options.max_size &&
	       files->periods >= files->options.max_files;
}

/* Returns 0 or an errno. */
static int change(struct files *files)
{
	const bool over = is_over(files);
	int fd = files->fd;

	if (over && was_last(files))
		return ECANCELED;
	files->fd = -1; /* whatever close() says, it is gone */
	if (close(fd) < 0 && errno != EINTR)
		return errno;
	fd = opener_next(&files->opener, over ? OPENER_TIME : OPENER_SIZE, files->name);
	if (fd < 0)
		return -fd;
	files->fd = fd;
	files->size = 0;
	files->has_packet = false;
	files->begins = true;
	if (over) {
		files->periods++;
		begin_period(files);
	}
	return 0;
}

static bool is_due(const struct files *files, const char *block)
{
	return block_type(block) == BLOCK_PACKET && (is_full(files) || is_over(files));
}

int files_next(void *data, const char *bytes, size_t len, struct output_piece *piece)
{
	struct files *files = data;
	size_t at = 0;
	int err = 0;

	if (!files->begins && is_due(files, bytes))
		err = change(files);
	piece->fd = files->fd;
	if (err)
		return err;
	if (files->begins) {
		files->begins = false;
		files->size = files->head_len;
		piece->bytes = (const char *)files->head;
		piece->len = files->head_len;
		piece->added = true;
		return 0;
	}
	do {
		const uint32_t type = block_type(bytes + at), block = block_length(bytes + at);

		if (type == BLOCK_SECTION || type == BLOCK_INTERFACE)
			err = remember(files, bytes + at, block);
		files->has_packet |= type == BLOCK_PACKET;
		at += block;
		files->size += block;
	} while (!err && at < len && !is_due(files, bytes + at));
	piece->len = at;
	return err;
}

int files_close(struct files *files)
{
	int err = 0;

	if (files->fd > STDOUT_FILENO && close(files->fd) < 0 && errno != EINTR)
		err = -errno;
	files->fd = -1;
	opener_stop(&files->opener);
	free(files->head);
	files->head = NULL;
	return err;
}
