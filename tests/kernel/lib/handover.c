/* SPDX-License-Identifier: MIT */
/* Sockets that go from one namespace to another over Unix sockets, and what comes instead. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "container.h"
#include "hostile.h"
#include "kernel-fixture.h"

TestSuite(handover, .timeout = 300);

#define MSG_SIZE 512

#define HANDOVER_OPTIONS(...)                                                                    \
	(&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),          \
					  __VA_ARGS__ })

/* ---- what works: packets of a namespace are served by a process that never was in it ---- */

/* Who is in the namespace: nothing but what is said here. */
struct container_peer {
	struct netns *ns;
	const char *path; /* NULL: over the stream of the child */
	bool listens;
	const char *label;
};

static int unix_socket(const char *path, struct sockaddr_un *addr)
{
	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strncpy(addr->sun_path, path, sizeof(addr->sun_path) - 1);
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static int connect_to(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);

	return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ? -errno : fd;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr;
	int fd = unix_socket(path, &addr);

	return bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, 1) < 0 ? -errno
											 : fd;
}

static int get_stream(const struct container_peer *container_peer, int stream)
{
	int listener, fd;

	if (!container_peer->path)
		return stream;
	if (!container_peer->listens)
		return connect_to(container_peer->path);
	listener = listen_at(container_peer->path);
	if (listener < 0 || write(stream, "", 1) != 1)
		return -1;
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return fd;
}

/* Exits with 0 as soon as the socket was taken, or with the errno of the refusal. */
static int be_inside(int child_stream, void *arg)
{
	struct container_peer *container_peer = arg;
	int stream, fd, err;

	netns_enter(container_peer->ns);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	stream = get_stream(container_peer, child_stream);
	if (fd < 0 || stream < 0)
		return 255;
	err = mnfq_handover_send(stream, fd, DEADLINE_MS,
				 HANDOVER_OPTIONS(.label = container_peer->label));
	close(fd); /* the copy on its way stays */
	if (err == 0)
		err = mnfq_handover_wait(stream, DEADLINE_MS, NULL);
	return -err;
}

/* Takes the socket that comes and serves queue 1 with it. */
static struct mnfq_handover take(int stream, uint32_t flags)
{
	struct mnfq_handover info = { .size = sizeof(info) };
	char errmsg[256] = "";
	int fd, err;

	err = mnfq_handover_receive(
		&fd, stream, DEADLINE_MS, &info,
		HANDOVER_OPTIONS(.flags = flags, .error = errmsg, .error_size = sizeof(errmsg)));
	cr_assert(err == 0, "%s: %s", strerror(-err), errmsg);
	fixture.sock = mnfq_socket_close(fixture.sock);
	expect_ok(NULL, mnfq_socket_adopt(&fixture.sock, fd, NULL));
	fixture_bind(NULL, count_packet);
	cr_assert(mnfq_handover_answer(stream, &info, 0, NULL) == 0);
	return info;
}

static void serve(void)
{
	uint64_t inode = 0;

	cr_assert(mnfq_socket_get_netns_inode(fixture.sock, &inode) == 0);
	cr_assert(inode == netns_inode(fixture.ns));
	udp_send_many(&fixture.udp, 0, 3);
	fixture_serve(3);
	for (uint32_t i = 0; i < 3; i++)
		fixture_expect(i, 1);
}

static void hand_over(struct container_peer *container_peer)
{
	struct mnfq_handover info;
	struct child child;
	int stream;

	fixture_open(4);
	container_peer->ns = fixture.ns;
	child = child_start(be_inside, container_peer);
	stream = child.fd;
	if (container_peer->path) {
		child_await(&child);
		stream = connect_to(container_peer->path);
		cr_assert(stream >= 0);
	}
	info = take(stream, 0);
	cr_assert_str_eq(info.label, container_peer->label);
	cr_assert_eq(info.flags, 0);
	if (container_peer->path)
		close(stream);
	cr_assert_eq(child_finish(&child), 0);
	serve(); /* though the one inside has gone */
	fixture_close();
}

