// SPDX-License-Identifier: MIT
/* ifname.c: names and MTUs of interfaces, which cost no system call for each packet. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>

#include "support/fixture.h"

static char name[17];

static void begin(void)
{
	setup();
	fake.interfaces = 1000;
}

TestSuite(names, .init = begin, .fini = teardown);

static void expect_name(uint32_t ifindex, const char *expected)
{
	memset(name, '!', 16);
	cr_expect(eq(int, mnfq_socket_get_ifname(sock, ifindex, name), 0));
	cr_expect(eq(str, name, (char *)expected));
}

static void expect_none(uint32_t ifindex, int err)
{
	memset(name, '!', 16);
	cr_expect(eq(int, mnfq_socket_get_ifname(sock, ifindex, name), err));
	cr_expect(eq(int, name[0], '!'), "untouched");
}

static void expect_calls(unsigned int calls)
{
	cr_expect(eq(u32, fake.name_calls, calls));
}

Test(names, one_is_asked_for_once)
{
	for (unsigned int i = 0; i < 100; i++)
		expect_name(3, "eth3");
	expect_calls(1);
	expect_name(4, "eth4");
	expect_name(3, "eth3");
	expect_calls(2);
}

/* An index may be any number, and what is near each other by chance shares its places. */
Test(names, four_that_share_a_set_do_not_push_each_other_out)
{
	for (unsigned int i = 0; i < 100; i++) {
		expect_name(5, "eth5");
		expect_name(21, "eth21");
		expect_name(37, "eth37");
		expect_name(853, "eth853");
	}
	expect_calls(4);
}

Test(names, many_are_asked_for_once)
{
	char expected[16];

	for (unsigned int j = 0; j < 10; j++) {
		for (unsigned int i = 1; i <= 64; i++) {
			snprintf(expected, sizeof(expected), "eth%u", i);
			expect_name(i, expected);
		}
	}
	expect_calls(64);
}

Test(names, a_fifth_takes_the_place_of_the_oldest)
{
	for (uint32_t i = 0; i < 4; i++) {
		fake.clock_ms += 10;
		cr_expect(eq(int, mnfq_socket_get_ifname(sock, 16 * i + 1, name), 0));
	}
	expect_calls(4);
	expect_name(65, "eth65");
	expect_calls(5);
	for (uint32_t i = 1; i <= 4; i++)
		cr_expect(eq(int, mnfq_socket_get_ifname(sock, 16 * i + 1, name), 0));
	expect_calls(5);
	expect_name(1, "eth1");
	expect_calls(6);
}

Test(names, that_there_is_none_is_remembered)
{
	for (unsigned int i = 0; i < 100; i++) {
		expect_none(1001, -ENODEV);
		expect_none(UINT32_MAX, -ENODEV);
	}
	expect_calls(2);
}

Test(names, a_change_is_seen_after_a_second)
{
	expect_none(1001, -ENODEV);
	expect_name(9, "eth9");
	fake.interfaces = 2000;
	fake.clock_ms += 999;
	expect_none(1001, -ENODEV);
	expect_name(9, "eth9");
	expect_calls(2);
	fake.clock_ms += 1;
	expect_name(1001, "eth1001");
	expect_calls(3);
	fake.interfaces = 2;
	expect_none(9, -ENODEV);
	expect_calls(4);
	fake.clock_ms += 1000;
	expect_none(1001, -ENODEV);
	expect_calls(5);
}

/* Nothing is concluded from a failure to ask. */
Test(names, a_failure_is_not_remembered)
{
	fake.name_error = EPERM;
	expect_none(3, -EPERM);
	fake.name_error = 0;
	expect_name(3, "eth3");
	fake.clock_ms += 1000;
	fake.name_error = EPERM;
	expect_none(3, -EPERM);
	expect_calls(3);
}

