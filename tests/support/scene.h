/* SPDX-License-Identifier: MIT */
/* What most tests need: a namespace, a rule, numbered datagrams over `lo`, our socket, a queue. */
#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include <mnfq/mnfq.h>

#include "account.h"
#include "child.h"
#include "netns.h"
#include "traffic.h"
#include "wait.h"

#define PORT 7000

struct scene {
	struct netns *ns;
	struct udp udp; /* to ::1 and 127.0.0.1, that is through INPUT of `lo` */
	struct mnfq_socket *sock;
	struct mnfq_queue *queue; /* number 1 */
	unsigned int handled;     /* packets so far, by scene_serve() */

	/* For the callbacks of the tests. */
	enum mnfq_verdict verdict;
	unsigned int seen;
	struct mnfq_packet *kept[1024];
	unsigned int kept_count;

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

/*
 * A namespace where datagrams of @family (4, 6) to PORT go to queue 1 on INPUT, and our socket,
 * opened by the namespace's name. The rule is the first of table mangle.
 */
void scene_open(struct scene *scene, int family);

/* Binds queue 1 with the scene as data; fails the test with the library's sentence. */
void scene_bind(struct scene *scene, const struct mnfq_queue_options *options,
		mnfq_callback callback);

/* Dispatches until @count more packets were handled. */
void scene_serve(struct scene *scene, unsigned int count);

/* Waits for the next datagram, which must be number @seq and intact. */
void scene_expect(struct scene *scene, uint32_t seq);

/* Nothing has arrived. Packets get there before the verdict's system call ends. */
void scene_expect_nothing(struct scene *scene);

/*
 * Closes everything; fails the test if packets wait in queue 1 or a descriptor stays open, or if a
 * packet that rules handed to queues is not accounted for (account.h), unless our socket is gone.
 */
void scene_close(struct scene *scene);

/*
 * For tests with traffic of their own, before they close @sock: all that rules in @ns handed to queues
 * is in its counters, or in the rest (NULL: nothing).
 */
void scene_account(struct mnfq_socket *sock, struct netns *ns, const struct account *rest);

/* The counters of queue 1 and of the socket. */
struct mnfq_stats scene_stats(struct scene *scene);
struct mnfq_stats scene_socket_stats(struct scene *scene);

/* Callbacks. This one counts in scene->seen and returns scene->verdict. */
enum mnfq_verdict scene_count(struct mnfq_packet *packet, void *data);

/* This one retains into scene->kept and defers. */
enum mnfq_verdict scene_keep(struct mnfq_packet *packet, void *data);

/* The number of the datagram within. */
uint32_t scene_seq(const struct mnfq_packet *packet);

/*
 * Accepts packet @id of queue 1 with @len bytes of attributes, past the library: what it refuses to
 * send, the kernel would do this with. The one returns the kernel's answer, a negative errno, and
 * nothing else may be on its way to the socket; the other does not ask.
 */
int scene_raw_accept(struct scene *scene, uint32_t id, const void *attributes, size_t len);
void scene_raw_send(struct scene *scene, uint32_t id, const void *attributes, size_t len);

/* Writes an attribute; returns where the next one goes. */
uint8_t *scene_raw_put(uint8_t *to, unsigned int type, const void *data, size_t len);

/* Fails the test with the socket's sentence unless @result is 0. */
void scene_ok(const struct mnfq_socket *sock, int result);

/* Whether the kernel can do what a flag of a queue asks for. */
bool kernel_has(struct netns *ns, uint32_t flag);

/* The end of the sentence that says why there is no connection tracking data, where there is none. */
const char *kernel_lacks_for_conntrack(struct netns *ns);

/* Options with their size set. */
#define QUEUE_OPTIONS(...)                                                                       \
	(&(struct mnfq_queue_options){ .size = sizeof(struct mnfq_queue_options), __VA_ARGS__ })
#define SOCKET_OPTIONS(...)                                                                      \
	(&(struct mnfq_socket_options){ .size = sizeof(struct mnfq_socket_options), __VA_ARGS__ })

#endif
