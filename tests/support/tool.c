/* SPDX-License-Identifier: MIT */
/* The tool mnfq as a child of a test. */
#include "tool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD 7

/* Those of this test, with what their rules had counted when they were flushed. */
static struct queued {
	struct netns *ns;
	uint64_t packets;
} queued[16];
static size_t queued_count;

static void run_child(struct netns *ns, int fd, const char *command, const int out[2],
		      const int err[2])
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGHUP, SIG_DFL); /* the tests may run under nohup */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out[1], STDOUT_FILENO);
	dup2(err[1], STDERR_FILENO);
	if (ns && setns(ns->fd, CLONE_NEWNET) < 0)
		_exit(126);
	if (fd >= 0 && fd != FD)
		dup2(fd, FD);
	close_range(fd >= 0 ? FD + 1 : 3, ~0u, 0);
	if (fd >= 0)
		close_range(3, FD - 1, 0);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

static void start(struct tool *tool, struct netns *ns, int fd, const char *command)
{
	int out[2], err[2];

	if (!getenv("MNFQ_TOOL"))
		skip_or_fail("MNFQ_TOOL does not name the tool");
	cr_assert(pipe2(out, O_CLOEXEC) == 0 && pipe2(err, O_CLOEXEC) == 0);
	tool->elsewhere = 0;
	tool->unaccounted = NULL;
	tool->pid = fork();
	cr_assert(tool->pid >= 0);
	if (tool->pid == 0)
		run_child(ns, fd, command, out, err);
	close(out[1]);
	close(err[1]);
	tool->out = fdopen(out[0], "r");
	tool->err = fdopen(err[0], "r");
	cr_assert(tool->out && tool->err);
}

