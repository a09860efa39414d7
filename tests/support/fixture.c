// SPDX-License-Identifier: MIT
/* A socket with queue 7 bound on it, on a kernel of our own. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

struct mnfq_socket *sock;
struct mnfq_queue *queue;
struct message msg;
unsigned int seen;
uint32_t last_id;

enum mnfq_verdict accept_all(struct mnfq_packet *packet, void *data)
{
	(void)data;
	seen++;
	last_id = mnfq_packet_get_id(packet);
	return MNFQ_ACCEPT;
}

static void open_socket(void)
{
	struct mnfq_socket_options options = { .size = sizeof(options), .timeout_ms = 50 };

	fake_reset();
	cr_assert(eq(int, mnfq_socket_open(&sock, &options), 0));
}

void bind_seven(mnfq_callback callback, enum mnfq_verdict fallback)
{
	struct mnfq_queue_options options = { .size = sizeof(options),
					      .default_verdict = fallback };

	cr_assert(eq(int, mnfq_queue_bind(&queue, sock, 7, &options, callback, NULL), 0));
}

void setup(void)
{
	open_socket();
	bind_seven(accept_all, MNFQ_DROP);
}

void teardown_fail(const char *expected)
{
	fprintf(stderr, "after the test: %s\n", expected);
	abort();
}

void teardown(void)
{
	sock = mnfq_socket_close(sock);
	if (fake_queue(7))
		teardown_fail("the queue is unbound at close");
	fake_reset();
}

struct mnfq_stats stats(void)
{
	struct mnfq_stats now = MNFQ_INIT(now);

	cr_assert(eq(int, mnfq_socket_get_stats(sock, &now), 0));
	return now;
}

struct mnfq_stats queue_stats(struct mnfq_queue *of)
{
	struct mnfq_stats now = MNFQ_INIT(now);

	cr_assert(eq(int, mnfq_queue_get_stats(of, &now), 0));
	return now;
}

void expect_verdict(uint32_t id, uint32_t verdict)
{
	cr_expect(eq(u32, fake_decision(fake_queue(7), id)->verdict, verdict), "packet %u", id);
}

void expect_each_verdict(uint32_t first, uint32_t last, uint32_t verdict)
{
	for (uint32_t id = first; id <= last; id++)
		expect_verdict(id, verdict);
}

void enqueue_packets(unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		fake_packet(7, 60, true);
}

void pass_packets(unsigned int count)
{
	enqueue_packets(count);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), (int)count));
}

void rebind_seven(mnfq_callback callback, enum mnfq_verdict fallback)
{
	queue = mnfq_queue_unbind(queue);
	bind_seven(callback, fallback);
}

int feed(void)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return mnfq_socket_feed(sock, msg.bytes, msg.len, (struct sockaddr *)&kernel,
				sizeof(kernel));
}