Test(handover, over_an_inherited_stream)
{
	hand_over(&(struct container_peer){ .label = "web-1" });
}

static char *new_path(void)
{
	static char path[64];
	char directory[] = "/tmp/mnfq-test-XXXXXX";

	cr_assert(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/socket", directory);
	return path;
}

static void remove_path(char *path)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	cr_expect(rmdir(path) == 0);
}

Test(handover, to_a_process_that_fetches_it)
{
	char *path = new_path();

	hand_over(&(struct container_peer){ .path = path, .listens = true, .label = "Küche" });
	remove_path(path);
}

Test(handover, to_whom_one_brings_it)
{
	char *path = new_path();
	struct container_peer container_peer = { .path = path, .label = "" };
	struct mnfq_handover info;
	struct child child;
	int listener, stream;

	fixture_open(4);
	container_peer.ns = fixture.ns;
	listener = listen_at(path);
	cr_assert(listener >= 0);
	child = child_start(be_inside, &container_peer);
	cr_assert(wait_readable(listener));
	stream = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	info = take(stream, 0);
	cr_assert(info.pid == (uint32_t)child.pid && info.uid == 0 && info.gid == 0);
	cr_assert_eq(child_finish(&child), 0);
	close(stream);
	close(listener);
	serve();
	fixture_close();
	remove_path(path);
}

Test(handover, a_refusal_reaches_the_one_inside)
{
	struct container_peer container_peer = { .ns = netns_new() };
	struct mnfq_handover info = { .size = sizeof(info) };
	struct child child = child_start(be_inside, &container_peer);
	int fd;

	expect_ok(NULL, mnfq_handover_receive(&fd, child.fd, DEADLINE_MS, &info, NULL));
	close(fd);
	cr_assert(mnfq_handover_answer(child.fd, &info, -EDQUOT, "too many") == 0);
	cr_assert_eq(child_finish(&child), EDQUOT);
}

/* ---- a program that has never heard of us ---- */

static int be_python(int stream, void *arg)
{
	struct container_peer *container_peer = arg;

	netns_enter(container_peer->ns);
	dup2(stream, 0);
	execlp("python3", "python3", "-c",
	       "import socket\n"
	       "nl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)\n"
	       "s = socket.socket(fileno=0)\n"
	       "socket.send_fds(s, [b'x'], [nl.fileno()])\n"
	       "s.recv(1)\n", /* an answer would be wrong */
	       NULL);
	return 127;
}

Test(handover, from_python)
{
	struct mnfq_handover info;
	struct container_peer container_peer;
	struct child child;

	if (system("python3 -c 'import socket; socket.send_fds' 2>/dev/null") != 0)
		cr_skip_test("this needs python3 with socket.send_fds (3.9)");
	fixture_open(4);
	container_peer.ns = fixture.ns;
	child = child_start(be_python, &container_peer);
	info = take(child.fd, MNFQ_HANDOVER_PLAIN);
	cr_assert_eq(info.flags, MNFQ_HANDOVER_PLAIN);
	cr_assert_eq(info.pid, (uint32_t)getpid(), "who made the pair of sockets");
	cr_assert_eq(child_finish(&child), 0);
	serve();
	fixture_close();
}

/* ---- what comes instead of a socket ---- */

/* What a hostile peer sends: a good message with a good socket but for what is said here. */
struct abuse {
	const char *what;
	int expected;             /* what becomes of it */
	size_t len, count, spoil; /* bytes; descriptors; a byte that is another */
	int fd;
	bool silent, bare;    /* nothing at all; no descriptor */
	bool passcred, tight; /* of the receiver: asks for credentials, has no room */
};

struct exchange {
	int ours, theirs;
	uint8_t handover_msg[MSG_SIZE]; /* a good one, for a socket of namespace a */
	int good;                       /* that socket */
	struct netns *a, *b;
};

static void open_pair(struct exchange *exchange)
{
	int ends[2];

	cr_assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	exchange->ours = ends[0];
	exchange->theirs = ends[1];
}