Test(names, wrong_arguments_cost_no_call)
{
	expect_none(0, -EINVAL);
	cr_expect(eq(int, mnfq_socket_get_ifname(NULL, 1, name), -EINVAL));
	cr_expect(eq(int, mnfq_socket_get_ifname(sock, 1, NULL), -EINVAL));
	expect_calls(0);
}

static struct mnfq_packet *retained;

static enum mnfq_verdict retain(struct mnfq_packet *packet, void *data)
{
	(void)data;
	cr_expect(eq(int, mnfq_packet_get_ifname(packet, 3, name), 0),
		  "the socket's cache is asked");
	cr_expect(eq(int, mnfq_packet_retain(&retained, packet), 0));
	return MNFQ_DEFER;
}

/* Whichever thread asks for it, it must not touch what the thread of the socket remembers. */
Test(names, a_retained_packet_asks_for_itself)
{
	rebind_seven(retain, MNFQ_DROP);
	fake_packet(7, 60, true);
	expect_name(3, "eth3");
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1));
	expect_calls(1);
	cr_expect(eq(int, mnfq_packet_get_ifname(retained, 3, name), 0));
	cr_expect(eq(str, name, (char *)"eth3"));
	expect_calls(2);
	cr_expect(eq(int, mnfq_packet_get_ifname(retained, 1001, name), -ENODEV));
	cr_expect(eq(int, mnfq_packet_get_ifname(retained, 0, name), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_ifname(retained, 3, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_ifname(NULL, 3, name), -EINVAL));
	cr_expect(eq(str, name, (char *)"eth3"), "untouched");
	mnfq_queue_unbind(queue);
	expect_calls(3);
	cr_expect(eq(int, mnfq_packet_get_ifname(retained, 3, name), -ENODEV));
	expect_calls(3);
	mnfq_packet_free(retained);
}

/* ---- MTUs ---- */

static struct mnfq_packet packet;

static void leave_by(uint32_t outdev, uint32_t physoutdev)
{
	message_begin(&msg, 7);
	message_hdr(&msg, 1, 0x0800, NF_INET_FORWARD);
	if (outdev)
		message_attr32(&msg, NFQA_IFINDEX_OUTDEV, outdev);
	if (physoutdev)
		message_attr32(&msg, NFQA_IFINDEX_PHYSOUTDEV, physoutdev);
	cr_assert(eq(int, mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0));
	packet.queue = queue;
}

static void expect_mtu(int err, uint32_t expected)
{
	uint32_t mtu = 0;

	cr_expect(eq(int, mnfq_packet_get_mtu(&packet, &mtu), err));
	cr_expect(eq(u32, mtu, expected));
}

Test(names, an_mtu_is_asked_for_once)
{
	leave_by(3, 0);
	for (unsigned int i = 0; i < 100; i++)
		expect_mtu(0, 1003);
	expect_name(3, "eth3");
	expect_calls(1);
	cr_expect(eq(u32, fake.mtu_calls, 1));
	fake.clock_ms += 1000;
	expect_name(3, "eth3");
	expect_mtu(0, 1003);
	expect_calls(2);
	cr_expect(eq(u32, fake.mtu_calls, 2));
}

Test(names, an_mtu_is_asked_for_only_on_request)
{
	expect_name(3, "eth3");
	cr_expect(eq(u32, fake.mtu_calls, 0));
}

Test(names, an_mtu_is_that_of_the_way_out)
{
	leave_by(3, 4);
	expect_mtu(0, 1004);
	leave_by(0, 0);
	expect_mtu(-ENODATA, 0);
	leave_by(1001, 0);
	expect_mtu(-ENODEV, 0);
	leave_by(5, 0);
	expect_name(5, "eth5");
	fake.interfaces = 4;
	expect_mtu(-ENODEV, 0); /* between the name and this it went */
	cr_expect(eq(int, mnfq_packet_get_mtu(&packet, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_packet_get_mtu(NULL, &packet.id), -EINVAL));
	leave_by(3, 0);
	fake.name_error = EBADF;
	expect_mtu(-EBADF, 0);
}
