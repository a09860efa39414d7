// SPDX-License-Identifier: MIT
/* queue.c: the flags of a queue, and kernels that lack what one of them asks for. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "request.h"
#include "support/fixture.h"

TestSuite(flags, .init = setup, .fini = teardown);

/* All here is in the flags of the kernel, of which ours have one the other way round. */
#define ALL MNFQ_QUEUE_FLAGS
#define GSO NFQA_CFG_F_GSO

static struct mnfq_queue *other;

static struct mnfq_queue_options with(uint32_t flags, uint32_t optional)
{
	return (struct mnfq_queue_options){ .size = sizeof(struct mnfq_queue_options),
					    .copy_range = 128,
					    .max_len = 99,
					    .flags = flags ^ GSO,
					    .flags_optional = optional };
}

static struct mnfq_queue_options in_force(struct mnfq_queue *which)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);

	cr_assert(eq(int, mnfq_queue_get_options(which, &options), 0));
	options.flags ^= GSO;
	return options;
}

static int set_flags(uint32_t flags, uint32_t mask)
{
	return mnfq_queue_set_flags(queue, flags ^ (mask & GSO), mask);
}

/* The kernel and the library agree on it, and nothing else of queue 7 was touched. */
static void expect_flags(uint32_t flags)
{
	struct mnfq_queue_options options = in_force(queue);

	cr_expect(eq(u32, fake_queue(7)->flags, flags));
	cr_expect(eq(u32, options.flags, flags));
	cr_expect(eq(u32, fake_queue(7)->copy_range, options.copy_range));
	cr_expect(eq(u32, fake_queue(7)->max_len, options.max_len));
	cr_expect(eq(u8, fake_queue(7)->copy_mode, NFQNL_COPY_PACKET));
}

static int configure(uint32_t flags, uint32_t optional)
{
	struct mnfq_queue_options options = with(flags, optional);

	return mnfq_queue_configure(queue, &options);
}

static int bind_eight(uint32_t flags, uint32_t optional)
{
	struct mnfq_queue_options options = with(flags, optional);

	return mnfq_queue_bind(&other, sock, 8, &options, accept_all, NULL);
}

/* Every kernel, and everything that can be asked of it. */
Test(flags, exactly_what_the_kernel_lacks_is_left_out)
{
	int err;

	for (uint32_t lacking = 0; lacking <= ALL; lacking++) {
		for (uint32_t optional = 0; optional <= ALL; optional++) {
			fake.unsupported_flags = lacking;
			err = bind_eight(ALL, optional);
			cr_assert(eq(int, err, lacking & ~optional ? -EOPNOTSUPP : 0),
				  "lacking 0x%x, optional 0x%x", lacking, optional);
			if (err < 0) {
				cr_expect(eq(ptr, fake_queue(8), NULL));
				continue;
			}
			cr_expect(eq(u32, fake_queue(8)->flags, ALL & ~lacking));
			cr_expect(eq(u32, in_force(other).flags, ALL & ~lacking));
			cr_expect(eq(u32, fake_queue(8)->max_len, 99));
			mnfq_queue_unbind(other);
		}
	}
}

Test(flags, a_failure_leaves_them_as_they_were)
{
	int err;

	for (uint32_t before = 0; before <= ALL; before += ALL) {
		for (uint32_t lacking = 0; lacking <= ALL; lacking++) {
			for (uint32_t optional = 0; optional <= ALL; optional++) {
				fake.unsupported_flags = 0;
				cr_assert(eq(int, configure(before, 0), 0));
				fake.unsupported_flags = lacking;
				err = configure(ALL, optional);
				cr_expect(eq(int, err, lacking & ~optional ? -EOPNOTSUPP : 0));
				expect_flags(err < 0 ? before : ALL & ~lacking);
			}
		}
	}
}

Test(flags, what_is_lacking_is_reported)
{
	fake.unsupported_flags = MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_SECCTX;
	cr_expect(eq(int, bind_eight(MNFQ_QUEUE_CONNTRACK, 0), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_socket_get_error(sock), "nf_conntrack_netlink") != NULL);
	cr_expect(strstr(mnfq_socket_get_error(sock), "SECMARK") == NULL);
	cr_expect(strstr(mnfq_socket_get_error(sock), "GLUE") == NULL);
	cr_expect(eq(int, bind_eight(MNFQ_QUEUE_SECCTX, 0), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_socket_get_error(sock), "SECMARK") != NULL);
	cr_expect(eq(int, set_flags(MNFQ_QUEUE_CONNTRACK, ALL), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_socket_get_error(sock), "nf_conntrack_netlink") != NULL);
	expect_flags(GSO);
}

