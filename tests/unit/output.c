/* SPDX-License-Identifier: MIT */
/* output.c: lines for a descriptor whose reader stalls. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "common/output.h"

TestSuite(output, .timeout = 120);

#define SIZE 8192 /* of a buffer, twice the pipe's */

static struct output *output;
static int reader, writer;

static void open_pipe(enum output_blocked when_blocked, bool log_dropped)
{
	struct output_options options = { .size = SIZE,
					  .when_blocked = when_blocked,
					  .log_dropped = log_dropped };
	int ends[2];

	signal(SIGPIPE, SIG_IGN);
	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	cr_assert(fcntl(ends[1], F_SETPIPE_SZ, 4096) == 4096);
	reader = ends[0];
	writer = options.fd = ends[1];
	output = output_new(&options);
	cr_assert(output && output_start(output) == 0);
}

/* All of them have the same length. */
static void print(unsigned int number)
{
	fprintf(output_begin(output), "line %05u of this test, which is as long as others\n",
		number);
	output_end(output, 0);
}

/* How many lines come, which are whole and in order. */
static unsigned int read_lines(FILE *file)
{
	unsigned int count = 0, number, last = 0;
	char line[128], expected[128];

	while (fgets(line, sizeof(line), file)) {
		cr_assert(sscanf(line, "line %u", &number) == 1, "%s", line);
		snprintf(expected, sizeof(expected),
			 "line %05u of this test, which is as long as others\n", number);
		cr_assert_str_eq(line, expected);
		cr_assert(number > last, "%u after %u", number, last);
		last = number;
		count++;
	}
	return count;
}

static void close_writer(void)
{
	output_finish(output);
	close(writer);
}

static void *read_all(void *arg)
{
	static unsigned int count;

	(void)arg;
	count = read_lines(fdopen(reader, "r"));
	return &count;
}

static unsigned int finish_with_reader(void)
{
	unsigned int *count;
	pthread_t thread;

	cr_assert(pthread_create(&thread, NULL, read_all, NULL) == 0);
	close_writer();
	pthread_join(thread, (void **)&count);
	return *count;
}

/* ---- while it is read -------------------------------------------------------------------- */

Test(output, lines_are_written_when_nothing_more_comes)
{
	char text[256] = "";

	open_pipe(OUTPUT_DROP, false);
	print(1);
	print(2);
	cr_assert(poll(&(struct pollfd){ .fd = reader, .events = POLLIN }, 1, 50) == 0);
	output_flush(output);
	while (!strstr(text, "line 00002 of this test, which is as long as others\n"))
		cr_assert(read(reader, text + strlen(text), sizeof(text) - 1 - strlen(text)) > 0);
	close_writer();
	cr_assert_eq(read(reader, text, 1), 0);
	cr_assert_eq(output_dropped(output), 0);
	cr_assert_eq(output_error(output), 0);
	output_free(output);
}

Test(output, nothing_printed_is_no_line)
{
	char byte;

	open_pipe(OUTPUT_DROP, false);
	print(1);
	output_begin(output);
	output_end(output, 0);
	cr_assert_eq(finish_with_reader(), 1);
	cr_assert_eq(read(reader, &byte, 1), 0);
	output_free(output);
}

static void *print_in_pieces(void *arg)
{
	unsigned int *next = arg;

	for (unsigned int i = 0; i < 2000; i++) {
		FILE *out = output_begin(output);

		fprintf(out, "line %05u", ++*next); /* the lock is that of the output */
		sched_yield();
		fprintf(out, " of this test, which is as long as others\n");
		output_end(output, 0);
	}
	return NULL;
}

