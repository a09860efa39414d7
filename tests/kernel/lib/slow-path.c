/* SPDX-License-Identifier: MIT */
/*
 * A namespace that makes each verdict cost what it likes: an accepted packet goes on with its path
 * inside our sendmsg, and there are 60,000 rules on it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel-fixture.h"

/* Behind the queue in mangle INPUT; rules of one table only would not see the packet again. */
static void slow_down(void)
{
	netns_run(fixture.ns,
		  "{ echo '*filter'; i=0; while [ $i -lt 60000 ]; do "
		  "echo \"-A INPUT -s 10.9.$((i / 256)).$((i %% 256)) -j DROP\"; i=$((i + 1)); "
		  "done; echo COMMIT; } | iptables-legacy-restore -w");
}

static void speed_up(void)
{
	netns_rule(fixture.ns, 4, "-F INPUT");
}

TestSuite(slow_path, .timeout = 300);

/* One by one while each takes longer than a round should; many again as soon as they are quick. */
QueueTest(slow_path, a_round_has_as_many_packets_as_its_time_allows)
{
	int n, most = 0;
	uint32_t seq = 0;

	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name,
					       SOCKET_OPTIONS(.round_us = 200)));
	fixture_bind(NULL, count_packet);
	slow_down();
	udp_send_many(&fixture.udp, seq, 50);
	for (; seq < 50; seq++)
		cr_assert_eq(mnfq_socket_dispatch(fixture.sock, DEADLINE_MS), 1);
	speed_up();
	for (uint32_t i = 0; i < 100 && most < 8; i++) {
		udp_send_many(&fixture.udp, seq, 100);
		for (seq += 100; fixture.seen<seq; most = n> most ? n : most) {
			n = mnfq_socket_dispatch(fixture.sock, DEADLINE_MS);
			cr_assert(n > 0);
		}
	}
	cr_assert(most >= 8, "%d at most", most);
}

/* ---- the end ---- */

/* Where packets take long, on a socket with these options. */
static void open_behind_rules(mnfq_callback callback, const struct mnfq_socket_options *options)
{
	fixture_open(4);
	mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_open_netns(&fixture.sock, fixture.ns->name, options));
	fixture_bind(QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT, .max_len = 65536,
				   .copy_mode = MNFQ_COPY_META),
		     callback);
	slow_down();
	netns_rule(fixture.ns, 4, "-A INPUT -p udp --dport %d -j ACCEPT", PORT);
}

/* Many seconds' worth of packets, and an end that may take one. */
static void open_slow(mnfq_callback callback)
{
	open_behind_rules(callback, SOCKET_OPTIONS(.timeout_ms = 1000));
	udp_send_many(&fixture.udp, 0, 30000);
	cr_assert(netns_wait_waiting(fixture.ns, 1, 30000));
}

/* Within the deadline and one portion, and what passed is what was counted as accepted. */
static void expect_end(int64_t took)
{
	struct mnfq_stats stats = fixture_socket_stats();

	cr_assert(took < 5000, "%" PRId64 " ms", took);
	cr_assert(stats.defaulted == 30000 && stats.accepted + stats.dropped == 30000,
		  "%" PRIu64 ", %" PRIu64 " accepted, %" PRIu64 " dropped", stats.defaulted,
		  stats.accepted, stats.dropped);
	cr_assert(stats.accepted > 0);
	cr_assert_eq(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 60001), stats.accepted);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0 && stats.refused == 0);
}

static void end_in_time(mnfq_callback callback, unsigned int handled)
{
	int64_t begin;

	open_slow(callback);
	fixture_serve(handled);
	begin = now_ms();
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	expect_end(now_ms() - begin);
	while (fixture.retained_count > 0)
		mnfq_packet_free(fixture.retained[--fixture.retained_count]);
	fixture_close();
}

Test(slow_path, what_was_not_read_delays_the_end_no_longer_than_its_deadline)
{
	end_in_time(count_packet, 0);
}

