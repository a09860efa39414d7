/* SPDX-License-Identifier: MIT */
/* mnfq dump with peers that are up to no good. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mnfq/mnfq.h>

#include "tool.h"
#include "wait.h"

TestSuite(dump_hostile, .timeout = 300);

static char directory[64];
static struct sockaddr_un address = { .sun_family = AF_UNIX };

/* The next line on stderr that begins like this; others are of no interest. */
static void await_err(struct tool *tool, const char *begin)
{
	while (strncmp(tool_err(tool), begin, strlen(begin)) != 0)
		cr_assert(tool->line[0], "no line '%s'", begin);
}

static void start(struct tool *tool)
{
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory));
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	tool_start(tool, NULL, -1, "dump -q 1 --listen %s", address.sun_path);
	await_err(tool, "listening on queue 1 of ");
}

static void remove_path(void)
{
	(void)unlink(address.sun_path); /* of a porter that was killed */
	cr_assert(rmdir(directory) == 0);
}

static void stop(struct tool *tool)
{
	kill(tool->pid, SIGTERM);
	await_err(tool, "0 packets");
	cr_assert_eq(tool_finish(tool), 0);
	remove_path();
}

static unsigned int count_descriptors(pid_t pid)
{
	unsigned int count = 0;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	cr_assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* The one child of a process. */
static pid_t child_of(pid_t pid)
{
	char path[64], text[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	file = fopen(path, "re");
	cr_assert(file && fgets(text, sizeof(text), file));
	fclose(file);
	return (pid_t)strtol(text, NULL, 10);
}

static bool sleeps(pid_t pid)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	cr_assert(file && fscanf(file, "%*d %*s %c", &state) == 1);
	fclose(file);
	return state == 'S';
}

/* The porter has read what was sent, and gone to sleep again. */
static bool is_passed_on(int stream, pid_t porter)
{
	int unread = 1;

	return ioctl(stream, SIOCOUTQ, &unread) == 0 && unread == 0 && sleeps(porter);
}

static int offer(int fd)
{
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(connect(stream, (struct sockaddr *)&address, sizeof(address)) == 0);
	cr_assert(mnfq_handover_send(stream, fd, DEADLINE_MS, NULL) == 0);
	return stream;
}

static int await_answer(int stream, char *sentence, size_t size)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = sentence,
						 .error_size = size };
	int err = mnfq_handover_wait(stream, DEADLINE_MS, &options);

	close(stream);
	return err;
}

/* ---- peers ------------------------------------------------------------------------------ */

/* What the porter found good may be no good any more when its turn comes. */
Test(dump_hostile, sockets_that_turn_bad_are_closed)
{
	struct sockaddr_nl nobody = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	struct netns *ns = netns_new();
	unsigned int before;
	char sentence[256];
	struct tool tool;
	int fd, stream;
	pid_t porter;

	start(&tool);
	porter = child_of(tool.pid);
	before = count_descriptors(tool.pid);
	for (int i = 0; i < 10; i++) {
		fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		tool_freeze(&tool);
		stream = offer(fd);
		cr_assert(wait_until(is_passed_on(stream, porter)));
		cr_assert(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)) == 0);
		kill(tool.pid, SIGCONT);
		cr_assert_eq(await_answer(stream, sentence, sizeof(sentence)), -EISCONN);
		close(fd);
	}
	cr_assert_eq(count_descriptors(tool.pid), before);
	stop(&tool);
}
