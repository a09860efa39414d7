/* SPDX-License-Identifier: MIT */
/* mnfq stat: readings from built files, what has moved between two, and the table. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stat/reading.h"
#include "stat/table.h"

static struct owners owners;
static struct reading reading, before;
static char *text;

static int file_of(const char *content)
{
	int fd = memfd_create("proc", MFD_CLOEXEC);

	cr_assert(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Adds the queues of a namespace with these files. */
static void add_files(const char *name, const char *queues, const char *netlink)
{
	struct place place = { .inode = 1, .queues = file_of(queues) };

	snprintf(place.name, sizeof(place.name), "%s", name);
	place.netlink = netlink ? file_of(netlink) : -1;
	cr_assert_eq(reading_add(&reading, &place, 0, UINT16_MAX), 0);
	place_close(&place);
}

/* A reading of a single queue, @ms after the one before. */
static void next_reading(const char *line, int64_t ms)
{
	int64_t at = before.at_ms;

	reading_free(&before);
	before = reading;
	reading = (struct reading){ .at_ms = at + ms };
	reading.at_ms = before.at_ms + ms;
	add_files("blue", line, NULL);
	cr_assert_eq(reading_complete(&reading, &owners), 0);
	reading_compare(&reading, &before);
}

static const char *table(const struct table_options *options)
{
	static size_t len;
	FILE *out;

	free(text);
	out = open_memstream(&text, &len);
	table_print(out, &reading, options);
	fclose(out);
	return text;
}

/* ---- readings --------------------------------------------------------------------------- */

#define NETLINK                                                                                   \
	"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    "     \
	"Inode\n"                                                                                 \
	"000000008230ef17 12  4711       00000000 0        0        0     2        0        77\n" \
	"000000008230ef16 0   4711       00000000 0        0        0     2        0        99\n" \
	"000000008230ef18 12  4712       00000000 0        0        0     2        0        78\n" \
	"000000008230ef19 12  4711       00000000 0        0        0     2        0        7"

Test(stat, sockets_of_owners)
{
	add_files("blue", "5 4711 0 2 1 0 0 0 1\n6 4713 0 2 1 0 0 0 1\n", NETLINK);
	add_files("red", "5 4711 0 2 1 0 0 0 1\n", "");
	cr_assert_eq(reading.count, 3);
	cr_expect_eq(reading.rows[0].inode, 77, "of netfilter alone, and of whole lines");
	cr_expect_eq(reading.rows[1].inode, 0);
	cr_expect_eq(reading.rows[2].inode, 0, "another namespace");
}

Test(stat, sorted_and_each_once)
{
	add_files("red", "7 1 1 2 1 1 1 1 1\n5 1 2 2 1 1 1 1 1\n7 1 1 2 1 1 1 1 1\n", NULL);
	add_files("blue", "9 1 3 2 1 1 1 1 1\n", NULL);
	add_files("red", "7 1 1 2 1 1 1 1 1\n", NULL);
	cr_assert_eq(reading_complete(&reading, &owners), 0);
	cr_assert_eq(reading.count, 3);
	cr_expect_str_eq(reading.rows[0].netns, "blue");
	cr_expect_eq(reading.rows[1].queue.num, 5);
	cr_expect_eq(reading.rows[2].queue.num, 7);
}

Test(stat, a_range_of_queues)
{
	struct place place = { .queues = file_of("4 1 0 2 1 0 0 0 1\n5 1 0 2 1 0 0 0 1\n"
						 "6 1 0 2 1 0 0 0 1\n7 1 0 2 1 0 0 0 1\n"),
			       .netlink = -1 };

	cr_assert_eq(reading_add(&reading, &place, 5, 6), 0);
	cr_assert_eq(reading.count, 2);
	cr_expect_eq(reading.rows[0].queue.num, 5);
	cr_expect_eq(reading.rows[1].queue.num, 6);
}

