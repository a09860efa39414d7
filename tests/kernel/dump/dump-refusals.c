/* SPDX-License-Identifier: MIT */
/* mnfq dump: what it refuses, each with one line that says why. */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

#include "dump-fixture.h"
#include "kernel-fixture.h"

TestSuite(dump_refusals, .timeout = 300);

static void expect_refused(const char *arguments, int status, const char *part)
{

	tool_start(&tool, NULL, -1, "%s", arguments);
	tool_err(&tool);
	cr_expect(strncmp(tool.line, "mnfq", 4) == 0 && strstr(tool.line, part), "%s: %s",
		  arguments, tool.line);
	cr_expect(status != 2 || strstr(tool.line, "--help"), "%s", tool.line);
	cr_expect_str_eq(tool_err(&tool), "", "%s: one line", arguments);
	cr_expect_str_eq(tool_out(&tool), "", "%s", arguments);
	cr_expect_eq(tool_finish(&tool), status, "%s", arguments);
}

Test(dump_refusals, wrong_command_lines)
{
	expect_refused("", 2, "no command");
	expect_refused("dumb", 2, "dumb");
	expect_refused("dump", 2, "-q");
	expect_refused("dump -q", 2, "-q requires an argument");
	expect_refused("dump --mark", 2, "--mark requires an argument");
	expect_refused("dump -q 1 -Z", 2, "-Z");
	expect_refused("dump -q 1 --foo", 2, "--foo");
	expect_refused("dump -q 1 --quiet=1", 2, "no argument");
	expect_refused("dump -q 1 more", 2, "more");
	expect_refused("dump -q 65536", 2, "65536");
	expect_refused("dump -q one", 2, "one");
	expect_refused("dump -q 3:1", 2, "3:1");
	expect_refused("dump -q 0:4096", 2, "at most 4096 queues");
	expect_refused("dump -q 1 -q 2", 2, "only once");
	expect_refused("dump -q 1 -n a --fd 7", 2, "cannot be combined");
	expect_refused("dump -q 1 --fd x", 2, "--fd x");
	expect_refused("dump -q 1 -c 0", 2, "-c 0");
	expect_refused("dump -q 1 --threads", 2, "--threads requires an argument");
	expect_refused("dump -q 1 --threads 0", 2, "--threads 0");
	expect_refused("dump -q 1 --threads 2", 2, "exceeds the number of queues");
	expect_refused("dump -q 0:3 --threads 5", 2, "exceeds the number of queues");
	expect_refused("dump -q 0:3 --threads 2 --fd 7", 2, "cannot be combined");
	expect_refused("dump -q 1 --max-len 0", 2, "--max-len 0");
	expect_refused("dump -q 1 --busy-poll 1000001", 2, "--busy-poll 1000001");
	expect_refused("dump -q 1 --listen /tmp/x --mode 888", 2, "--mode 888");
	expect_refused("dump -q 1 --mode 600", 2, "--mode requires --listen");
	expect_refused("dump -q 1 --allow-uid root", 2, "--allow-uid root");
	expect_refused("dump -q 1 --allow-uid 0", 2, "see --listen");
	expect_refused("dump -q 1 --lend-rights", 2, "see --listen");
	expect_refused("dump -q 1 -n x --lend-rights", 2, "see --listen");
	expect_refused("dump -q 1 --exclude self", 2, "--all-netns");
	expect_refused("dump -q 1 --allow-plain", 2, "see --listen");
	expect_refused("dump -q 1 --all-netns --allow-uid 0", 2, "see --listen");
	expect_refused("dump -q 1 --keep", 2, "NOTIFY_SOCKET");
	expect_refused("dump -q 1 -n a -n b --busy-poll 10", 2, "one namespace");
	expect_refused("dump -q 1 -n a -n b --coalesce 10", 2, "one namespace");
	expect_refused("dump -q 1 --coalesce 10001", 2, "--coalesce 10001");
	expect_refused("dump -q 1 --coalesce 10 --busy-poll 10", 2, "cannot be combined");
	expect_refused("dump -q 0:3 --threads 2 --all-netns", 2, "one namespace");
	expect_refused("dump -q 0:3 --threads 2 --from /tmp/x", 2, "cannot be combined");
	expect_refused("dump -q 1 --max-len 4294967296", 2, "--max-len");
	expect_refused("dump -q 1 --mark 0x100000000", 2, "--mark");
	expect_refused("dump -q 1 --mark -1", 2, "--mark -1");
	expect_refused("dump -q 1 --mark 1/", 2, "N/MASK");
	expect_refused("dump -q 1 --mark 3/1", 2, "mask");
	expect_refused("dump -q 1 --mark 0/0", 2, "mask");
	expect_refused("dump -q 1 --set-priority", 2, "--set-priority requires an argument");
	expect_refused("dump -q 1 --set-priority 4294967296", 2, "--set-priority 4294967296");
	expect_refused("dump -q 1 --set-priority 1:2:3", 2, "MAJOR:MINOR");
	expect_refused("dump -q 1 --set-priority high", 2, "--set-priority high");
	expect_refused("dump -q 1 --ct-mark", 2, "--ct-mark requires an argument");
	expect_refused("dump -q 1 --ct-mark 0x100000000", 2, "--ct-mark 0x100000000");
	expect_refused("dump -q 1 --ct-mark 1/", 2, "N/MASK");
	expect_refused("dump -q 1 --ct-mark 3/1", 2, "mask");
	expect_refused("dump -q 1 --ct-mark 0/0", 2, "mask");
	expect_refused("dump -q 1 --conntrack=1", 2, "no argument");
	expect_refused("dump -q 1 --copy packet:65532", 2, "--copy");
	expect_refused("dump -q 1 --copy all", 2, "--copy all");
	expect_refused("dump -q 1 --color red", 2, "auto, always or never");
	expect_refused("dump -q 1 --payload hex", 2, "--payload requires --json");
	expect_refused("dump -q 1 --json --payload raw", 2, "hex or base64");
	expect_refused("dump -q 1 --netns", 2, "--netns requires an argument");
	expect_refused("dump -q 1 -n ''", 1, "");
	expect_refused("dump -q 1 --verdict stolen", 2, "--verdict stolen");
	expect_refused("dump -q 1 --verdict queue:65536", 2, "--verdict");
	expect_refused("dump -q 1 --verdict repeat", 2, "--mark");
	expect_refused("dump -q 0:3 --verdict queue:2", 2, "another queue");
}

