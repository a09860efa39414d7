/* SPDX-License-Identifier: MIT */
/* Lines for a descriptor that may block: two buffers, one is filled while the other is written. */
#include "common/output.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/sys.h"
#include "common/text.h"

#define OUTPUT_CHECK_MS   20  /* to see what a signal handler has set */
#define OUTPUT_GIVE_UP_MS 500 /* without progress */
#define OUTPUT_NOTICE     64  /* bytes beyond the size, for the line about dropped ones */
#define OUTPUT_INTERRUPT  SIGURG

struct buffer {
	char *bytes;
	size_t len;
};

struct output {
	struct output_options options;

	pthread_mutex_t print_lock; /* taken before the other one */
	FILE *stream;               /* makes a line of what is printed: */
	char *line;
	size_t line_len;

	pthread_mutex_t lock;
	pthread_cond_t filled;  /* has_work() */
	pthread_cond_t drained; /* the writer has taken a buffer, or is done */
	struct buffer *filling, *writing, buffers[2];
	uint64_t dropped, unlogged;
	int error;
	void (*failed)(void *data, int error);
	void *failed_data;
	bool started, flushing, ending, done;

	pthread_t writer;
	atomic_uint progress; /* successful writes */
	atomic_bool giving_up, interrupted;
};

/* ---- writing ---------------------------------------------------------------------------- */

/* Whole lines, as many as a pipe takes atomically, so that no part of a line is written. */
static size_t get_piece(const char *bytes, size_t len)
{
	const char *end;

	if (!bytes || len <= PIPE_BUF)
		return len;
	end = memrchr(bytes, '\n', PIPE_BUF);
	if (!end)
		end = memchr(bytes, '\n', len);
	return end ? (size_t)(end - bytes) + 1 : len;
}

/* Another process may have set O_NONBLOCK. Returns 0 or an errno; EINTR: give up. */
static int write_some(struct output *output, int fd, const char *bytes, size_t len,
		      size_t *written)
{
	struct pollfd ready = { .fd = fd, .events = POLLOUT };
	ssize_t n;

	*written = 0;
	for (;;) {
		if (atomic_load(&output->interrupted))
			return EINTR;
		n = write(fd, bytes, len);
		if (n >= 0)
			break;
		if (errno == EAGAIN)
			(void)poll(&ready, 1, -1);
		else if (errno != EINTR)
			return errno;
	}
	atomic_fetch_add(&output->progress, 1);
	*written = (size_t)n;
	return 0;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
	const char *end = bytes + len;
	uint64_t count = 0;

	while ((bytes = memchr(bytes, '\n', (size_t)(end - bytes)))) {
		bytes++;
		count++;
	}
	return count;
}

static uint64_t count_records(const struct output *output, const char *bytes, size_t len)
{
	return output->options.count ? output->options.count(bytes, len)
				     : count_lines(bytes, len);
}

/* A record of which a part was written is taken back, if the descriptor is a file that ends there: readers fail there. */
static void take_back(int fd, size_t len)
{
	const off_t end = lseek(fd, 0, SEEK_CUR);
	struct stat status;

	if (len > 0 && end >= (off_t)len && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    status.st_size == end)
		(void)!ftruncate(fd, end - (off_t)len);
}

/* Returns 0 or an errno; *@done: how much of it was written, records only whole. */
static int write_piece(struct output *output, const struct output_piece *piece, size_t *done)
{
	size_t at = 0, written;
	int err = 0;

	for (; at < piece->len && !err; at += written)
		err = write_some(output, piece->fd, piece->bytes + at, piece->len - at, &written);
	*done = err && output->options.next ? output->options.whole(piece->bytes, at) : at;
	if (err)
		take_back(piece->fd, at - *done);
	return err;
}

/* Returns 0 or an errno; what was not written stays in the buffer. */
static int write_buffer(struct output *output, struct buffer *buffer)
{
	const struct output_options *options = &output->options;
	struct output_piece piece;
	size_t at = 0, done = 0;
	int err = 0;

	while (at < buffer->len && !err) {
		piece = (struct output_piece){ .fd = options->fd, .bytes = buffer->bytes + at };
		if (options->next)
			err = options->next(options->data, piece.bytes, buffer->len - at, &piece);
		else
			piece.len = get_piece(piece.bytes, buffer->len - at);
		done = 0;
		if (!err)
			err = write_piece(output, &piece, &done);
		at += piece.added ? 0 : done;
	}
	buffer->len -= at;
	memmove(buffer->bytes, buffer->bytes + at, buffer->len);
	return err;
}

