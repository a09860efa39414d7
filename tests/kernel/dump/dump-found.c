/* SPDX-License-Identifier: MIT */
/* mnfq dump --all-netns: which namespaces it finds, which not, and what it says of them. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "dump-fixture.h"

TestSuite(dump_found, .timeout = 300);

static int live_apart(int stream, void *arg)
{
	char byte;

	(void)arg;
	return unshare(CLONE_NEWNET) < 0 || write(stream, "", 1) != 1 ||
	       read(stream, &byte, 1) != 0;
}

/*
 * Which no other test uses, and one more for each further test: they are bound in the namespaces of all
 * others that run.
 */
#define RARE 59173u

static struct netns *rare_road(struct udp *way)
{
	struct netns *space = netns_new();

	netns_rule(space, 4,
		   "-A OUTPUT -p udp --dport 9 -j NFQUEUE --queue-num %u --queue-bypass", RARE);
	udp_open(way, space, space, "127.0.0.1", 9);
	return space;
}

/* By name and by process, those that are there and those that come; this machine's own as well. */
Test(dump_found, finds_all)
{
	struct udp udps[2];
	struct netns *there = rare_road(&udps[0]), *later;
	char part[80], inode[64];
	struct child child;
	struct stat st;

	tool_start(&tool, NULL, -1, "dump -q %u --all-netns", RARE);
	tool_await_err(&tool, "listening on queue");
	snprintf(part, sizeof(part), "serving namespace %s", there->name);
	tool_await_err(&tool, part);
	udp_send(&udps[0], 0);
	snprintf(part, sizeof(part), " netns %s ", there->name);
	expect_contains(tool_out(&tool), part);

	later = rare_road(
		&udps[1]); /* goes past the queue until we are there, by --queue-bypass */
	snprintf(part, sizeof(part), "serving namespace %s", later->name);
	tool_await_err(&tool, part);
	udp_send(&udps[1], 0);
	snprintf(part, sizeof(part), " netns %s ", later->name);
	expect_contains(tool_out(&tool), part);

	child = child_start(live_apart, NULL);
	child_await(&child);
	snprintf(part, sizeof(part), "/proc/%d/ns/net", (int)child.pid);
	cr_assert(stat(part, &st) == 0);
	snprintf(inode, sizeof(inode), "serving namespace net:[%llu]",
		 (unsigned long long)st.st_ino);
	tool_await_err(&tool, inode);
	cr_assert_eq(child_finish(&child), 0);
	snprintf(part, sizeof(part), "namespace net:[%llu]: gone", (unsigned long long)st.st_ino);
	tool_await_err(&tool, part);

	udp_close(&udps[1]);
	snprintf(part, sizeof(part), "namespace %s: gone: 1 packet", later->name);
	netns_free(later);
	tool_await_err(&tool, part);
	tool_stop(&tool, .packets = 2, .accepted = 2, .queue_full_unknown = true);
}

/* The next line on stderr that begins like this, before any that has @unwanted in it. */
static void await_err_without(const char *begin, const char *unwanted)
{
	do {
		cr_assert(tool_err(&tool)[0], "no line '%s'", begin);
		cr_assert_null(strstr(tool.line, unwanted), "%s", tool.line);
	} while (strncmp(tool.line, begin, strlen(begin)) != 0);
}

/* Once one is served that came later, all others were looked at. */
static struct netns *await_later(const char *unwanted)
{
	struct netns *later = netns_new();
	char begin[96];

	snprintf(begin, sizeof(begin), "serving namespace %s", later->name);
	await_err_without(begin, unwanted);
	return later;
}

Test(dump_found, leaves_out_what_is_excluded)
{
	struct netns *name = netns_new(), *by_path = netns_new(), own = { .fd = -1 };
	struct child child = child_start(live_apart, NULL);
	struct netns_queue queue;
	struct netns process;
	char text[96];

	child_await(&child);
	snprintf(text, sizeof(text), "/proc/%d/ns/net", (int)child.pid);
	process.fd = open(text, O_RDONLY | O_CLOEXEC);
	own.fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	tool_start(&tool, NULL, -1,
		   "dump -q %u --all-netns --exclude self --exclude %s --exclude /run/netns/%s "
		   "--exclude %d",
		   RARE + 1, name->name, by_path->name, (int)child.pid);
	(void)await_later(name->name);
	cr_expect(!netns_get_queue(&own, RARE + 1, &queue));
	cr_expect(!netns_get_queue(name, RARE + 1, &queue));
	cr_expect(!netns_get_queue(by_path, RARE + 1, &queue));
	cr_expect(!netns_get_queue(&process, RARE + 1, &queue));

	/*
	 * A name stays excluded, whatever it is the name of. Who makes a namespace is in there before
	 * it has its name, so that it may be served for a moment.
	 */
	netns_run(NULL, "ip netns delete %s && ip netns add %s", name->name, name->name);
	close(name->fd);
	snprintf(text, sizeof(text), "/run/netns/%s", name->name);
	name->fd = open(text, O_RDONLY | O_CLOEXEC);
	(void)await_later("already served");
	cr_expect(wait_until(!netns_get_queue(name, RARE + 1, &queue)));
	tool_stop(&tool, .queue_full_unknown = true);
	close(process.fd);
	close(own.fd);
	cr_assert_eq(child_finish(&child), 0);
}

/* A name that one which is served gets is as good as one that it had. */
Test(dump_found, leaves_what_gets_an_excluded_name)
{
	struct netns *space = netns_new(), *gone = netns_new();
	char text[96];

	netns_run(NULL, "ip netns delete %s", gone->name);
	tool_start(&tool, NULL, -1, "dump -q %u --all-netns --exclude %s", RARE + 2, gone->name);
	snprintf(text, sizeof(text), "--exclude %s: there is no such namespace now", gone->name);
	tool_await_err(&tool, text);
	snprintf(text, sizeof(text), "serving namespace %s", space->name);
	tool_await_err(&tool, text);
	netns_run(NULL, "touch /run/netns/%s && mount --bind /run/netns/%s /run/netns/%s",
		  gone->name, space->name, gone->name);
	snprintf(text, sizeof(text), "namespace %s: gone: 0 packets", space->name);
	tool_await_err(&tool, text);
	tool_stop(&tool, .queue_full_unknown = true);
}

Test(dump_found, what_is_served_and_found_is_no_refusal)
{
	char begin[96];

	ns = netns_new();
	tool_start(&tool, NULL, -1, "dump -q %u --all-netns -n %s", RARE + 3, ns->name);
	snprintf(begin, sizeof(begin), "serving namespace %s", ns->name);
	tool_await_err(&tool, begin);
	(void)await_later("already served");
	tool_stop(&tool, .queue_full_unknown = true);
}
