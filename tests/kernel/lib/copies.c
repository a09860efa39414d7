/* SPDX-License-Identifier: MIT */
/*
 * Two copies of the library in one process, one linked statically, one that a plug-in brings as a
 * shared library: both serve packets at the same time.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "netns.h"
#include "traffic.h"
#include "wait.h"

#define PACKETS 2000

/* A copy that serves a queue in a thread: even packets at once, odd ones are held first. */
struct server {
	struct copy copy;
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	unsigned int handled, failed;
	pthread_t thread;
	struct udp udp;
};

static enum mnfq_verdict decide(struct mnfq_packet *packet, void *data)
{
	struct server *server = data;
	const struct copy *copy = &server->copy;
	struct mnfq_packet *held;
	const uint8_t *payload;
	size_t len;

	payload = copy->get_payload(packet, &len);
	server->handled++;
	if (packet_seq(payload, len) % 2 == 0) {
		server->failed += copy->set_mark(packet, 7) != 0;
		return MNFQ_ACCEPT;
	}
	if (copy->retain(&held, packet) != 0) {
		server->failed++;
		return MNFQ_ACCEPT;
	}
	server->failed += copy->set_mark(held, 7) != 0 || copy->decide(held, MNFQ_ACCEPT) != 0;
	copy->free(held);
	return MNFQ_DEFER;
}

static void *serve(void *arg)
{
	struct server *server = arg;

	while (server->handled < PACKETS && server->copy.dispatch(server->sock, DEADLINE_MS) > 0)
		;
	return NULL;
}

static void server_open(struct server *server, struct netns *ns, uint16_t port, uint16_t num)
{
	const struct mnfq_queue_options options = { .size = sizeof(options),
						    .max_len = 2 * PACKETS };
	int err;

	netns_rule(ns, 4, "-t mangle -A INPUT -p udp --dport %u -j NFQUEUE --queue-num %u", port,
		   num);
	netns_rule(ns, 4, "-A INPUT -p udp --dport %u -m mark --mark 7 -j ACCEPT", port);
	udp_open(&server->udp, ns, ns, "127.0.0.1", port);
	err = server->copy.open_netns(&server->sock, ns->name, NULL);
	cr_assert(err == 0, "%s", strerror(-err));
	err = server->copy.bind(&server->queue, server->sock, num, &options, decide, server);
	cr_assert(err == 0, "%s", server->copy.get_error(server->sock));
}

static void server_check(struct server *server)
{
	struct tally tally;

	tally_init(&tally, PACKETS);
	cr_assert(udp_drain_until(&server->udp, &tally, PACKETS));
	pthread_join(server->thread, NULL);
	cr_expect(server->handled == PACKETS && server->failed == 0, "%u handled, %u failed: %s",
		  server->handled, server->failed, server->copy.get_error(server->sock));
	cr_expect(tally.repeated == 0 && tally.strange == 0);
	cr_expect(server->copy.close(server->sock) == NULL);
	tally_free(&tally);
	udp_close(&server->udp);
}

static struct copy load_plug_in(void)
{
	const char *path = getenv("MNFQ_COPY");
	struct copy (*get)(void);
	void *library;

	cr_assert(path, "MNFQ_COPY names the plug-in");
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert(library, "%s", dlerror());
	*(void **)&get = dlsym(library, "copy_get");
	cr_assert(get);
	return get();
}

Test(copies, both_serve_packets)
{
	struct server servers[2] = { { .copy = copy_functions() }, { .copy = load_plug_in() } };
	struct netns *ns = netns_new();

	cr_assert(servers[0].copy.dispatch != servers[1].copy.dispatch,
		  "the plug-in got the functions of the program");
	for (unsigned int i = 0; i < 2; i++)
		server_open(&servers[i], ns, (uint16_t)(7000 + i), (uint16_t)(1 + i));
	for (unsigned int i = 0; i < 2; i++)
		cr_assert(pthread_create(&servers[i].thread, NULL, serve, &servers[i]) == 0);
	for (uint32_t seq = 0; seq < PACKETS; seq++) {
		udp_send(&servers[0].udp, seq);
		udp_send(&servers[1].udp, seq);
	}
	for (unsigned int i = 0; i < 2; i++) {
		server_check(&servers[i]);
		cr_expect_eq(netns_rule_packets(ns, 4, "filter", "INPUT", i + 1), PACKETS,
			     "packets without the mark");
	}
	netns_free(ns);
}