/* All of these are called with the lock. */

static void drop_buffer(struct output *output, struct buffer *buffer)
{
	output->dropped += count_records(output, buffer->bytes, buffer->len);
	buffer->len = 0;
}

static void fail_output(struct output *output, int err)
{
	if (output->error)
		return;
	output->error = err;
	if (output->failed)
		output->failed(output->failed_data, err);
}

static bool has_work(const struct output *output)
{
	const size_t len = output->filling->len;

	return output->ending || len >= output->options.size / 2 || (output->flushing && len > 0);
}

static void swap_buffers(struct output *output)
{
	struct buffer *full = output->filling;

	output->filling = output->writing;
	output->writing = full;
	output->flushing = false;
	pthread_cond_broadcast(&output->drained);
}

static void *run_writer(void *arg)
{
	struct output *output = arg;
	int err = 0;

	pthread_mutex_lock(&output->lock);
	while (!err) {
		while (!has_work(output))
			pthread_cond_wait(&output->filled, &output->lock);
		if (output->filling->len == 0) /* the end */
			break;
		swap_buffers(output);
		pthread_mutex_unlock(&output->lock);
		err = write_buffer(output, output->writing);
		pthread_mutex_lock(&output->lock);
	}
	drop_buffer(output, output->writing);
	drop_buffer(output, output->filling);
	output->done = true;
	if (err && err != EINTR)
		fail_output(output, err);
	pthread_cond_broadcast(&output->drained);
	pthread_mutex_unlock(&output->lock);
	return NULL;
}

static void *start_writer(void *arg)
{
	sigset_t interrupt;

	sigemptyset(&interrupt);
	sigaddset(&interrupt, OUTPUT_INTERRUPT);
	pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
	return run_writer(arg);
}

/* The signal itself interrupts a blocking write. */
static void on_interrupt(int number)
{
	(void)number;
}

int output_start(struct output *output)
{
	struct sigaction action = { .sa_handler = on_interrupt };
	sigset_t all, before;
	int err;

	sigfillset(&all);
	sigaction(OUTPUT_INTERRUPT, &action, NULL);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&output->writer, NULL, start_writer, output);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	output->started = !err;
	return -err;
}

/* ---- printing --------------------------------------------------------------------------- */

/* Called with the lock, which is released meanwhile. */
static void await_writer(struct output *output)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += OUTPUT_CHECK_MS * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&output->drained, &output->lock, &until);
}

/* Returns whether the line fits, possibly after waiting. */
static bool reserve_space(struct output *output, size_t len, bool wait)
{
	const struct output_options *options = &output->options;

	while (!output->error && !output->done) {
		if (output->filling->len + len <= options->size)
			return true;
		output->flushing = true;
		pthread_cond_signal(&output->filled);
		if (!wait || len > options->size || !output->started ||
		    atomic_load(&output->giving_up))
			break;
		await_writer(output);
	}
	return false;
}

static void append(struct output *output, const char *bytes, size_t len)
{
	memcpy(output->filling->bytes + output->filling->len, bytes, len);
	output->filling->len += len;
}

/* This line always fits: in the bytes beyond the size, and once more at the end. */
static void append_notice(struct output *output)
{
	char notice[OUTPUT_NOTICE];
	int len;

	if (!output->options.log_dropped || output->unlogged == 0)
		return;
	len = snprintf(notice, sizeof(notice), "%llu %s suppressed\n",
		       (unsigned long long)output->unlogged,
		       plural(output->unlogged, "line", "lines"));
	append(output, notice, (size_t)len);
	output->unlogged = 0;
}

static bool add_line(struct output *output, const char *line, size_t len, bool wait)
{
	uint64_t count;

	if (reserve_space(output, len, wait)) {
		append_notice(output);
		append(output, line, len);
		if (output->filling->len >= output->options.size / 2)
			pthread_cond_signal(&output->filled);
		return true;
	}
	count = count_records(output, line, len);
	output->dropped += count;
	output->unlogged += count;
	if (output->options.when_blocked == OUTPUT_EXIT)
		fail_output(output, EAGAIN);
	return false;
}

bool output_put(struct output *output, const void *bytes, size_t len, bool wait)
{
	bool fits;

	pthread_mutex_lock(&output->lock);
	fits = add_line(output, bytes, len, wait || output->options.when_blocked == OUTPUT_WAIT);
	pthread_mutex_unlock(&output->lock);
	return fits;
}

