/* SPDX-License-Identifier: MIT */
/* A namespace in which UDP goes through queue 1, and the tool that serves it. */
#include "dump-fixture.h"

#include <criterion/criterion.h>
#include <signal.h>

struct netns *ns;
struct udp udp;
struct tool tool;

void dump_open(void)
{
	ns = queued_ns_open(&udp);
}

void dump_start(const char *arguments)
{
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s %s", ns->name, arguments);
	tool_listening(&tool);
}

void dump_open_and_start(const char *arguments)
{
	dump_open();
	dump_start(arguments);
}

void dump_send_at_once(uint32_t count)
{
	tool_freeze(&tool);
	udp_send_many(&udp, 0, count);
	cr_assert(netns_wait_waiting(ns, 1, count));
	kill(tool.pid, SIGCONT);
}

void dump_expect(uint32_t count)
{
	queued_ns_expect(ns, &udp, count);
}

void dump_end(int signal)
{
	kill(tool.pid, signal);
	cr_assert_eq(tool_finish(&tool), 0);
}
