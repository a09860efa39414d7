// SPDX-License-Identifier: MIT
/* The .size of every struct that a caller hands in: garbage is refused, and nothing follows it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <mnfq/handover.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/fixture.h"

#define LIMIT 4096

static struct mnfq_packet packet;
static int stream; /* the fake kernel takes it for a netlink socket */

static void begin(void)
{
	setup();
	message_packet(&msg, 7, 1, 60);
	cr_assert(eq(int, mnfq_i_packet_parse(&packet, msg.bytes, msg.len), 0));
	stream = dup(0);
}

TestSuite(sizes, .init = begin, .fini = teardown);

/* ---- each function that takes such a struct ---- */

static int take(struct mnfq_socket *new, int err)
{
	mnfq_socket_close(new);
	return err;
}

static int open_here(void *options)
{
	struct mnfq_socket *new = NULL;
	int err = mnfq_socket_open(&new, options);

	return take(new, err);
}

static int open_named(void *options)
{
	struct mnfq_socket *new = NULL;
	int err = mnfq_socket_open_netns(&new, "/proc/self/ns/net", options);

	return take(new, err);
}

static int open_fd(void *options)
{
	struct mnfq_socket *new = NULL;
	int err = mnfq_socket_open_netns_fd(&new, -1, options);

	return take(new, err);
}

static int adopt(void *options)
{
	struct mnfq_socket *new = NULL;
	int err =
		mnfq_socket_adopt(&new, socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), options);

	return take(new, err);
}

static int bind_eight(void *options)
{
	struct mnfq_queue *eight = NULL;
	int err = mnfq_queue_bind(&eight, sock, 8, options, accept_all, NULL);

	mnfq_queue_unbind(eight);
	return err;
}

static int configure(void *options)
{
	return mnfq_queue_configure(queue, options);
}

static int send_fd(void *options)
{
	return mnfq_handover_send(stream, stream, 0, options);
}

static int wait_answer(void *options)
{
	return mnfq_handover_wait(stream, 0, options);
}

static int receive_with(void *options)
{
	struct mnfq_handover info = MNFQ_INIT(info);
	int fd;

	return mnfq_handover_receive(&fd, stream, 0, &info, options);
}

static int answer(void *info)
{
	return mnfq_handover_answer(stream, info, 0, NULL);
}

static int receive_info(void *info)
{
	int fd;

	return mnfq_handover_receive(&fd, stream, 0, info, NULL);
}

static int stats_of_socket(void *to)
{
	return mnfq_socket_get_stats(sock, to);
}

static int stats_of_queue(void *to)
{
	return mnfq_queue_get_stats(queue, to);
}

static int kernel_stats(void *to)
{
	return mnfq_queue_get_kernel_stats(queue, to);
}

static int kernel_stats_of_socket(void *to)
{
	return mnfq_socket_get_kernel_stats(sock, to);
}

/* An empty file. */
static int kernel_queues(void *to)
{
	int fd = memfd_create("queues", MFD_CLOEXEC), err = mnfq_kernel_queues_read(fd, to, 1);

	close(fd);
	return err;
}

static int queue_options(void *to)
{
	return mnfq_queue_get_options(queue, to);
}

static int layers(void *to)
{
	return mnfq_packet_get_layers(&packet, to);
}

static int tuple(void *to)
{
	return mnfq_packet_get_ct_tuple(&packet, MNFQ_CT_REPLY, to);
}

static int packet_info(void *to)
{
	return mnfq_packet_get_info(&packet, to);
}

static int memory_info(void *info)
{
	struct mnfq_packet *made = NULL;
	int err = mnfq_packet_from_memory(&made, info, NULL);

	mnfq_packet_free(made);
	return err;
}

static int memory_options(void *options)
{
	struct mnfq_packet_info info = MNFQ_INIT(info);
	struct mnfq_packet *made = NULL;
	int err = mnfq_packet_from_memory(&made, &info, options);

	mnfq_packet_free(made);
	return err;
}

static int packet_changes(void *to)
{
	struct mnfq_packet_info info = MNFQ_INIT(info);
	struct mnfq_packet *made = NULL;
	int err;

	cr_assert(eq(int, mnfq_packet_from_memory(&made, &info, NULL), 0));
	err = mnfq_packet_get_changes(made, to);
	mnfq_packet_free(made);
	return err;
}