Test(slow_path, what_is_held_delays_the_end_no_longer_than_its_deadline)
{
	end_in_time(retain_packet, 640);
}

static enum mnfq_verdict unbind_it(struct mnfq_packet *packet, void *data)
{
	(void)data;
	(void)packet;
	fixture.queue = mnfq_queue_unbind(fixture.queue);
	return MNFQ_DROP;
}

/* Some of what waits is in the ring, some is not. */
Test(slow_path, an_end_in_a_callback_takes_no_longer_than_its_deadline)
{
	struct mnfq_stats stats;
	int64_t begin;

	open_slow(unbind_it);
	begin = now_ms();
	cr_assert_eq(mnfq_socket_dispatch(fixture.sock, 0), 1);
	cr_assert(now_ms() - begin < 5000, "%" PRId64 " ms", now_ms() - begin);
	stats = fixture_socket_stats();
	cr_assert(stats.defaulted == 29999 && stats.unclaimed == 0);
	cr_assert_eq(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 60001), stats.accepted);
	fixture_close();
}

/* All queues of a socket together. */
Test(slow_path, closing_takes_no_longer_than_its_deadline)
{
	int64_t begin;

	open_slow(count_packet);
	begin = now_ms();
	fixture.sock = mnfq_socket_close(fixture.sock);
	cr_assert(now_ms() - begin < 5000, "%" PRId64 " ms", now_ms() - begin);
	cr_assert(netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 60001) > 0);
	fixture_close();
}

/* ---- what others took ---- */

#define TAKEN 5000

static int copy_of(void)
{
	int copy = fcntl(mnfq_socket_get_fd(fixture.sock), F_DUPFD_CLOEXEC, 0);

	cr_assert(copy >= 0);
	return copy;
}

static void take(int copy, unsigned int count)
{
	uint8_t data[4096];

	while (count-- > 0)
		cr_assert(recv(copy, data, sizeof(data), MSG_DONTWAIT) > 0);
}

/* Where packets may take long, of which a copy of the socket takes some. */
static void open_taken(mnfq_callback callback)
{
	open_behind_rules(callback, SOCKET_OPTIONS(.round_us = 1000));
}

static uint64_t passed(void)
{
	return netns_rule_packets(fixture.ns, 4, "filter", "INPUT", 60001);
}

static unsigned int waiting(void)
{
	struct netns_queue queue;

	cr_assert(netns_get_queue(fixture.ns, 1, &queue));
	return queue.waiting;
}

/* As an event loop does, until @left wait. */
static void expect_short_rounds(unsigned int left)
{
	while (waiting() > left) {
		int64_t begin = now_ms();

		cr_assert(wait_readable(mnfq_socket_get_fd(fixture.sock)),
			  "%u wait, and the descriptor is not readable", waiting());
		cr_assert(mnfq_socket_dispatch(fixture.sock, 0) >= 0);
		cr_assert(now_ms() - begin < 1000, "%" PRId64 " ms", now_ms() - begin);
	}
}

Test(slow_path, what_a_copy_took_does_not_make_a_round_long)
{
	int copy;

	open_taken(count_packet);
	copy = copy_of();
	udp_send_many(&fixture.udp, 0, TAKEN + 1);
	take(copy, TAKEN);
	expect_short_rounds(0);
	expect_counts(.seen = 1, .lost = TAKEN);
	cr_assert(passed() == TAKEN + 1);
	close(copy);
	fixture_close();
}