/* What is loaded need not be. Without an answer it is unknown, and the message says both. */
Test(flags, a_module_is_named_only_where_it_is_not_loaded)
{
	fake.unsupported_flags = MNFQ_QUEUE_CONNTRACK;
	fake.ctnetlink = true;
	fake_packet(7, 60, true);
	cr_expect(eq(int, bind_eight(MNFQ_QUEUE_CONNTRACK, 0), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_socket_get_error(sock), "nf_conntrack_netlink") == NULL, "%s",
		  mnfq_socket_get_error(sock));
	cr_expect(strstr(mnfq_socket_get_error(sock), "_GLUE_CT") != NULL);
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 1), "packets meanwhile are kept");
	cr_expect(eq(u64, stats().malformed + stats().lost, 0));

	fake.keep_answers = 1;
	fake.lose_answers = UINT32_MAX;
	cr_expect(eq(int, bind_eight(MNFQ_QUEUE_CONNTRACK, 0), -EOPNOTSUPP));
	cr_expect(strstr(mnfq_socket_get_error(sock), "nf_conntrack_netlink") != NULL);
	cr_expect(strstr(mnfq_socket_get_error(sock), "_GLUE_CT") != NULL);
	fake.lose_answers = 0;
}

/* What is optional without being asked for waits until it is. */
Test(flags, what_is_optional_need_not_be_set)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);
	unsigned int sends = fake.sends;

	cr_expect(eq(int, configure(GSO, 0x20), -EINVAL));
	cr_expect(strstr(mnfq_socket_get_error(sock), "unknown flags 0x20") != NULL);
	cr_expect(eq(u32, fake.sends, sends));
	fake.unsupported_flags = MNFQ_QUEUE_SECCTX;
	cr_expect(eq(int, configure(GSO, MNFQ_QUEUE_SECCTX), 0));
	cr_expect(eq(u32, in_force(queue).flags_optional, MNFQ_QUEUE_SECCTX));
	cr_expect(eq(int, set_flags(MNFQ_QUEUE_SECCTX, MNFQ_QUEUE_SECCTX), 0));
	expect_flags(GSO);
	fake.unsupported_flags = 0;
	options.flags_optional = GSO; /* which is set by default */
	cr_expect(eq(int, mnfq_queue_configure(queue, &options), 0));
	fake.unsupported_flags = GSO;
	cr_expect(eq(int, mnfq_queue_configure(queue, &options), 0));
	expect_flags(0);
}

/* To change one thing: get all, change it, configure. */
Test(flags, what_is_in_force_can_be_set_again)
{
	struct mnfq_queue_options options;

	fake.unsupported_flags = MNFQ_QUEUE_SECCTX;
	cr_assert(eq(int, configure(MNFQ_QUEUE_SECCTX | GSO, MNFQ_QUEUE_SECCTX), 0));
	options = in_force(queue);
	options.flags ^= GSO;
	options.max_len = 5;
	cr_expect(eq(int, mnfq_queue_configure(queue, &options), 0), "%s",
		  mnfq_socket_get_error(sock));
	expect_flags(GSO);
	cr_expect(eq(u32, fake_queue(7)->max_len, 5));

	fake.unsupported_flags = 0;
	cr_assert(eq(int, configure(ALL, MNFQ_QUEUE_UID_GID), 0));
	cr_assert(eq(int, set_flags(0, MNFQ_QUEUE_UID_GID), 0));
	options = in_force(queue);
	options.flags ^= GSO;
	cr_expect(eq(int, mnfq_queue_configure(queue, &options), 0), "%s",
		  mnfq_socket_get_error(sock));
	expect_flags(ALL & ~MNFQ_QUEUE_UID_GID);
}

Test(flags, only_those_of_the_mask_are_set_and_cleared)
{
	uint32_t before = 0x15;

	cr_assert(eq(int, configure(before, 0), 0));
	for (uint32_t mask = 0; mask <= ALL; mask++) {
		for (uint32_t flags = 0; flags <= ALL; flags++) {
			int err = set_flags(flags, mask);

			cr_assert(eq(int, err, flags & ~mask ? -EINVAL : 0));
			if (err == 0)
				before = (before & ~mask) | flags;
			expect_flags(before);
		}
	}
	cr_expect(eq(u32, fake_queue(7)->max_len, 99));
	cr_expect(eq(u32, fake_queue(7)->copy_range, 128));
}

Test(flags, unknown_ones_are_refused)
{
	unsigned int sends = fake.sends;

	cr_expect(eq(int, set_flags(0x20, 0x20), -EINVAL));
	cr_expect(mnfq_socket_get_error(sock)[0] != '\0');
	cr_expect(eq(int, set_flags(0, 0x20), -EINVAL));
	cr_expect(eq(int, set_flags(0x20, 0), -EINVAL));
	cr_expect(eq(int, mnfq_queue_set_flags(NULL, 0, 0), -EINVAL));
	cr_expect(eq(u32, fake.sends, sends));
	expect_flags(GSO);
}