void tool_start(struct tool *tool, struct netns *ns, int fd, const char *format, ...)
{
	char arguments[1024], command[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(arguments, sizeof(arguments), format, args);
	va_end(args);
	snprintf(command, sizeof(command), "exec \"$MNFQ_TOOL\" %s", arguments);
	start(tool, ns, fd, command);
}

void tool_start_shell(struct tool *tool, struct netns *ns, int fd, const char *format, ...)
{
	char command[1200];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	start(tool, ns, fd, command);
}

static const char *read_line(struct tool *tool, FILE *stream)
{
	if (!fgets(tool->line, sizeof(tool->line), stream))
		tool->line[0] = '\0';
	tool->line[strcspn(tool->line, "\n")] = '\0';
	return tool->line;
}

const char *tool_out(struct tool *tool)
{
	return read_line(tool, tool->out);
}

const char *tool_err(struct tool *tool)
{
	return read_line(tool, tool->err);
}

void tool_listening(struct tool *tool)
{
	tool_err(tool);
	cr_assert(strncmp(tool->line, "listening on ", 13) == 0, "%s", tool->line);
}

int tool_finish(struct tool *tool)
{
	int status = -1;

	while (waitpid(tool->pid, &status, 0) < 0 && errno == EINTR)
		;
	fclose(tool->out);
	fclose(tool->err);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

uint64_t tool_counted(const char *summary, const char *word)
{
	const size_t len = strlen(word);
	unsigned long long n;
	int at;

	for (; summary; summary = strchr(summary, ','), summary = summary ? summary + 2 : NULL)
		if (sscanf(summary, "%llu %n", &n, &at) == 1 &&
		    strncmp(summary + at, word, len) == 0 && strchr(", ", summary[at + (int)len]))
			return n;
	return 0;
}

void tool_account(const char *summary, const struct account *rest)
{
	static const char *const verdicts[] = { "accepted", "dropped", "repeated", "stopped",
						"requeued" };
	struct account account = *rest;

	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		account.decided += tool_counted(summary, verdicts[i]);
	account.queue_full += tool_counted(summary, "queue full");
	account.buffer_full += tool_counted(summary, "buffer full");
	for (size_t i = 0; i < queued_count; i++)
		account.sent += queued[i].packets + netns_queued_packets(queued[i].ns);
	account_check(&account);
}

/* A number that is not said where it is 0. */
static void add_counter(char text[512], unsigned int count, const char *words)
{
	const size_t len = strlen(text);

	if (count)
		snprintf(text + len, 512 - len, ", %u %s", count, words);
}

void check_summary(const char *line, const struct summary *summary)
{
	const unsigned int bytes = summary->bytes ? summary->bytes : 60 * summary->packets;
	char expected[512];

	snprintf(expected, sizeof(expected), "%u packet%s, %u bytes, %u accepted, %u dropped",
		 summary->packets, summary->packets == 1 ? "" : "s", bytes, summary->accepted,
		 summary->dropped);
	add_counter(expected, summary->repeated, "repeated");
	add_counter(expected, summary->marked, "marked");
	add_counter(expected, summary->queue_full, "queue full");
	add_counter(expected, summary->untracked, "untracked");
	if (summary->queue_full_unknown)
		strcat(expected, ", queue full unknown");
	cr_assert(strcmp(line, expected) == 0, "it says '%s', not '%s'", line, expected);
}

static void finish_with(struct tool *tool, const char *line, const struct summary *summary)
{
	check_summary(line, summary);
	if (!tool->unaccounted && queued_count > 0)
		tool_account(line, &(struct account){ .elsewhere = tool->elsewhere });
	cr_assert_str_eq(tool_err(tool), "", "one line");
	cr_assert_eq(tool_finish(tool), 0);
}

void tool_check_end(struct tool *tool, const struct summary *summary)
{
	char line[sizeof(tool->line)];

	strcpy(line, tool_err(tool));
	finish_with(tool, line, summary);
}

void tool_await_err(struct tool *tool, const char *begin)
{
	while (strncmp(tool_err(tool), begin, strlen(begin)) != 0)
		cr_assert(tool->line[0], "no line '%s'", begin);
}

void tool_check_stop(struct tool *tool, const struct summary *summary)
{
	char last[sizeof(tool->line)] = "";

	kill(tool->pid, SIGTERM);
	while (tool_err(tool)[0])
		strcpy(last, tool->line);
	finish_with(tool, last, summary);
}

bool tool_is_stalled(const struct tool *tool)
{
	char command[128];

	snprintf(command, sizeof(command), "grep -q pipe_write /proc/%d/task/*/wchan",
		 (int)tool->pid);
	return system(command) == 0;
}

void tool_freeze(const struct tool *tool)
{
	int status;

	kill(tool->pid, SIGSTOP);
	cr_assert_eq(waitpid(tool->pid, &status, WUNTRACED), tool->pid);
	cr_assert(WIFSTOPPED(status));
}

void expect_contains(const char *text, const char *part)
{
	cr_assert(strstr(text, part), "'%s' lacks '%s'", text, part);
}

struct netns *queued_ns_open(struct udp *udp)
{
	struct netns *ns = netns_new();

	cr_assert(queued_count < sizeof(queued) / sizeof(queued[0]));
	queued[queued_count++].ns = ns;
	netns_rule(ns, 4, "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num 1 --queue-bypass");
	udp_open(udp, ns, ns, "127.0.0.1", 9);
	return ns;
}

void queued_ns_expect(struct netns *ns, const struct udp *udp, uint32_t count)
{
	struct datagram datagram;

	for (size_t i = 0; i < queued_count; i++)
		if (queued[i].ns == ns)
			queued[i].packets += netns_queued_packets(ns);
	netns_run(ns, "iptables-legacy -F OUTPUT");
	udp_send(udp, 4711);
	for (uint32_t seq = 0; seq < count; seq++) {
		cr_assert(udp_await(udp, &datagram));
		cr_assert_eq(datagram.seq, seq);
		cr_assert(datagram.intact);
	}
	cr_assert(udp_await(udp, &datagram));
	cr_assert_eq(datagram.seq, 4711);
}
