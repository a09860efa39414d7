// SPDX-License-Identifier: MIT
/* policy.c: who may hand sockets over, how many, how often, and how much is logged of it. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "broker/policy.h"

static struct peer_users users;

static void teardown(void)
{
	peer_users_free(&users);
}

TestSuite(peer_policy, .fini = teardown, .timeout = 60);

static struct peer_user *user_of(uint32_t uid, int64_t now)
{
	struct peer_user *user = peer_find_user(&users, uid, now);

	cr_assert(user);
	return user;
}

Test(peer_policy, without_a_list_all_who_connect_may)
{
	const char *why = NULL;

	cr_expect_eq(peer_check_uid(&(struct peer_rules){ .allowed_count = 0 }, 12345, &why), 0);
}

Test(peer_policy, with_a_list_no_other_user_may_not_even_root)
{
	static const uint32_t uids[] = { 1000, 1001 };
	const struct peer_rules rules = { .allowed_uids = uids, .allowed_count = 2 };
	const char *why = NULL;

	cr_expect_eq(peer_check_uid(&rules, 1001, &why), 0);
	cr_expect_eq(peer_check_uid(&rules, 0, &why), -EACCES);
	cr_expect(why);
}

Test(peer_policy, a_quota_ends_with_its_last_namespace)
{
	const struct peer_rules rules = { .max_namespaces = 2 };
	struct peer_user *user = user_of(7, 0);
	char why[128];

	user->namespaces = 1;
	cr_expect_eq(peer_check_quota(&rules, user, why, sizeof(why)), 0);
	user->namespaces = 2;
	cr_expect_eq(peer_check_quota(&rules, user, why, sizeof(why)), -EDQUOT);
	cr_expect_str_eq(why, "user 7 has 2 namespaces here already: see --max-per-uid");
}

Test(peer_policy, so_many_of_a_user_may_wait)
{
	struct peer_user *user = user_of(7, 0);
	const char *why = NULL;

	user->waiting = PEER_WAITING_MAX - 1;
	cr_expect_eq(peer_check_waiting(user, &why), 0);
	user->waiting = PEER_WAITING_MAX;
	cr_expect_eq(peer_check_waiting(user, &why), -EBUSY);
	cr_expect(why && strstr(why, "wait already"));
}

Test(peer_policy, a_user_can_make_two_receivers_hang)
{
	struct peer_user *user = user_of(getuid(), 0);
	const char *why = NULL;

	user->stuck = PEER_STUCK_MAX - 1;
	cr_expect_eq(peer_check_stuck(user, 1, &why), 0);
	user->stuck = PEER_STUCK_MAX;
	cr_expect_eq(peer_check_stuck(user, 1000, &why), -EBUSY);
	cr_expect(why && strstr(why, "that you sent"));
}

Test(peer_policy, the_last_receivers_are_reserved)
{
	const char *why = NULL;

	cr_expect_eq(peer_check_stuck(user_of(4711, 0), PEER_RESERVED + 1, &why), 0);
	cr_expect_eq(peer_check_stuck(user_of(4711, 0), PEER_RESERVED, &why), -EBUSY);
	cr_expect(why && strstr(why, "other users"));
	cr_expect_eq(peer_check_stuck(user_of(0, 0), 1, &why), 0);
	cr_expect_eq(peer_check_stuck(user_of(getuid(), 0), 1, &why), 0);
}

/* Its record stays while a receiver hangs on what it sent. */
Test(peer_policy, a_user_with_a_receiver_that_hangs_is_not_forgotten)
{
	const int64_t idle = PEER_LOG_BURST * PEER_LOG_MS;
	struct peer_user *user = user_of(1, 0);

	user->stuck = 1;
	for (uint32_t uid = 2; uid <= 2 * PEER_USERS_MAX; uid++)
		(void)peer_find_user(&users, uid, 2 * idle * uid);
	cr_expect_eq(peer_find_user(&users, 1, idle), user);
	cr_expect_eq(user->stuck, 1);
}

