/* SPDX-License-Identifier: MIT */
/* Readings one after the other, on a terminal or as a stream. */
#include "stat/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/program.h"
#include "common/sys.h"
#include "common/text.h"
#include "stat/export.h"
#include "stat/screen.h"
#include "stat/table.h"

struct watch {
	const struct stat_options *opts;
	struct reading now, before;
	struct screen screen;
	bool on_screen, color;
	int signals;
	int status; /* -1: go on */
};

/* ---- showing ---------------------------------------------------------------------------- */

static const char *format_clock(char out[16], uint64_t usec)
{
	const time_t seconds = (time_t)(usec / 1000000);
	struct tm tm = { 0 };

	localtime_r(&seconds, &tm);
	strftime(out, 16, "%H:%M:%S", &tm);
	return out;
}

/* A line of its own on the screen, whatever is in it. */
static void draw_error(FILE *out, const struct watch *watch, unsigned int columns)
{
	char line[PLACE_ERROR_SIZE];

	if (!watch->now.failures)
		return;
	clean_text(line, sizeof(line), watch->now.error);
	fprintf(out, "%s%.*s%s\033[K", watch->color ? "\033[1;31m" : "", (int)columns, line,
		watch->color ? "\033[m" : "");
}

/* From the top, over what is there; written at once, so that nothing flickers. */
static void draw(FILE *out, const struct watch *watch)
{
	struct table_options table = { .color = watch->color,
				       .rates = true,
				       .end = "\033[K\r\n" };
	char head[128], clock[16];
	unsigned int lines;

	screen_get_size(&lines, &table.width);
	snprintf(head, sizeof(head), "%s  %zu %s, every %g s, q quits",
		 format_clock(clock, watch->now.time_us), watch->now.count,
		 plural(watch->now.count, "queue", "queues"), watch->opts->watch_ms / 1000.0);
	fprintf(out, "\033[H%.*s\033[K\r\n\033[K\r\n", (int)table.width, head);
	/* The last line is for an error, and never ended: the screen would scroll. */
	table.lines = lines > 4 ? lines - 3 : 1;
	table_print(out, &watch->now, &table);
	draw_error(out, watch, table.width);
	fputs("\033[J", out);
}

static void print_watch(FILE *out, const struct watch *watch)
{
	const struct table_options table = { .color = watch->color, .rates = true, .end = "\n" };
	char clock[16];

	if (watch->opts->json) {
		export_json(out, &watch->now, true);
		return;
	}
	fprintf(out, "%s%s\n", watch->now.elapsed_ms ? "\n" : "",
		format_clock(clock, watch->now.time_us));
	table_print(out, &watch->now, &table);
}

/* Whoever does not read any more has seen enough. */
static void end_output(struct watch *watch, int err)
{
	if (err == 0)
		return;
	screen_close(&watch->screen);
	watch->status = err == -EPIPE
				? EXIT_SUCCESS
				: fail(STAT_NAME, "cannot write to stdout: %s", strerror(-err));
}

static void show(struct watch *watch)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out) {
		end_output(watch, -ENOMEM);
		return;
	}
	if (watch->on_screen)
		draw(out, watch);
	else
		print_watch(out, watch);
	if (!watch->on_screen && watch->now.failures && watch->now.elapsed_ms)
		fail(STAT_NAME, "%s", watch->now.error);
	end_output(watch, fclose(out) == 0 ? screen_write(text, len) : -ENOMEM);
	free(text);
}

/* ---- waiting ---------------------------------------------------------------------------- */

static int catch_signals(void)
{
	static const int always[] = { SIGTERM, SIGQUIT, SIGWINCH, SIGTSTP };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		sigaddset(&set, always[i]);
	if (!is_ignored(SIGINT))
		sigaddset(&set, SIGINT);
	if (!is_ignored(SIGHUP)) /* a blocked signal reaches signalfd even if it is ignored */
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Stopped by the shell, with the terminal as it was, and on again. */
static void suspend(struct watch *watch)
{
	if (watch->on_screen)
		screen_close(&watch->screen);
	kill(getpid(), SIGSTOP);
	if (watch->on_screen) {
		screen_open(&watch->screen);
		show(watch);
	}
}

static void handle_signals(struct watch *watch)
{
	struct signalfd_siginfo info;

	while (watch->status < 0 && read(watch->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGTSTP)
			suspend(watch);
		else if (info.ssi_signo != SIGWINCH)
			watch->status = EXIT_SUCCESS;
		else if (watch->on_screen)
			show(watch);
	}
}

static void handle_keys(struct watch *watch)
{
	char keys[64];
	ssize_t len = read(STDIN_FILENO, keys, sizeof(keys));

	if (len <= 0 || memchr(keys, 'q', (size_t)len) || memchr(keys, 'Q', (size_t)len))
		watch->status = EXIT_SUCCESS;
}

static void wait_until(struct watch *watch, int64_t deadline)
{
	struct pollfd fds[] = { { .fd = watch->signals, .events = POLLIN },
				{ .fd = watch->screen.keys ? STDIN_FILENO : -1,
				  .events = POLLIN } };
	int64_t left;

	while (watch->status < 0 && (left = deadline - clock_ms()) > 0) {
		if (poll(fds, 2, (int)left) <= 0)
			continue;
		if (fds[0].revents)
			handle_signals(watch);
		if (fds[1].revents && watch->status < 0)
			handle_keys(watch);
	}
}

int watch_run(const struct stat_options *opts, struct reading *first,
	      int (*read_next)(struct reading *reading, void *data), void *data)
{
	struct watch watch = { .opts = opts, .now = *first, .status = -1 };
	int64_t due = clock_ms();

	*first = (struct reading){ 0 };
	watch.color = color_is_wanted(opts->color, STDOUT_FILENO);
	watch.on_screen = !opts->json && isatty(STDOUT_FILENO);
	watch.signals = catch_signals();
	if (watch.signals < 0)
		return fail(STAT_NAME, "cannot catch signals: %s", strerror(errno));
	if (watch.on_screen)
		screen_open(&watch.screen);
	for (show(&watch); watch.status < 0; show(&watch)) {
		due += opts->watch_ms;
		wait_until(&watch, due);
		if (watch.status >= 0)
			break;
		reading_free(&watch.before);
		watch.before = watch.now;
		watch.now = (struct reading){ 0 };
		if (read_next(&watch.now, data) < 0) {
			screen_close(&watch.screen);
			watch.status = fail(STAT_NAME, "out of memory");
			break;
		}
		reading_compare(&watch.now, &watch.before);
		due = due < clock_ms() ? clock_ms() : due;
	}
	screen_close(&watch.screen);
	close(watch.signals);
	reading_free(&watch.now);
	reading_free(&watch.before);
	return watch.status;
}