static void close_pair(struct exchange *exchange)
{
	close(exchange->ours);
	close(exchange->theirs);
}

static int netlink_in(struct netns *ns)
{
	return netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}

static void open_exchange(struct exchange *exchange)
{
	exchange->a = netns_new();
	exchange->b = netns_new();
	exchange->good = netlink_in(exchange->a);
	open_pair(exchange);
	expect_ok(NULL, mnfq_handover_send(exchange->ours, exchange->good, 0, NULL));
	cr_assert(recv(exchange->theirs, exchange->handover_msg, MSG_SIZE, 0) == MSG_SIZE);
	close_pair(exchange);
}

static void send_abuse(const struct exchange *exchange, const struct abuse *abuse)
{
	uint8_t bytes[1024] = "";

	memcpy(bytes, exchange->handover_msg, MSG_SIZE);
	if (abuse->spoil)
		bytes[abuse->spoil] ^= 0x40;
	hostile_send(exchange->ours, bytes, abuse->len ? abuse->len : MSG_SIZE,
		     abuse->fd ? abuse->fd : exchange->good,
		     abuse->count ? abuse->count : !abuse->bare);
}

/* Takes the socket without any right over its namespace, so the kernel refuses the bind. */
static int refuse_powerless(int stream, void *arg)
{
	struct mnfq_handover info = { .size = sizeof(info) };
	struct mnfq_socket *sock;
	struct mnfq_queue *queue;
	int fd, err;
	char heard;

	(void)arg;
	if (become(65534) < 0 ||
	    mnfq_handover_receive(&fd, stream, DEADLINE_MS, &info, NULL) < 0 ||
	    mnfq_socket_adopt(&sock, fd, NULL) < 0)
		return 255;
	err = mnfq_queue_bind(&queue, sock, 1, NULL, count_packet, NULL);
	if (err >= 0 ||
	    mnfq_handover_answer(stream, &info, err, mnfq_socket_get_error(sock)) < 0 ||
	    read(stream, &heard, 1) != 1)
		return 255;
	dprintf(stream, "%s", mnfq_socket_get_error(sock));
	return -err;
}

