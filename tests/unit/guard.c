// SPDX-License-Identifier: MIT
/* The thread that sends what waits in the outbox: when it looks, sleeps and ends. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guard.h"
#include "wait.h"

#define HOUR 3600000000000 /* in nanoseconds */
#define FAST 200000

static struct mnfq_i_guard *guard;
static atomic_uint sent, unblocked;

/* As sending the outbox does, with the outbox taken. */
static int send_outbox(struct mnfq_socket *sock)
{
	sigset_t blocked;

	(void)sock;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	atomic_fetch_add(&unblocked, sigismember(&blocked, SIGTERM) != 1);
	guard->pending = false;
	guard->sends++;
	atomic_fetch_add(&sent, 1);
	return 0;
}

static void start(int64_t delay)
{
	cr_assert(eq(int, mnfq_i_guard_start(&guard, delay, send_outbox), 0));
	guard->sock =
		(struct mnfq_socket *)&guard; /* that a round is under way is all that counts */
}

static void put(void)
{
	mnfq_i_guard_take(guard);
	guard->pending = true;
	mnfq_i_guard_give(guard);
}

Test(guard, what_waits_is_sent)
{
	start(FAST);
	put();
	cr_expect(wait_until(atomic_load(&sent) == 1));
	put();
	cr_expect(wait_until(atomic_load(&sent) == 2));
	cr_expect(eq(uint, atomic_load(&unblocked), 0), "no signal handler runs there");
	cr_expect(eq(ptr, mnfq_i_guard_stop(guard), NULL));
}

Test(guard, it_sleeps_and_is_woken)
{
	start(FAST);
	put();
	cr_expect(wait_until(atomic_load(&sent) == 1));
	cr_expect(wait_until(!atomic_load(&guard->awake)));
	mnfq_i_guard_take(guard);
	mnfq_i_guard_give(guard);
	cr_expect(not(atomic_load(&guard->awake)), "not where nothing waits");
	put();
	cr_expect(wait_until(atomic_load(&sent) == 2));
	mnfq_i_guard_stop(guard);
}

/* The first look comes an hour after it was woken, unless another socket is in a hurry. */
Test(guard, a_hurry_ends_a_long_interval)
{
	start(HOUR);
	put();
	mnfq_i_guard_hurry(guard, 2 * (int64_t)HOUR);
	cr_expect(eq(i64, guard->interval, HOUR / 2));
	mnfq_i_guard_hurry(guard, FAST);
	cr_expect(wait_until(atomic_load(&sent) == 1));
	mnfq_i_guard_stop(guard);
}

Test(guard, nothing_is_sent_out_of_a_round)
{
	start(FAST);
	guard->sock = NULL;
	put();
	cr_expect(wait_until(!atomic_load(&guard->awake)));
	cr_expect(eq(uint, atomic_load(&sent), 0));
	mnfq_i_guard_stop(guard);
}

Test(guard, it_ends_in_the_middle_of_a_long_interval)
{
	start(HOUR);
	put();
	cr_expect(eq(ptr, mnfq_i_guard_stop(guard), NULL));
	cr_expect(eq(ptr, mnfq_i_guard_stop(NULL), NULL));
}

/* A child of fork() has no such thread, for which it could wait. */
Test(guard, a_child_does_not_wait_for_it)
{
	struct mnfq_i_guard *copy = malloc(sizeof(*copy));

	start(FAST);
	memcpy(copy, guard, sizeof(*copy));
	copy->pid = getppid();
	cr_expect(eq(ptr, mnfq_i_guard_stop(copy), NULL));
	put();
	cr_expect(wait_until(atomic_load(&sent) == 1), "it goes on");
	mnfq_i_guard_stop(guard);
}