/* This process has the socket; the name that it gives itself has any bytes. */
Test(stat, owners_are_found_and_remembered)
{
	const struct owner *owner;
	char link[64] = "", path[64];
	uint64_t inodes[2] = { 0, 1 };
	int ends[2], other[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && pipe(other) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
	cr_assert(readlink(path, link, sizeof(link) - 1) > 0);
	cr_assert(sscanf(link, "socket:[%lu]", (unsigned long *)&inodes[0]) == 1);
	cr_assert_eq(owners_find(&owners, inodes, 2), 0);
	owner = owners_get(&owners, inodes[0]);
	cr_assert(owner && owner->pid == getpid() && owner->fd == ends[0]);
	cr_expect_eq(owners_get(&owners, 1)->pid, 0);
	cr_expect(owners_get(&owners, 2) == NULL);
	/* Somewhere else now. */
	dup2(ends[0], other[0]);
	close(ends[0]);
	cr_assert_eq(owners_find(&owners, inodes, 2), 0);
	cr_expect_eq(owners_get(&owners, inodes[0])->fd, other[0]);
	owners_free(&owners);
	cr_assert_eq(owners_find(&owners, NULL, 0), 0);
	cr_expect(owners_get(&owners, inodes[0]) == NULL);
}

/* ---- what has moved --------------------------------------------------------------------- */

static double rate_of_packets(void)
{
	const struct row *row = &reading.rows[0];

	cr_assert(row->compared);
	return reading_rate(&reading, row->queue.last_id, row->before.last_id);
}

Test(stat, rates)
{
	next_reading("5 1 0 2 1 10 20 100 1\n", 0);
	cr_expect(!reading.rows[0].compared);
	next_reading("5 1 0 2 1 10 25 350 1\n", 500);
	cr_expect_eq(rate_of_packets(), 500.0);
	cr_expect_eq(reading_rate(&reading, 25, reading.rows[0].before.user_dropped), 10.0);
}

Test(stat, counters_that_wrap)
{
	next_reading("5 1 0 2 1 4294967295 4294967000 4294967290 1\n", 0);
	next_reading("5 1 0 2 1 4 0 10 1\n", 2000);
	cr_expect_eq(rate_of_packets(), 8.0);
	cr_expect_eq(reading_rate(&reading, 4, reading.rows[0].before.queue_dropped), 2.5);
	cr_expect_eq(reading_rate(&reading, 0, reading.rows[0].before.user_dropped), 148.0);
}

/* By the same socket, or by another: its counters began anew. */
Test(stat, a_queue_that_was_bound_again)
{
	next_reading("5 1 0 2 1 0 0 1000 1\n", 0);
	next_reading("5 1 0 2 1 0 0 3 1\n", 1000);
	cr_expect(!reading.rows[0].compared);
	next_reading("5 2 0 2 1 0 0 5 1\n", 1000);
	cr_expect(!reading.rows[0].compared);
	next_reading("6 2 0 2 1 0 0 7 1\n", 1000);
	cr_expect(!reading.rows[0].compared, "another queue");
	next_reading("", 1000);
	next_reading("6 2 0 2 1 0 0 7 1\n", 1000);
	cr_expect(!reading.rows[0].compared, "not there before");
}

/* It is full if it drops while nothing comes in and nothing goes out; only that tells its length. */
Test(stat, the_length_of_a_queue)
{
	next_reading("5 1 9 2 1 0 0 9 1\n", 0);
	next_reading("5 1 9 2 1 0 0 9 1\n", 1000);
	cr_expect_eq(reading.rows[0].limit, 0, "no drops");
	next_reading("5 1 9 2 1 5 0 20 1\n", 1000);
	cr_expect_eq(reading.rows[0].limit, 0, "packets came in");
	next_reading("5 1 8 2 1 9 0 20 1\n", 1000);
	cr_expect_eq(reading.rows[0].limit, 0, "packets went out");
	next_reading("5 1 8 2 1 11 0 20 1\n", 1000);
	cr_expect_eq(reading.rows[0].limit, 8);
	next_reading("5 1 2 2 1 11 0 20 1\n", 1000);
	cr_expect_eq(reading.rows[0].limit, 8, "remembered");
	next_reading("5 1 9 2 1 11 0 30 1\n", 1000);
	cr_expect_eq(reading.rows[0].limit, 0, "it was changed");
}

/* ---- the table -------------------------------------------------------------------------- */

Test(stat, table_as_it_is)
{
	add_files("blue", "5 4711 12 2 65531 7 8 345 1\n65535 4294967295 0 1 0 0 0 0 1\n", NULL);
	add_files("a b", "0 1 4294967295 0 0 4294967295 0 4294967295 1\n6 1 0 9 0 0 0 0 1\n",
		  NULL);
	reading_complete(&reading, &owners);
	reading.rows[3].pid = 17;
	strcpy(reading.rows[3].command, "my prog\n\x1b[31m");
	cr_expect_str_eq(
		table(&(struct table_options){ .end = "|\n" }),
		"QUEUE  NETNS  OWNER                      WAITING  COPY           DROP-FULL  DROP-SOCK     PACKETS|\n"
		"    0  \"a b\"  portid:1                4294967295  none          4294967295          0  4294967295|\n"
		"    6  \"a b\"  portid:1                         0  ?                      0          0           0|\n"
		"    5  blue   portid:4711                     12  packet:65531           7          8         345|\n"
		"65535  blue   17/my_prog\\x0a\\x1b[31m           0  meta                   0          0           0|\n");
}

Test(stat, no_queue)
{
	cr_expect_str_eq(table(&(struct table_options){ .end = "\n" }),
			 "QUEUE  NETNS  OWNER  WAITING  COPY  DROP-FULL  DROP-SOCK  PACKETS\n");
}

Test(stat, what_moves_is_bold_and_drops_are_red)
{
	next_reading("5 1 7 2 1 1 0 100 1\n", 0);
	next_reading("5 1 8 2 1 1 5 400 1\n", 2000);
	table(&(struct table_options){ .end = "\n", .rates = true, .color = true });
	cr_expect(strstr(text, "\033[1m8\033[m  packet:1  "), "%s", text);
	cr_expect(strstr(text, "  \033[31m1\033[m  "), "%s", text);
	cr_expect(strstr(text, "  \033[1;31m5\033[m  "), "%s", text);
	cr_expect(strstr(text, "  \033[1m400\033[m    \033[1m150\033[m       0     "
			       "\033[1;31m2.5\033[m\n"),
		  "%s", text);
	table(&(struct table_options){ .end = "\n", .rates = true });
	cr_expect(strstr(text, "        5      400    150       0     2.5\n"), "%s", text);
	cr_expect(!strchr(text, '\033'));
}

/* Whatever the size of the screen, no line is longer, and there are no more of them. */
Test(stat, table_that_fits)
{
	char queues[4096] = "";

	for (int i = 0; i < 30; i++)
		sprintf(queues + strlen(queues), "%d 4294967295 7 2 65531 1 2 4294967295 1\n", i);
	add_files("a-namespace-with-a-long-name", queues, NULL);
	reading_complete(&reading, &owners);
	for (unsigned int width = 1; width < 150; width++) {
		for (unsigned int lines = 1; lines < 40; lines++) {
			unsigned int count = 0;

			table(&(struct table_options){
				.end = "\n", .rates = true, .width = width, .lines = lines });
			for (char *at = text, *end; (end = strchr(at, '\n'));
			     at = end + 1, count++)
				cr_assert(width < 20 || end - at <= (long)width, "%u: %s", width,
					  text);
			cr_assert(count <= lines && (count == lines || count == 31), "%u: %s",
				  lines, text);
			cr_assert(strstr(text, "QUEUE"));
		}
	}
	table(&(struct table_options){ .end = "\n", .rates = true, .width = 80, .lines = 5 });
	cr_expect(strstr(text, "\n... and 27 more\n"), "%s", text);
	cr_expect(!strstr(text, "COPY") && strstr(text, "DROP-FULL"), "%s", text);
	cr_expect(strstr(text, "\n    2  a-"), "%s", text);
	cr_expect(!strstr(text, "\n    3"), "%s", text);
}
