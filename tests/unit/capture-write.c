/* SPDX-License-Identifier: MIT */
/* capture/capture.h: captures of many interfaces, and those whose reader does not read. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/pcapng-read.h"
#include "capture/reader.h"
#include "capture/view.h"
#include "support/build.h"

static char directory[] = "/tmp/mnfq-test-XXXXXX";
static struct build udp;
static struct record record;
static struct capture *capture;
static char error[256];

static void begin(void)
{
	cr_assert(mkdtemp(directory) && chdir(directory) == 0);
	build(&udp, AF_INET, IPPROTO_UDP, 32);
	record_begin(&record);
	record.info.payload = udp.p + udp.network;
	record.info.payload_len = record.info.length = udp.len - udp.network;
	record.info.flags = MNFQ_INFO_LENGTH;
	record.info.family = NFPROTO_IPV4;
	record.info.hook = NF_INET_LOCAL_OUT;
}

static void end(void)
{
	char command[64];

	capture_free(capture);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		abort();
}

TestSuite(capture_write, .init = begin, .fini = end, .timeout = 100);

static void open_capture(const char *path, enum output_blocked when_blocked)
{
	const struct capture_options options = { .files = { .path = path, .fifo = -1 },
						 .when_blocked = when_blocked };

	capture = capture_open(&options, error, sizeof(error));
	cr_assert(capture, "%s", error);
	cr_assert_eq(capture_start(capture), 0);
}

static void write_packet(const char *netns)
{
	struct record_interface interface = { .name = "lo", .link_type = LINK_RAW };

	snprintf(interface.netns, sizeof(interface.netns), "%s", netns);
	capture_write(capture, &record, &interface);
}

static void finish(void)
{
	const char *name;

	cr_assert_eq(capture_finish(capture, &name), 0);
}

/* Each namespace that comes and goes has some. What was written can be read. */
Test(capture_write, interfaces_are_limited)
{
	enum { NAMESPACES = 70000 };
	struct capture_reader *reader;
	unsigned int packets = 0;
	struct record each;
	char netns[32];
	FILE *file;
	int n;

	open_capture("x", OUTPUT_WAIT);
	for (unsigned int i = 0; i < NAMESPACES; i++) {
		snprintf(netns, sizeof(netns), "ns%u", i);
		write_packet(netns);
	}
	capture_add_drops(capture, "last", NULL, 7);
	finish();
	file = fopen("x", "re");
	reader = capture_reader_new(file);
	cr_assert(file && reader);
	while ((n = capture_read(reader, &each)) > 0)
		packets++;
	cr_expect_eq(n, 0, "%s", capture_reader_error(reader));
	cr_expect_eq(packets, NAMESPACES);
	capture_reader_free(reader);
	fclose(file);
	cr_expect_eq(system("strings x | grep -q 'kernel_dropped=7 '"), 0);
}

/* Drops that come while nothing can be written wait in memory for the end. */
Test(capture_write, drops_do_not_wait_for_a_reader)
{
	pid_t reader;

	cr_assert(mkfifo("fifo", 0600) == 0);
	cr_assert(open("fifo", O_RDONLY | O_NONBLOCK | O_CLOEXEC) >= 0);
	open_capture("fifo", OUTPUT_DROP);
	while (capture_missing(capture) == 0)
		write_packet("blue");
	for (unsigned int i = 0; i < 2; i++) {
		capture_add_drops(capture, "red", "a label", 11);
		capture_add_drops(capture, "blue", NULL, 5);
	}
	reader = fork();
	cr_assert(reader >= 0);
	if (reader == 0) {
		execlp("sh", "sh", "-c", "strings <fifo >text", NULL);
		_exit(127);
	}
	finish();
	cr_expect_eq(waitpid(reader, NULL, 0), reader);
	cr_expect_eq(system("grep -q 'kernel_dropped=10 ' text"), 0);
	cr_expect_eq(system("grep -q 'kernel_dropped=22 ' text"), 0);
}