/* The longest of the usual messages: what it says to do about it stands at its end. */
Test(handover, why_it_was_refused_arrives_whole)
{
	char heard[512] = "", said[512] = "";
	struct netns *ns = netns_new();
	int fd = netns_socket(ns, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct child child = child_start(refuse_powerless, NULL);

	cr_assert(mnfq_handover_send(child.fd, fd, DEADLINE_MS, NULL) == 0);
	cr_assert(mnfq_handover_wait(child.fd, DEADLINE_MS,
				     HANDOVER_OPTIONS(.error = heard,
						      .error_size = sizeof(heard))) == -EPERM,
		  "%s", heard);
	child_tell(&child);
	cr_assert(wait_readable(child.fd) && read(child.fd, said, sizeof(said) - 1) > 0);
	cr_assert(strlen(said) > 160, "%s", said);
	cr_assert_str_eq(heard, said);
	close(fd);
	cr_assert(child_finish(&child) == EPERM);
}

/* With no descriptor to spare; nothing may fail meanwhile, for criterion would need some. */
static int receive_tightly(int *fd, int stream, struct mnfq_handover *info,
			   const struct mnfq_handover_options *options)
{
	struct rlimit limit, none;
	int err;

	getrlimit(RLIMIT_NOFILE, &limit);
	none = (struct rlimit){ .rlim_cur = 1, .rlim_max = limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	err = mnfq_handover_receive(fd, stream, 0, info, options);
	setrlimit(RLIMIT_NOFILE, &limit);
	return err;
}

static void receive(const struct exchange *exchange, const struct abuse *abuse)
{
	struct mnfq_handover info = { .size = sizeof(info) };
	char errmsg[256] = "";
	const struct mnfq_handover_options *options =
		HANDOVER_OPTIONS(.flags = MNFQ_HANDOVER_PLAIN, .error = errmsg,
				 .error_size = sizeof(errmsg));
	int fd = -1, on = abuse->passcred, err;

	cr_assert(setsockopt(exchange->theirs, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	if (abuse->tight)
		err = receive_tightly(&fd, exchange->theirs, &info, options);
	else
		err = mnfq_handover_receive(&fd, exchange->theirs, 0, &info, options);
	cr_assert(err == abuse->expected, "%s: %s, not %s: %s", abuse->what, strerror(-err),
		  strerror(-abuse->expected), errmsg);
	if (err == 0)
		close(fd);
	else
		cr_assert(fd == -1 && errmsg[0], "%s", abuse->what);
}

static int connected(struct netns *ns)
{
	struct sockaddr_nl peer = { .nl_family = AF_NETLINK, .nl_pid = 4711 };
	int fd = netlink_in(ns);

	cr_assert(connect(fd, (struct sockaddr *)&peer, sizeof(peer)) == 0);
	return fd;
}

static int filtered(struct netns *ns)
{
	struct sock_filter reject = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &reject };
	int fd = netlink_in(ns);

	cr_assert(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
	return fd;
}

static int pipe_end(void)
{
	int ends[2];

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	close(ends[0]);
	return ends[1];
}

#define BAD_MESSAGES 100000

/* Whatever is thrown at it, a receiver is as it was before, and takes the next good one. */
Test(handover, abuse_leaves_nothing_behind)
{
	struct exchange exchange;
	unsigned int rounds;

	open_exchange(&exchange);
	const struct abuse abuses[] = {
		{ "nothing", -ECONNRESET, .silent = true },
		{ "too much", -EBADMSG, .len = 1000 },
		{ "one byte more", -EBADMSG, .len = MSG_SIZE + 1 },
		{ "one byte less", -EBADMSG, .len = MSG_SIZE - 1 },
		{ "no descriptor", -EBADMSG, .bare = true },
		{ "two", -EBADMSG, .count = 2 },
		{ "253", -EBADMSG, .count = 253 },
		{ "253 and credentials", -EBADMSG, .count = 253, .passcred = true },
		{ "253 and no room", -EMFILE, .count = 253, .tight = true },
		{ "no room", -EMFILE, .tight = true },
		{ "another version", -EPROTONOSUPPORT, .spoil = 4 },
		{ "another type", -EBADMSG, .spoil = 6 },
		{ "unknown flags", -EBADMSG, .spoil = 8 },
		{ "a lying cookie", -ESTALE, .spoil = 16 },
		{ "a socket of b", -ESTALE, .fd = netlink_in(exchange.b) },
		{ "a device", -ENOTSOCK, .fd = open("/dev/null", O_RDONLY | O_CLOEXEC) },
		{ "a pipe", -ENOTSOCK, .fd = pipe_end() },
		{ "an internet socket", -EAFNOSUPPORT, .fd = socket(AF_INET, SOCK_DGRAM, 0) },
		{ "another netlink", -EPROTONOSUPPORT, .fd = socket(AF_NETLINK, SOCK_RAW, 0) },
		{ "a connected one", -EISCONN, .fd = connected(exchange.a) },
		{ "a filtered one", -EBADFD, .fd = filtered(exchange.a) },
		{ "a plain pipe", -ENOTSOCK, .fd = pipe_end(), .spoil = 1 },
		{ "a good one", 0, .passcred = true },
	};
	char *before = descriptors();

	rounds = BAD_MESSAGES / (sizeof(abuses) / sizeof(*abuses) - 1) + 1;
	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int i = 0; i < sizeof(abuses) / sizeof(*abuses); i++) {
			open_pair(&exchange);
			if (abuses[i].silent)
				shutdown(exchange.ours, SHUT_WR);
			else
				send_abuse(&exchange, &abuses[i]);
			receive(&exchange, &abuses[i]);
			close_pair(&exchange);
		}
	}
	check_descriptors(before);
}