Test(dump_refusals, what_cannot_be_opened)
{
	expect_refused("dump -q 1 -n mnfq-no-such-namespace", 1, "mnfq-no-such-namespace");
	expect_refused("dump -q 1 -n /dev/null", 1, "/dev/null is not a network namespace");
	expect_refused("dump -q 1 --fd 99", 1, "99");
	expect_refused("dump -q 1 --fd 0 </dev/null", 1, "not a socket");
}

/* Not a line a namespace, and not a wait for what cannot come. */
Test(dump_refusals, all_namespaces_without_rights)
{
	netns_new();
	tool_start_shell(
		&tool, NULL, -1,
		"exec setpriv --bounding-set=-all --inh-caps=-all \"$MNFQ_TOOL\" dump -q 1 "
		"--all-netns");
	expect_contains(tool_err(&tool), "mnfq dump: --all-netns requires CAP_SYS_ADMIN");
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
}

/* It has all of them in a user namespace that owns no network namespace. */
Test(dump_refusals, all_namespaces_without_rights_over_any)
{
	netns_new();
	tool_start_shell(&tool, NULL, -1,
			 "exec unshare -U -r \"$MNFQ_TOOL\" dump -q 1 --all-netns");
	tool_listening(&tool);
	expect_contains(tool_err(&tool), "mnfq dump: no right to enter any namespace");
	expect_contains(tool_err(&tool), "0 packets, ");
	cr_assert_str_eq(tool_err(&tool), "", "%s", tool.line);
	cr_assert_eq(tool_finish(&tool), 1);
}

/* What the kernel can do must run. */
static void expect_refused_unless(uint32_t flag, const char *option, const char *part)
{
	struct netns *space = netns_new();

	tool_start(&tool, NULL, -1, "dump -q 1 -n %s %s", space->name, option);
	if (kernel_has(netns_new(), flag)) {
		tool_listening(&tool);
		kill(tool.pid, SIGTERM);
		cr_expect_eq(tool_finish(&tool), 0);
		return;
	}
	tool_err(&tool);
	cr_assert(strncmp(tool.line, "mnfq dump: ", 11) == 0 && strstr(tool.line, part), "%s: %s",
		  option, tool.line);
	cr_expect_str_eq(tool_err(&tool), "", "%s: one line", option);
	cr_expect_eq(tool_finish(&tool), 1, "%s", option);
}

Test(dump_refusals, what_the_kernel_lacks)
{
	const char *missing = kernel_lacks_for_conntrack(netns_new());

	expect_refused_unless(MNFQ_QUEUE_CONNTRACK, "--conntrack", missing);
	expect_refused_unless(MNFQ_QUEUE_CONNTRACK, "--ct-mark 1", missing);
	expect_refused_unless(MNFQ_QUEUE_SECCTX, "--secctx", "CONFIG_NETWORK_SECMARK");
}

Test(dump_refusals, says_who_owns_the_queue)
{
	struct tool owner;
	char begin[96], pid[32];

	ns = netns_new();
	tool_start(&owner, NULL, -1, "dump -q 2 -n %s", ns->name);
	tool_listening(&owner);
	tool_start(&tool, NULL, -1, "dump -q 1:3 -n %s", ns->name);
	snprintf(pid, sizeof(pid), "%d", (int)owner.pid);
	tool_err(&tool);
	snprintf(begin, sizeof(begin), "mnfq dump: namespace %s: queue 2 is owned by ", ns->name);
	cr_assert(strncmp(tool.line, begin, strlen(begin)) == 0, "%s", tool.line);
	cr_assert(strstr(tool.line, pid), "%s", tool.line);
	cr_assert_str_eq(tool_err(&tool), "", "one line");
	cr_assert_eq(tool_finish(&tool), 1);
	/* The one that it runs in is understood. */
	tool_start(&tool, ns, -1, "dump -q 2");
	tool_err(&tool);
	cr_assert(strncmp(tool.line, "mnfq dump: queue 2 is owned by ", 31) == 0, "%s",
		  tool.line);
	cr_assert_eq(tool_finish(&tool), 1);
	kill(owner.pid, SIGTERM);
	cr_assert_eq(tool_finish(&owner), 0);
}