FILE *output_begin(struct output *output)
{
	pthread_mutex_lock(&output->print_lock);
	rewind(output->stream);
	output->line_len = 0;
	return output->stream;
}

void output_end(struct output *output, int err)
{
	if (fflush(output->stream))
		err = -ENOMEM;
	if (err || output->line_len > 0) {
		pthread_mutex_lock(&output->lock);
		if (err)
			fail_output(output, -err);
		else
			(void)add_line(output, output->line, output->line_len,
				       output->options.when_blocked == OUTPUT_WAIT);
		pthread_mutex_unlock(&output->lock);
	}
	pthread_mutex_unlock(&output->print_lock);
}

void output_flush(struct output *output)
{
	pthread_mutex_lock(&output->lock);
	if (output->filling->len > 0) {
		output->flushing = true;
		pthread_cond_signal(&output->filled);
	}
	pthread_mutex_unlock(&output->lock);
}

/* ---- the end ---------------------------------------------------------------------------- */

void output_on_error(struct output *output, void (*failed)(void *data, int error), void *data)
{
	pthread_mutex_lock(&output->lock);
	output->failed = failed;
	output->failed_data = data;
	pthread_mutex_unlock(&output->lock);
}

void output_give_up(struct output *output)
{
	atomic_store(&output->giving_up, true);
}

/* Called with the lock. The signal may come just before the write, so it is sent repeatedly. */
static void await_writer_end(struct output *output)
{
	unsigned int before = atomic_load(&output->progress), now;
	int64_t since = clock_ms();

	while (!output->done) {
		await_writer(output);
		now = atomic_load(&output->progress);
		if (now != before || !(atomic_load(&output->giving_up) || output->error))
			since = clock_ms();
		before = now;
		if (output->done || clock_ms() - since < OUTPUT_GIVE_UP_MS)
			continue;
		atomic_store(&output->interrupted, true);
		pthread_kill(output->writer, OUTPUT_INTERRUPT);
	}
}

void output_finish(struct output *output)
{
	bool lines;

	pthread_mutex_lock(&output->lock);
	append_notice(output);
	lines = output->filling->len > 0;
	output->ending = true;
	pthread_cond_signal(&output->filled);
	pthread_mutex_unlock(&output->lock);
	if (lines && !output->started && output_start(output) < 0)
		(void)run_writer(output);
	if (!output->started)
		return;
	pthread_mutex_lock(&output->lock);
	await_writer_end(output);
	pthread_mutex_unlock(&output->lock);
	pthread_join(output->writer, NULL);
}

int output_error(struct output *output)
{
	int error;

	pthread_mutex_lock(&output->lock);
	error = output->error;
	pthread_mutex_unlock(&output->lock);
	return error;
}

uint64_t output_dropped(struct output *output)
{
	uint64_t dropped;

	pthread_mutex_lock(&output->lock);
	dropped = output->dropped;
	pthread_mutex_unlock(&output->lock);
	return dropped;
}

/* ---- its memory ------------------------------------------------------------------------- */

struct output *output_new(const struct output_options *options)
{
	struct output *output = calloc(1, sizeof(*output));
	pthread_condattr_t monotonic;

	if (!output)
		return NULL;
	output->options = *options;
	pthread_mutex_init(&output->print_lock, NULL);
	pthread_mutex_init(&output->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&output->filled, NULL);
	pthread_cond_init(&output->drained, &monotonic);
	pthread_condattr_destroy(&monotonic);
	for (int i = 0; i < 2; i++)
		output->buffers[i].bytes = malloc(options->size + 2 * OUTPUT_NOTICE);
	output->filling = &output->buffers[0];
	output->writing = &output->buffers[1];
	output->stream = open_memstream(&output->line, &output->line_len);
	if (!output->stream || !output->buffers[0].bytes || !output->buffers[1].bytes) {
		output_free(output);
		return NULL;
	}
	(void)__fsetlocking(output->stream, FSETLOCKING_BYCALLER); /* we have a lock */
	return output;
}

void output_free(struct output *output)
{
	if (!output)
		return;
	if (output->stream)
		fclose(output->stream);
	free(output->line);
	for (int i = 0; i < 2; i++)
		free(output->buffers[i].bytes);
	pthread_cond_destroy(&output->filled);
	pthread_cond_destroy(&output->drained);
	pthread_mutex_destroy(&output->lock);
	pthread_mutex_destroy(&output->print_lock);
	free(output);
}