Test(flags, setting_one_that_is_lacking_leaves_the_others)
{
	cr_assert(eq(int, configure(GSO | MNFQ_QUEUE_SECCTX, MNFQ_QUEUE_SECCTX), 0));
	fake.unsupported_flags = MNFQ_QUEUE_SECCTX | MNFQ_QUEUE_CONNTRACK;
	/* This one is optional, and stays cleared. */
	cr_expect(eq(int,
		     set_flags(MNFQ_QUEUE_SECCTX | MNFQ_QUEUE_UID_GID,
			       MNFQ_QUEUE_SECCTX | MNFQ_QUEUE_UID_GID),
		     0));
	expect_flags(GSO | MNFQ_QUEUE_UID_GID);
	/* That one is not. */
	cr_expect(eq(int, set_flags(MNFQ_QUEUE_CONNTRACK, ALL), -EOPNOTSUPP));
	cr_expect(eq(int, set_flags(MNFQ_QUEUE_CONNTRACK | MNFQ_QUEUE_SECCTX, ALL), -EOPNOTSUPP));
	expect_flags(GSO | MNFQ_QUEUE_UID_GID);
	cr_expect(eq(int, set_flags(0, ALL), 0));
	expect_flags(0);
}

Test(flags, one_that_is_not_asked_for_is_not_tried)
{
	const uint32_t optional = MNFQ_QUEUE_SECCTX | MNFQ_QUEUE_UID_GID;

	cr_assert(eq(int, configure(GSO | optional, optional), 0));
	cr_assert(eq(int, set_flags(0, optional), 0));
	fake.unsupported_flags = MNFQ_QUEUE_SECCTX;
	cr_expect(eq(int, set_flags(MNFQ_QUEUE_SECCTX, MNFQ_QUEUE_SECCTX), 0));
	expect_flags(GSO);
}

Test(flags, a_queue_that_is_gone_has_none)
{
	mnfq_i_request_send(sock, 7, NFQNL_CFG_CMD_UNBIND, NULL);
	cr_expect(eq(int, set_flags(MNFQ_QUEUE_UID_GID, ALL), -ENODEV));
	cr_expect(strstr(mnfq_socket_get_error(sock), "not bound any more") != NULL);
	cr_expect(eq(u32, in_force(queue).flags, GSO));
}

/* The @nth answer, if that is not 0. */
static void lose(unsigned int nth)
{
	fake.keep_answers = nth ? nth - 1 : 0;
	fake.lose_answers = nth ? 1 : 0;
}

Test(flags, a_lost_answer_changes_nothing)
{
	const uint32_t wanted = ALL & ~MNFQ_QUEUE_SECCTX & ~MNFQ_QUEUE_CONNTRACK;

	fake.unsupported_flags = MNFQ_QUEUE_SECCTX | MNFQ_QUEUE_CONNTRACK;
	for (unsigned int nth = 1; nth < 20; nth++) {
		lose(nth);
		cr_assert(eq(int, bind_eight(ALL, ALL), 0), "answer %u", nth);
		cr_expect(eq(u32, fake_queue(8)->flags, wanted), "answer %u", nth);
		cr_expect(eq(u32, in_force(other).flags, wanted), "answer %u", nth);
		mnfq_queue_unbind(other);
		lose(nth);
		cr_assert(eq(int, configure(ALL, ALL), 0), "answer %u", nth);
		expect_flags(wanted);
		lose(nth);
		cr_assert(eq(int, set_flags(0, GSO), 0));
		expect_flags(wanted & ~GSO);
		lose(0);
	}
}

/* Whether the kernel lacks an optional flag remains unknown: that is no reason to leave it out. */
Test(flags, what_could_not_be_found_out_is_reported)
{
	fake.unsupported_flags = MNFQ_QUEUE_SECCTX;
	fake.keep_answers = 2;  /* to all of it, and to what is not optional */
	fake.lose_answers = 11; /* one each 5 ms until the deadline */
	cr_expect(eq(int, configure(ALL, MNFQ_QUEUE_SECCTX), -ETIMEDOUT));
	cr_expect(eq(u32, fake.lose_answers, 0));
	cr_expect(eq(u32, in_force(queue).flags, GSO));
}

/* Packets come between the requests by which the kernel's mind is found out. */
Test(flags, packets_meanwhile_are_not_lost)
{
	fake.unsupported_flags = MNFQ_QUEUE_SECCTX;
	fake_packet(7, 60, true);
	fake.packets_on_bind = 3;
	cr_assert(eq(int, bind_eight(ALL, ALL), 0));
	fake.packets_on_bind = 0;
	cr_expect(eq(int, mnfq_socket_dispatch(sock, 0), 4));
	cr_expect(eq(u64, stats().lost, 0));
}

Test(flags, no_answer_at_all_ends_by_the_deadline)
{
	fake.unsupported_flags = MNFQ_QUEUE_SECCTX;
	fake.lose_answers = UINT32_MAX;
	cr_expect(eq(int, configure(ALL, ALL), -ETIMEDOUT));
	cr_expect(eq(int, set_flags(0, ALL), -ETIMEDOUT));
	cr_expect(eq(u32, in_force(queue).flags, GSO));
	cr_expect(eq(int, bind_eight(ALL, ALL), -ETIMEDOUT));
	cr_expect(eq(ptr, fake_queue(8), NULL));
	fake.lose_answers = 0;
	cr_expect(eq(int, configure(GSO, 0), 0));
	expect_flags(GSO);
}