Test(peer_policy, one_hand_over_of_a_user_at_a_time)
{
	struct peer_user *user = user_of(7, 0);
	int64_t retry = -1;

	cr_expect(peer_begin(user, 5, &retry));
	cr_expect_not(peer_begin(user, 5, &retry));
	cr_expect_eq(retry, 0);
	cr_expect(peer_begin(user_of(8, 5), 5, &retry), "another user does not wait");
	peer_end(user, 6, false);
	cr_expect(peer_begin(user, 6, &retry));
}

Test(peer_policy, pauses_grow_to_an_end_and_go_with_a_good_one)
{
	struct peer_user *user = user_of(7, 0);
	int64_t now = 0, retry, pause = PEER_PAUSE_MIN_MS;

	for (int i = 0; i < 12; i++) {
		cr_assert(peer_begin(user, now, &retry));
		peer_end(user, now, true);
		cr_assert_not(peer_begin(user, now, &retry));
		cr_assert_eq(retry, now + pause, "after %d that stalled", i + 1);
		now = retry;
		pause = pause < PEER_PAUSE_MAX_MS / 2 ? 2 * pause : PEER_PAUSE_MAX_MS;
	}
	cr_assert(peer_begin(user, now, &retry));
	peer_end(user, now, false);
	cr_assert(peer_begin(user, now, &retry));
	peer_end(user, now, true);
	cr_expect_not(peer_begin(user, now, &retry));
	cr_expect_eq(retry, now + PEER_PAUSE_MIN_MS);
}

Test(peer_policy, lines_are_limited_and_those_left_out_are_counted)
{
	struct peer_user *user = user_of(7, 0);
	uint64_t left_out = 99;
	int logged = 0;

	for (int i = 0; i < 33003; i++)
		logged += peer_may_log(user, i * 5000 / 33003, &left_out);
	cr_expect_eq(logged, PEER_LOG_BURST);
	cr_expect_eq(left_out, 0);
	cr_expect(peer_may_log(user, PEER_LOG_MS, &left_out));
	cr_expect_eq(left_out, 33003 - PEER_LOG_BURST);
	cr_expect_not(peer_may_log(user, PEER_LOG_MS, &left_out));
	cr_expect(peer_may_log(user_of(8, PEER_LOG_MS), PEER_LOG_MS, &left_out));
	cr_expect_eq(left_out, 0);
}

Test(peer_policy, a_burst_is_earned_again)
{
	struct peer_user *user = user_of(7, 0);
	const int64_t later = 1000 * (int64_t)PEER_LOG_MS;
	uint64_t left_out;
	int logged = 0;

	for (int i = 0; i < 3 * PEER_LOG_BURST; i++)
		(void)peer_may_log(user, 0, &left_out);
	for (int i = 0; i < 3 * PEER_LOG_BURST; i++)
		logged += peer_may_log(user, later, &left_out);
	cr_expect_eq(logged, PEER_LOG_BURST);
}

/* A user with many uids cannot fill the memory with them, nor push out one who is served. */
Test(peer_policy, there_are_only_so_many_users)
{
	const int64_t idle = PEER_LOG_BURST * PEER_LOG_MS;
	struct peer_user *served = user_of(1, 0);

	served->namespaces = 1;
	for (uint32_t uid = 2; uid <= PEER_USERS_MAX; uid++)
		cr_assert(peer_find_user(&users, uid, 0));
	cr_expect_null(peer_find_user(&users, 70000, idle - 1));
	cr_expect(peer_find_user(&users, 70000, idle));
	for (uint32_t uid = 80000; uid < 80000 + PEER_USERS_MAX; uid++)
		(void)peer_find_user(&users, uid, idle);
	cr_expect_eq(peer_find_user(&users, 1, idle), served);
}
