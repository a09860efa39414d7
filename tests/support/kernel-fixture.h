/* SPDX-License-Identifier: MIT */
/* What most tests need: a namespace, a rule, numbered datagrams over `lo`, our socket, a queue. */
#ifndef TEST_KERNEL_FIXTURE_H
#define TEST_KERNEL_FIXTURE_H

#include <mnfq/mnfq.h>

#include "account.h"
#include "child.h"
#include "netns.h"
#include "traffic.h"
#include "wait.h"

#define PORT 7000

struct fixture {
	struct netns *ns;
	struct udp udp; /* to ::1 and 127.0.0.1, that is through INPUT of `lo` */
	struct mnfq_socket *sock;
	struct mnfq_queue *queue; /* number 1 */
	unsigned int handled;     /* packets so far, by fixture_serve() */

	/* For the callbacks of the tests. */
	enum mnfq_verdict verdict;
	unsigned int seen;
	struct mnfq_packet *retained[1024];
	unsigned int retained_count;

	/*
	 * For the accounting at the end: packets that were decided elsewhere (negative: decided
	 * here, but by rules that are gone), those that the kernel accepted by itself; or why it cannot
	 * be made.
	 */
	int elsewhere;
	unsigned int failed_open;
	const char *unaccounted;

	char *descriptors;
};

/* That of the test, which is a process of its own; where it is not opened its verdict is ACCEPT. */
extern struct fixture fixture;

/*
 * A namespace where datagrams of @family (4, 6) to PORT go to queue 1 on INPUT, and our socket,
 * opened by the namespace's name. The rule is the first of table mangle.
 */
void fixture_open(int family);

/*
 * Closes everything; fails the test if packets wait in queue 1 or a descriptor stays open, or if a
 * packet that rules handed to queues is not accounted for (account.h), unless our socket is gone.
 */
void fixture_close(void);

/*
 * A test that begins with fixture_open(4) and ends with fixture_close(). These are not its .init and .fini,
 * since Criterion ignores assertions that fail in a .fini.
 */
#define QueueTest(suite, name)                                                                   \
	static void suite##_##name##_body(void);                                                 \
	Test(suite, name)                                                                        \
	{                                                                                        \
		fixture_open(4);                                                                 \
		suite##_##name##_body();                                                         \
		fixture_close();                                                                 \
	}                                                                                        \
	static void suite##_##name##_body(void)

/* Two tests, NAME_ipv4 and NAME_ipv6, of a function with the family (4, 6) as @family. */
#define FamilyTest(suite, name)                                                                  \
	static void suite##_##name##_body(int family);                                           \
	Test(suite, name##_ipv4)                                                                 \
	{                                                                                        \
		suite##_##name##_body(4);                                                        \
	}                                                                                        \
	Test(suite, name##_ipv6)                                                                 \
	{                                                                                        \
		suite##_##name##_body(6);                                                        \
	}                                                                                        \
	static void suite##_##name##_body(int family)

/* Binds queue 1 with the fixture as data; fails the test with the library's message. */
void fixture_bind(const struct mnfq_queue_options *options, mnfq_callback callback);

/* Dispatches until @count more packets were handled. */
void fixture_serve(unsigned int count);

/* Waits for the next @count datagrams, which must be number @first and those after it, and intact. */
void fixture_expect(uint32_t first, unsigned int count);

/* Sends them, serves them, and waits for them. */
void fixture_pass(uint32_t first, unsigned int count);

/* Nothing has arrived. Packets get there before the verdict's system call ends. */
void fixture_expect_nothing(void);

/*
 * For tests with traffic of their own, before they close @sock: all that rules in @ns handed to queues
 * is in its counters, or in the rest (NULL: nothing).
 */
void fixture_account(struct mnfq_socket *sock, struct netns *ns, const struct account *rest);

/* With nothing besides; then closes it. */
void close_accounted(struct mnfq_socket *sock, struct netns *ns);

/* The counters of queue 1 and of the socket. */
struct mnfq_stats fixture_stats(void);
struct mnfq_stats fixture_socket_stats(void);

/*
 * Fails the test unless the counters of queue 1, and fixture.seen, are these, such as .accepted = 2. Those that are
 * not named are not looked at, but for what should not happen: invalid, lost, truncated, refused, unsent are 0 then,
 * and held.
 */
struct counts {
	uint64_t seen, packets, bytes, accepted, dropped, repeated, stopped, requeued, marked,
		rewritten, defaulted, deferred, held, invalid, lost, truncated, refused, unsent;
};
#define expect_counts(...) check_counts(&(struct counts){ __VA_ARGS__ })
void check_counts(const struct counts *expected);

/* Callbacks with a struct fixture as data. This one counts in its @seen and returns its @verdict. */
enum mnfq_verdict count_packet(struct mnfq_packet *packet, void *data);

/* This one retains into its @retained and defers. */
enum mnfq_verdict retain_packet(struct mnfq_packet *packet, void *data);

/* The number of the datagram within. */
uint32_t seq_of(const struct mnfq_packet *packet);

/*
 * Accepts packet @id of queue 1 with @len bytes of attributes, past the library: what it refuses to
 * send, the kernel would do this with. The one returns the kernel's answer, a negative errno, and
 * nothing else may be on its way to the socket; the other does not ask.
 */
int raw_accept(uint32_t id, const void *attributes, size_t len);
void raw_send(uint32_t id, const void *attributes, size_t len);

/* Writes an attribute; returns where the next one goes. */
uint8_t *raw_put(uint8_t *to, unsigned int type, const void *data, size_t len);

/* Fails the test with the socket's message unless @result is 0. */
void expect_ok(const struct mnfq_socket *sock, int result);

/* Whether the kernel can do what a flag of a queue asks for. */
bool kernel_has(struct netns *ns, uint32_t flag);

/* The end of the message that says why there is no connection tracking data, where there is none. */
const char *kernel_lacks_for_conntrack(struct netns *ns);

/* Options with their size set. */
#define QUEUE_OPTIONS(...)                                                                       \
	(&(struct mnfq_queue_options){ .size = sizeof(struct mnfq_queue_options), __VA_ARGS__ })
#define SOCKET_OPTIONS(...)                                                                      \
	(&(struct mnfq_socket_options){ .size = sizeof(struct mnfq_socket_options), __VA_ARGS__ })

#endif
