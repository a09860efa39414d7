/* SPDX-License-Identifier: MIT */
/* Security contexts of packets, by whichever security module is at work: AppArmor, SELinux. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scene.h"

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
static char *own_context(struct scene *scene)
{
	char *context = netns_output(scene->ns, "cat /proc/self/attr/current");

	context[strcspn(context, " \n")] = '\0';
	return context;
}

static void expect(struct scene *scene, const char *hook, const char *context)
{
	const unsigned int before = last.count;

	udp_send(&scene->udp, 1);
	scene_serve(scene, 1);
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

Test(secctx, of_packets_with_a_secmark)
{
	struct scene scene;
	char *context;

	scene_open(&scene, 4);
	context = own_context(&scene);
	netns_rule(scene.ns, 4, "-t mangle -F INPUT");
	netns_rule(scene.ns, 4, "-t security -A OUTPUT -p udp -j NFQUEUE --queue-num 1");
	scene_bind(&scene, QUEUE_OPTIONS(.flags = MNFQ_QUEUE_SECCTX), look);
	expect(&scene, "output", NULL);
	netns_rule(scene.ns, 4, "-t security -I OUTPUT -j SECMARK --selctx %s", context);
	expect(&scene, "output", context);
	scene_ok(scene.sock, mnfq_queue_set_flags(scene.queue, 0, MNFQ_QUEUE_SECCTX));
	expect(&scene, "output", NULL);
	free(context);
	scene_close(&scene);
}

/* It has a SECMARK, but no socket of a local sender behind it. */
Test(secctx, not_of_packets_that_arrive)
{
	struct scene scene;
	char *context;

	scene_open(&scene, 4);
	context = own_context(&scene);
	netns_rule(scene.ns, 4, "-t mangle -F INPUT");
	netns_rule(scene.ns, 4, "-t security -A INPUT -j SECMARK --selctx %s", context);
	netns_rule(scene.ns, 4, "-t security -A INPUT -p udp -j NFQUEUE --queue-num 1");
	scene_bind(&scene, QUEUE_OPTIONS(.flags = MNFQ_QUEUE_SECCTX), look);
	expect(&scene, "input", NULL);
	free(context);
	scene_close(&scene);
}