Test(output, lines_of_threads_stay_whole)
{
	unsigned int next = 0, *count;
	pthread_t threads[4], thread;

	open_pipe(OUTPUT_WAIT, false);
	cr_assert(pthread_create(&thread, NULL, read_all, NULL) == 0);
	for (int i = 0; i < 4; i++)
		cr_assert(pthread_create(&threads[i], NULL, print_in_pieces, &next) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	close_writer();
	pthread_join(thread, (void **)&count);
	cr_assert_eq(*count, 8000);
	output_free(output);
}

/* ---- while it is not --------------------------------------------------------------------- */

Test(output, lines_are_dropped_whole_and_counted)
{
	unsigned int printed;

	open_pipe(OUTPUT_DROP, false);
	for (unsigned int i = 1; i <= 1000; i++) {
		print(i);
		output_flush(output);
	}
	cr_assert_gt(output_dropped(output), 0);
	printed = finish_with_reader();
	cr_assert_gt(printed * 50, SIZE / 2);
	cr_assert_eq(printed + output_dropped(output), 1000);
	cr_assert_eq(output_error(output), 0);
	output_free(output);
}

static bool notice_last; /* of the lines that were read */

/* Reads a line of either kind; whether there is one at once. */
static bool count_line(FILE *file, unsigned long long *lines, unsigned long long *left_out)
{
	struct pollfd ready = { .fd = fileno(file), .events = POLLIN };
	unsigned long long number;
	char line[128];

	output_flush(output);
	if (poll(&ready, 1, 200) != 1 || !fgets(line, sizeof(line), file))
		return false;
	notice_last = sscanf(line, "%llu lines suppressed", &number) == 1;
	if (notice_last)
		*left_out += number;
	else
		++*lines;
	return true;
}

/* Before the next one that has room, and at the end. */
Test(output, a_line_says_how_many_were_left_out)
{
	unsigned long long lines = 0, left_out = 0;
	FILE *file;

	open_pipe(OUTPUT_DROP, true);
	file = fdopen(reader, "r");
	setvbuf(file, NULL, _IONBF, 0);
	for (int round = 0; round < 3; round++) {
		while (count_line(file, &lines, &left_out))
			;
		cr_assert(!notice_last, "it is reported without a next line");
		print(1);
		while (count_line(file, &lines, &left_out))
			;
		cr_assert_eq(left_out, output_dropped(output));
		for (unsigned int i = 0; i < 1000; i++)
			print(i);
	}
	while (count_line(file, &lines, &left_out))
		;
	close_writer();
	while (count_line(file, &lines, &left_out))
		;
	cr_assert_eq(left_out, output_dropped(output));
	cr_assert_eq(lines + left_out, 3003);
	output_free(output);
}

Test(output, who_prints_waits_if_that_is_wanted)
{
	unsigned int *count;
	pthread_t thread;

	open_pipe(OUTPUT_WAIT, false);
	cr_assert(pthread_create(&thread, NULL, read_all, NULL) == 0);
	for (unsigned int i = 1; i <= 100000; i++)
		print(i);
	close_writer();
	pthread_join(thread, (void **)&count);
	cr_assert_eq(*count, 100000);
	cr_assert_eq(output_dropped(output), 0);
	output_free(output);
}

static void give_up(int number)
{
	(void)number;
	output_give_up(output);
}

/* What no reader takes is given up, and no part of a line is left in the pipe. */
Test(output, a_signal_ends_the_waiting)
{
	signal(SIGALRM, give_up);
	open_pipe(OUTPUT_WAIT, false);
	alarm(1);
	for (unsigned int i = 1; i <= 1000; i++)
		print(i);
	close_writer();
	cr_assert_eq(read_lines(fdopen(reader, "r")) + output_dropped(output), 1000);
	output_free(output);
}

static void count_call(void *data, int error)
{
	(void)error;
	atomic_fetch_add((atomic_uint *)data, 1);
}

Test(output, a_line_without_room_may_be_an_error)
{
	atomic_uint calls = 0;
	unsigned int i = 0;

	open_pipe(OUTPUT_EXIT, false);
	output_on_error(output, count_call, &calls);
	while (i < 1000 && !output_error(output))
		print(++i);
	cr_assert_eq(output_error(output), EAGAIN);
	cr_assert_eq(calls, 1u);
	cr_assert_eq(output_dropped(output), 1);
	print(++i);
	cr_assert_eq(calls, 1u);
	cr_assert_eq(finish_with_reader() + output_dropped(output), i);
	output_free(output);
}

/* Of others who have the pipe: their business, but no reason to lose lines. */
Test(output, non_blocking_mode_is_no_error)
{
	open_pipe(OUTPUT_WAIT, false);
	cr_assert(fcntl(writer, F_SETFL, O_NONBLOCK) == 0);
	for (unsigned int i = 1; i <= 200; i++)
		print(i);
	cr_assert_eq(finish_with_reader(), 200);
	cr_assert_eq(output_error(output), 0);
	output_free(output);
}

/* ---- what cannot be written -------------------------------------------------------------- */

static void await_call(const atomic_uint *calls)
{
	for (int i = 0; i < 30000 && !*calls; i++)
		usleep(1000);
	cr_assert_eq(*calls, 1u);
}

Test(output, a_reader_that_has_gone_is_an_error)
{
	atomic_uint calls = 0;

	open_pipe(OUTPUT_DROP, false);
	output_on_error(output, count_call, &calls);
	close(reader);
	print(1);
	output_flush(output);
	await_call(&calls);
	cr_assert_eq(output_error(output), EPIPE);
	output_finish(output);
	output_free(output);
}

Test(output, a_full_disk_is_an_error)
{
	struct output_options options = { .fd = open("/dev/full", O_WRONLY | O_CLOEXEC),
					  .size = SIZE };

	cr_assert(options.fd >= 0);
	output = output_new(&options);
	print(1);
	output_finish(output); /* that it was never started makes no difference */
	cr_assert_eq(output_error(output), ENOSPC);
	cr_assert_eq(output_dropped(output), 1);
	output_free(output);
}

/* A line that could not be made ends what is written with the one before. */
Test(output, no_line_is_incomplete)
{
	open_pipe(OUTPUT_DROP, false);
	print(1);
	fprintf(output_begin(output), "line 2, of which ");
	output_end(output, -ENOMEM);
	print(3);
	cr_assert_eq(finish_with_reader(), 1);
	cr_assert_eq(output_error(output), ENOMEM);
	output_free(output);
}