/* Who decides the packet that keeps it back does no more than a step of it. */
Test(slow_path, what_a_copy_took_does_not_make_a_verdict_long)
{
	int64_t begin;
	int copy;

	open_taken(retain_packet);
	copy = copy_of();
	udp_send(&fixture.udp, 0);
	fixture_serve(1);
	udp_send_many(&fixture.udp, 1, TAKEN + 1);
	take(copy, TAKEN);
	fixture_serve(1);
	cr_assert_eq(waiting(), TAKEN + 2);
	cr_assert(mnfq_socket_dispatch(fixture.sock, 0) == 0);
	begin = now_ms();
	cr_assert(mnfq_packet_decide(fixture.retained[0], MNFQ_DROP) == 0);
	cr_assert(now_ms() - begin < 1000, "%" PRId64 " ms", now_ms() - begin);
	expect_short_rounds(1);
	cr_assert(mnfq_packet_decide(fixture.retained[1], MNFQ_DROP) == 0);
	cr_assert(passed() == TAKEN && fixture_stats().lost == TAKEN);
	mnfq_packet_free(fixture.retained[0]);
	mnfq_packet_free(fixture.retained[1]);
	close(copy);
	fixture_close();
}

/* ---- what a former reader left ---- */

/* All but the last @unread were taken by a former reader, whose socket we get. */
static void open_left(unsigned int unread)
{
	int copy, fd;

	open_taken(count_packet);
	copy = copy_of();
	udp_send_many(&fixture.udp, 0, TAKEN + unread);
	take(copy, TAKEN);
	close(copy);
	fd = mnfq_socket_detach(fixture.sock);
	fixture.queue = NULL;
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd,
					  SOCKET_OPTIONS(.timeout_ms = 200, .round_us = 1000)));
	cr_assert_eq(waiting(), TAKEN + unread);
}

static int bind_again(void)
{
	int64_t begin = now_ms();
	int err = mnfq_queue_bind(&fixture.queue, fixture.sock, 1,
				  QUEUE_OPTIONS(.default_verdict = MNFQ_ACCEPT, .max_len = 65536,
						.copy_mode = MNFQ_COPY_META),
				  count_packet, &fixture);

	cr_assert(now_ms() - begin < 2000, "%" PRId64 " ms", now_ms() - begin);
	return err;
}

/* In several attempts: each does what there is time for. */
static void take_over(unsigned int unread)
{
	unsigned int attempts, left = TAKEN + unread;
	int err;

	open_left(unread);
	for (attempts = 0; (err = bind_again()) == -ETIMEDOUT; attempts++) {
		cr_assert(strstr(mnfq_socket_get_error(fixture.sock), "former reader"));
		cr_assert(waiting() < left);
		left = waiting();
	}
	expect_ok(fixture.sock, err);
	cr_assert(attempts > 0 && passed() == TAKEN);
	fixture_serve(unread);
	expect_counts(.lost = 0);
	udp_send(&fixture.udp, TAKEN + unread);
	fixture_serve(1);
	cr_assert(passed() == TAKEN + unread + 1);
	fixture.elsewhere = TAKEN; /* that is not counted */
	fixture_close();
}

Test(slow_path, what_a_former_reader_left_delays_its_successor_no_longer_than_its_deadline)
{
	take_over(10);
}

Test(slow_path, a_former_reader_that_took_all_delays_its_successor_no_longer_than_its_deadline)
{
	take_over(0);
}

/* Gives up or takes back CAP_SYS_ADMIN, without which no process enters the namespace. */
static void may_enter(bool may)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	cr_assert(syscall(SYS_capget, &head, caps) == 0);
	caps[0].effective &= ~(1u << CAP_SYS_ADMIN);
	if (may)
		caps[0].effective |= 1u << CAP_SYS_ADMIN;
	cr_assert(syscall(SYS_capset, &head, caps) == 0);
}

/* Who cannot know which packets were taken has the kernel drop them, and begins anew. */
Test(slow_path, what_cannot_be_found_is_dropped_by_a_successor)
{
	int err;

	open_left(0);
	may_enter(false);
	err = bind_again();
	may_enter(true);
	expect_ok(fixture.sock, err);
	cr_assert(waiting() == 0 && passed() == 0);
	udp_send_many(&fixture.udp, TAKEN, 3);
	fixture_serve(3);
	cr_assert(passed() == 3 && fixture_stats().lost == 0);
	fixture.elsewhere = TAKEN;
	fixture_close();
}
