/* SPDX-License-Identifier: MIT */
/* Security contexts of packets, by whichever security module is at work: AppArmor, SELinux. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-fixture.h"

static struct {
	unsigned int count;
	bool there;
	char hook[16], text[64];
	size_t len;
} last;

static enum mnfq_verdict look(struct mnfq_packet *packet, void *data)
{
	const char *text;

	(void)data;
	last.count++;
	memset(last.text, 0, sizeof(last.text));
	snprintf(last.hook, sizeof(last.hook), "%s", mnfq_packet_get_hook_name(packet));
	text = mnfq_packet_get_secctx(packet, &last.len);
	last.there = text != NULL;
	if (text && last.len < sizeof(last.text))
		memcpy(last.text, text, last.len);
	return MNFQ_ACCEPT;
}

/* What this process runs as is a context that the module knows, also without any policy. */
static char *own_context(void)
{
	char *context = netns_output(fixture.ns, "cat /proc/self/attr/current");

	context[strcspn(context, " \n")] = '\0';
	return context;
}

static void expect(const char *hook, const char *context)
{
	const unsigned int before = last.count;

	udp_send(&fixture.udp, 1);
	fixture_serve(1);
	cr_assert(last.count == before + 1);
	cr_assert_str_eq(last.hook, hook);
	if (!context) {
		cr_assert(!last.there, "'%s'", last.text);
		return;
	}
	cr_assert(last.there);
	cr_assert_str_eq(last.text, context);
	cr_assert(last.len - strlen(context) <= 1, "%zu bytes", last.len);
}

QueueTest(secctx, of_packets_with_a_secmark)
{
	char *context;

	context = own_context();
	netns_rule(fixture.ns, 4, "-t mangle -F INPUT");
	netns_rule(fixture.ns, 4, "-t security -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	fixture_bind(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_SECCTX), look);
	expect("output", NULL);
	netns_rule(fixture.ns, 4, "-t security -I OUTPUT -j SECMARK --selctx %s", context);
	expect("output", context);
	expect_ok(fixture.sock, mnfq_queue_set_flags(fixture.queue, 0, MNFQ_QUEUE_SECCTX));
	expect("output", NULL);
	free(context);
}

/* It has a SECMARK, but no socket of a local sender behind it. */
QueueTest(secctx, not_of_packets_that_arrive)
{
	char *context;

	context = own_context();
	netns_rule(fixture.ns, 4, "-t mangle -F INPUT");
	netns_rule(fixture.ns, 4, "-t security -A INPUT -j SECMARK --selctx %s", context);
	netns_rule(fixture.ns, 4, "-t security -A INPUT -p udp -j NFQUEUE --queue-num 1");
	fixture_bind(QUEUE_OPTIONS(.flags = MNFQ_QUEUE_SECCTX), look);
	expect("input", NULL);
	free(context);
}