static const struct {
	const char *name;
	int (*call)(void *options);
	size_t size;
	int right; /* what it answers to the right size */
} calls[] = {
	{ "open", open_here, sizeof(struct mnfq_socket_options), 0 },
	{ "open_netns", open_named, sizeof(struct mnfq_socket_options), 1 },
	{ "open_netns_fd", open_fd, sizeof(struct mnfq_socket_options), -EBADF },
	{ "adopt", adopt, sizeof(struct mnfq_socket_options), 0 },
	{ "bind", bind_eight, sizeof(struct mnfq_queue_options), 0 },
	{ "configure", configure, sizeof(struct mnfq_queue_options), 0 },
	{ "send", send_fd, sizeof(struct mnfq_handover_options), -EINVAL },
	{ "wait", wait_answer, sizeof(struct mnfq_handover_options), -EINVAL },
	{ "receive", receive_with, sizeof(struct mnfq_handover_options), -EINVAL },
	{ "answer", answer, sizeof(struct mnfq_handover), -EINVAL },
	{ "receive info", receive_info, sizeof(struct mnfq_handover), -EINVAL },
	{ "socket stats", stats_of_socket, sizeof(struct mnfq_stats), 0 },
	{ "queue stats", stats_of_queue, sizeof(struct mnfq_stats), 0 },
	{ "socket's kernel stats", kernel_stats_of_socket, sizeof(struct mnfq_kernel_stats),
	  -ENODATA },
	{ "kernel stats", kernel_stats, sizeof(struct mnfq_kernel_stats), -ENODATA },
	{ "kernel's queues", kernel_queues, sizeof(struct mnfq_kernel_queue), 0 },
	{ "get_options", queue_options, sizeof(struct mnfq_queue_options), 0 },
	{ "info", packet_info, sizeof(struct mnfq_packet_info), 0 },
	{ "from_memory info", memory_info, sizeof(struct mnfq_packet_info), 0 },
	{ "from_memory", memory_options, sizeof(struct mnfq_memory_options), 0 },
	{ "changes", packet_changes, sizeof(struct mnfq_packet_changes), 0 },
	{ "layers", layers, sizeof(struct mnfq_layers), -EBADMSG },
	{ "tuple", tuple, sizeof(struct mnfq_tuple), -ENODATA },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

/* Room of @len bytes, behind which nothing may be touched. */
static void *room(size_t len)
{
	static uint8_t *pages;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), all = 2 * LIMIT + page;

	if (!pages) {
		pages = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			     0);
		cr_assert(pages != MAP_FAILED);
		cr_assert(mprotect(pages + all - page, page, PROT_NONE) == 0);
	}
	memset(pages, 0, 2 * LIMIT);
	return pages + all - page - len;
}

Test(sizes, garbage_is_refused)
{
	static const size_t half = sizeof(size_t) / 2; /* of a pointer */
	const size_t garbage[] = { 0,        1,         half,         sizeof(size_t) - 1,
				   3 * half, 11 * half, LIMIT + 1,    LIMIT + sizeof(size_t),
				   1 << 20,  SIZE_MAX,  SIZE_MAX - 7, SIZE_MAX / 2 + 1 };
	uint8_t before[LIMIT];
	void *p;

	for (size_t i = 0; i < CALLS; i++) {
		for (size_t j = 0; j < sizeof(garbage) / sizeof(garbage[0]); j++) {
			p = room(calls[i].size);
			/* Where the size was forgotten, options say where the message goes. */
			memset(p, garbage[j] ? 0x5a : 0, calls[i].size);
			memcpy(p, &garbage[j], sizeof(garbage[j]));
			memcpy(before, p, calls[i].size);
			cr_expect(eq(int, calls[i].call(p), -EINVAL), "%s, size %zu",
				  calls[i].name, garbage[j]);
			cr_expect(memcmp(before, p, calls[i].size) == 0, "%s, size %zu: touched",
				  calls[i].name, garbage[j]);
		}
	}
}

/* Where there is a socket it has the message; options say where that goes. */
Test(sizes, a_forgotten_size_has_its_sentence)
{
	static int (*const of_socket[])(void *) = {
		bind_eight,   configure,     stats_of_socket,        stats_of_queue,
		kernel_stats, queue_options, kernel_stats_of_socket,
	};
	size_t i;

	for (i = 0; i < sizeof(of_socket) / sizeof(of_socket[0]); i++) {
		sock->error.text[0] = '\0';
		cr_expect(eq(int, of_socket[i](room(LIMIT)), -EINVAL));
		cr_expect(strstr(mnfq_socket_get_error(sock),
				 "set .size to sizeof(struct mnfq_") != NULL,
			  "%zu: %s", i, mnfq_socket_get_error(sock));
	}
}

/* Of this version, of the smallest, and of one far in the future. */
Test(sizes, any_version_is_served)
{
	size_t size;
	void *p;

	for (size_t i = 0; i < CALLS; i++) {
		const size_t sizes[] = { calls[i].size, sizeof(size_t), LIMIT };

		for (size_t j = 0; j < 3; j++) {
			p = room(sizes[j]);
			memcpy(p, &sizes[j], sizeof(sizes[j]));
			if (calls[i].right != 1) /* which needs a right */
				cr_expect(eq(int, calls[i].call(p), calls[i].right),
					  "%s, size %zu", calls[i].name, sizes[j]);
			memcpy(&size, p, sizeof(size));
			cr_expect(eq(sz, size, sizes[j]));
		}
	}
}
