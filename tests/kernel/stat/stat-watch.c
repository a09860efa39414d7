/* SPDX-License-Identifier: MIT */
/* mnfq stat --watch on a terminal: it draws over what it drew, keeps to the screen, and leaves all as it was. */
#include <criterion/criterion.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "kernel-fixture.h"
#include "tool.h"

TestSuite(stat_watch, .timeout = 300);

#define ENTER "\033[?1049h"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

static struct netns *watched; /* NULL: that of the fixture */
static const char *no_color = "";
static int terminal;
static pid_t pid;
static struct termios before;
static char seen[1 << 20]; /* all that it wrote */
static size_t len;

static void start(const char *options, unsigned short lines, unsigned short columns)
{
	struct winsize size = { .ws_row = lines, .ws_col = columns };
	char command[256];

	if (!getenv("MNFQ_TOOL"))
		skip_or_fail("MNFQ_TOOL does not name the tool");
	snprintf(command, sizeof(command), "exec \"$MNFQ_TOOL\" stat -n %s --watch 0.1 %s",
		 (watched ? watched : fixture.ns)->name, options);
	pid = forkpty(&terminal, NULL, NULL, &size);
	cr_assert(pid >= 0);
	if (pid == 0) {
		setenv("TERM", "xterm", 1);
		setenv("NO_COLOR", no_color, 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	cr_assert(tcgetattr(terminal, &before) == 0);
}

/* Reads on until @part has come, in what was not looked at yet. */
static void await(const char *part)
{
	static size_t from;
	const int64_t since = now_ms();
	const char *at;
	ssize_t n;

	while (!(at = strstr(seen + from, part))) {
		cr_assert(wait_readable(terminal) && now_ms() - since < DEADLINE_MS,
			  "no '%s' in '%s'", part, seen + from);
		n = read(terminal, seen + len, sizeof(seen) - 1 - len);
		cr_assert(n > 0, "no '%s' in '%s'", part, seen + from);
		len += (size_t)n;
		seen[len] = '\0';
	}
	from = (size_t)(at - seen) + strlen(part);
}

static void expect_end(void)
{
	struct termios after;
	int status;

	await(LEAVE);
	cr_assert(tcgetattr(terminal, &after) == 0);
	cr_expect_eq(after.c_lflag, before.c_lflag);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%d", status);
	close(terminal);
}

static void begin(const char *options)
{
	struct termios now;

	start(options, 24, 120);
	await(ENTER);
	await("q quits");
	cr_assert(tcgetattr(terminal, &now) == 0);
	cr_expect(!(now.c_lflag & (ICANON | ECHO)));
}

static void press(const char *key)
{
	cr_assert(write(terminal, key, 1) == 1);
}

QueueTest(stat_watch, q_ends_it)
{
	fixture_bind(NULL, count_packet);
	begin("");
	await("PKT/S");
	press("x");
	await("\033[H"); /* once more */
	press("q");
	expect_end();
}

QueueTest(stat_watch, control_c_ends_it)
{
	begin("");
	press("\003");
	expect_end();
}

QueueTest(stat_watch, signals_end_it)
{
	begin("");
	kill(pid, SIGTERM);
	expect_end();
}

/* The shell gets its terminal as it was. */
QueueTest(stat_watch, stops_and_goes_on)
{
	struct termios stopped;
	int status;

	begin("");
	press("\032");
	await(LEAVE);
	cr_assert_eq(waitpid(pid, &status, WUNTRACED), pid);
	cr_assert(WIFSTOPPED(status));
	cr_assert(tcgetattr(terminal, &stopped) == 0);
	cr_expect_eq(stopped.c_lflag, before.c_lflag);
	kill(pid, SIGCONT);
	await(ENTER);
	await("q quits");
	press("q");
	expect_end();
}

QueueTest(stat_watch, what_moves_is_bold)
{
	fixture_bind(QUEUE_OPTIONS(.max_len = 2), count_packet);
	begin("");
	udp_send_many(&fixture.udp, 0, 2);
	await("\033[1m2\033[m");
	udp_send_many(&fixture.udp, 2, 3);
	await("\033[1;31m2/2\033[m");
	await("\033[1;31m3\033[m");
	press("q");
	expect_end();
	while (mnfq_socket_dispatch(fixture.sock, 0) > 0)
		;
}

static void expect_no_color(const char *options)
{
	fixture_bind(QUEUE_OPTIONS(.max_len = 2), count_packet);
	udp_send_many(&fixture.udp, 0, 5);
	begin(options);
	await("\033[H");
	await("  3  ");
	press("q");
	expect_end();
	cr_expect(!strstr(seen, "\033[1m") && !strstr(seen, "\033[1;31m"), "%s", seen);
	while (mnfq_socket_dispatch(fixture.sock, 0) > 0)
		;
}

QueueTest(stat_watch, no_colour_if_it_is_not_wanted)
{
	expect_no_color("--color never");
}

QueueTest(stat_watch, no_colour_with_that_variable)
{
	no_color = "1";
	expect_no_color("");
}

QueueTest(stat_watch, colour_in_spite_of_that_variable)
{
	no_color = "1";
	begin("--color always");
	await("\033[1mQUEUE\033[m");
	press("q");
	expect_end();
}

QueueTest(stat_watch, keeps_to_the_size_of_the_screen)
{
	struct winsize size = { .ws_row = 6, .ws_col = 60 };
	struct mnfq_queue *queue;

	for (uint16_t num = 10; num < 20; num++)
		expect_ok(fixture.sock, mnfq_queue_bind(&queue, fixture.sock, num, NULL,
							count_packet, &fixture));
	begin("--watch 1000"); /* drawn again for the new size alone */
	await("   19  ");
	cr_assert(ioctl(terminal, TIOCSWINSZ, &size) == 0);
	await("... and 9 more");
	press("q");
	expect_end();
}

/* The namespace is gone: that is said, and it goes on. */
QueueTest(stat_watch, a_namespace_that_ends)
{
	struct netns *other = netns_new();

	watched = other;
	begin("");
	netns_free(other);
	await("\033[1;31mthere is no network namespace");
	press("q");
	expect_end();
}
