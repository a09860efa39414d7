/* SPDX-License-Identifier: MIT */
/* Traffic for tests. */
#include "traffic.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wait.h"

static int set_address(struct sockaddr_storage *to, socklen_t *len, const char *address,
		       uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (strchr(address, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*len = sizeof(*v6);
		cr_assert(inet_pton(AF_INET6, address, &v6->sin6_addr) == 1);
	} else {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*len = sizeof(*v4);
		cr_assert(inet_pton(AF_INET, address, &v4->sin_addr) == 1);
	}
	return to->ss_family;
}

/* ---- UDP ---- */

void udp_open(struct udp *udp, struct netns *from, struct netns *to, const char *address,
	      uint16_t port)
{
	const int buffer = 64 << 20;
	struct sockaddr_storage sa;
	socklen_t len;
	int family = set_address(&sa, &len, address, port);

	udp->tx = netns_socket(from, family, SOCK_DGRAM, 0);
	udp->rx = netns_socket(to, family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setsockopt(udp->rx, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer));
	setsockopt(udp->tx, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	cr_assert(bind(udp->rx, (struct sockaddr *)&sa, len) == 0, "bind to %s: %s", address,
		  strerror(errno));
	cr_assert(connect(udp->tx, (struct sockaddr *)&sa, len) == 0, "connect to %s: %s",
		  address, strerror(errno));
}

void udp_close(struct udp *udp)
{
	close(udp->tx);
	close(udp->rx);
	udp->tx = udp->rx = -1;
}

static void fill(uint8_t *data, uint32_t seq, size_t size)
{
	const uint32_t wire = htonl(seq);

	memcpy(data, &wire, size < sizeof(wire) ? size : sizeof(wire));
	for (size_t i = sizeof(wire); i < size; i++)
		data[i] = (uint8_t)(seq + i);
}

void udp_send_sized(const struct udp *udp, uint32_t seq, size_t size)
{
	static uint8_t data[65536];

	fill(data, seq, size);
	cr_assert(send(udp->tx, data, size, 0) == (ssize_t)size, "datagram %u: %s", seq,
		  strerror(errno));
}

void udp_send(const struct udp *udp, uint32_t seq)
{
	udp_send_sized(udp, seq, UDP_SIZE);
}

void udp_send_many(const struct udp *udp, uint32_t first, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		udp_send(udp, first + i);
}

bool udp_receive(const struct udp *udp, struct datagram *datagram)
{
	static uint8_t data[65536], expected[65536];
	ssize_t len = recv(udp->rx, data, sizeof(data), MSG_DONTWAIT);
	uint32_t wire = 0;

	if (len < 0)
		return false;
	memcpy(&wire, data, len < 4 ? (size_t)len : 4);
	datagram->seq = ntohl(wire);
	datagram->size = (size_t)len;
	fill(expected, datagram->seq, datagram->size);
	datagram->intact = memcmp(data, expected, datagram->size) == 0;
	return true;
}

bool udp_await(const struct udp *udp, struct datagram *datagram)
{
	return wait_readable(udp->rx) && udp_receive(udp, datagram);
}

void udp_expect(const struct udp *udp, uint32_t seq)
{
	struct datagram datagram = { 0 };

	cr_assert(udp_await(udp, &datagram), "datagram %u does not arrive", seq);
	cr_assert(datagram.seq == seq && datagram.intact, "expected %u, got %u%s", seq,
		  datagram.seq, datagram.intact ? "" : ", changed");
}

void tally_init(struct tally *tally, uint32_t limit)
{
	memset(tally, 0, sizeof(*tally));
	tally->limit = limit;
	tally->hits = calloc(limit, 1);
	cr_assert(tally->hits);
}

void tally_free(struct tally *tally)
{
	free(tally->hits);
	tally->hits = NULL;
}

void udp_drain(const struct udp *udp, struct tally *tally)
{
	struct datagram datagram;

	while (udp_receive(udp, &datagram)) {
		tally->count++;
		if (datagram.seq >= tally->limit || !datagram.intact)
			tally->strange++;
		else if (tally->hits[datagram.seq]++)
			tally->repeated++;
	}
}

bool udp_drain_until(const struct udp *udp, struct tally *tally, uint64_t count)
{
	struct pollfd pfd = { .fd = udp->rx, .events = POLLIN };

	udp_drain(udp, tally);
	while (tally->count < count && poll(&pfd, 1, DEADLINE_MS) == 1)
		udp_drain(udp, tally);
	return tally->count >= count;
}

uint32_t packet_seq(const uint8_t *packet, size_t len)
{
	size_t offset = len > 0 && packet[0] >> 4 == 6 ? 48 : 28;
	uint32_t wire = 0;

	if (len >= offset + 4)
		memcpy(&wire, packet + offset, 4);
	return ntohl(wire);
}

/* ---- TCP ---- */

static uint8_t tcp_byte(const struct tcp *tcp, size_t i)
{
	if (tcp->byte)
		return tcp->byte(i);
	return (uint8_t) "0123456789abcdef"[(i ^ i >> 8) & 15];
}

static bool tcp_fits(const struct tcp *tcp, size_t i, uint8_t byte)
{
	return tcp->fits ? tcp->fits(i, byte) : byte == tcp_byte(tcp, i);
}

static int tcp_connect(struct tcp *tcp, int ends[2])
{
	const struct timeval patience = { .tv_sec = DEADLINE_MS / 1000 };
	struct sockaddr_storage sa;
	socklen_t len;
	int family = set_address(&sa, &len, tcp->address, tcp->port), listener, one = 1, err = 0;

	listener = netns_socket(tcp->to, family, SOCK_STREAM, 0);
	ends[0] = netns_socket(tcp->from, family, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (bind(listener, (struct sockaddr *)&sa, len) < 0 || listen(listener, 1) < 0 ||
	    connect(ends[0], (struct sockaddr *)&sa, len) < 0 ||
	    (ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
		err = -errno;
	else
		setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	close(listener);
	return err;
}

/* Both directions of a pump: send while there is room, check what arrives. */
static int tcp_pump(struct tcp *tcp, const int ends[2])
{
	uint8_t chunk[16384];
	size_t sent = 0, got = 0, i;
	ssize_t len;

	while (got < tcp->size) {
		for (i = 0; i < sizeof(chunk) && sent + i < tcp->size; i++)
			chunk[i] = tcp_byte(tcp, sent + i);
		len = i ? send(ends[0], chunk, i, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
		if (len < 0 && errno != EAGAIN)
			return -errno;
		sent += len > 0 ? (size_t)len : 0;
		len = recv(ends[1], chunk, sizeof(chunk), len > 0 ? MSG_DONTWAIT : 0);
		if (len < 0 && errno != EAGAIN)
			return -errno;
		if (len == 0)
			return -ECONNRESET;
		for (i = 0; len > 0 && i < (size_t)len; i++)
			if (!tcp_fits(tcp, got + i, chunk[i]))
				return -EBADMSG;
		got += len > 0 ? (size_t)len : 0;
	}
	return 0;
}

static void *tcp_thread(void *arg)
{
	struct tcp *tcp = arg;
	int ends[2] = { -1, -1 };

	tcp->result = tcp_connect(tcp, ends);
	if (tcp->result == 0)
		tcp->result = tcp_pump(tcp, ends);
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	eventfd_write(tcp->done_fd, 1);
	return NULL;
}

void tcp_start(struct tcp *tcp)
{
	tcp->done_fd = eventfd(0, EFD_CLOEXEC);
	cr_assert(tcp->done_fd >= 0);
	cr_assert(pthread_create(&tcp->thread, NULL, tcp_thread, tcp) == 0);
}

int tcp_finish(struct tcp *tcp)
{
	pthread_join(tcp->thread, NULL);
	close(tcp->done_fd);
	return tcp->result;
}

/* ---- ICMP echo ---- */

static uint32_t sum(const void *data, size_t len, uint32_t start)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i + 1 < len; i += 2)
		start += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	if (len & 1)
		start += (uint32_t)bytes[len - 1] << 8;
	return start;
}

static uint16_t fold(uint32_t sum32)
{
	while (sum32 >> 16)
		sum32 = (sum32 & 0xffff) + (sum32 >> 16);
	return htons((uint16_t)~sum32);
}

static bool is_v6(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	return domain == AF_INET6;
}

int icmp_open(struct netns *from, const char *address)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int family = set_address(&sa, &len, address, 0);
	int fd = netns_socket(from, family, SOCK_RAW | SOCK_NONBLOCK,
			      family == AF_INET6 ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP);

	cr_assert(connect(fd, (struct sockaddr *)&sa, len) == 0, "connect to %s: %s", address,
		  strerror(errno));
	return fd;
}

/* Both have the same layout; the kernel computes the checksum of ICMPv6. */
void icmp_send(int fd, uint16_t seq)
{
	struct icmphdr echo = { .type = is_v6(fd) ? ICMP6_ECHO_REQUEST : ICMP_ECHO };

	echo.un.echo.id = htons(0x4d4e);
	echo.un.echo.sequence = htons(seq);
	echo.checksum = is_v6(fd) ? 0 : fold(sum(&echo, sizeof(echo), 0));
	cr_assert(send(fd, &echo, sizeof(echo), 0) == sizeof(echo), "echo %u: %s", seq,
		  strerror(errno));
}

bool icmp_replied(int fd, uint16_t seq)
{
	const uint8_t reply = is_v6(fd) ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY;
	const size_t offset = is_v6(fd) ? 0 : 20;
	uint8_t data[256];
	bool found = false;
	ssize_t len;

	while ((len = recv(fd, data, sizeof(data), MSG_DONTWAIT)) > 0) {
		struct icmphdr echo;

		if ((size_t)len < offset + sizeof(echo))
			continue;
		memcpy(&echo, data + offset, sizeof(echo));
		found |= echo.type == reply && echo.un.echo.sequence == htons(seq);
	}
	return found;
}

/* ---- checksums ---- */

static void put16(uint8_t *to, uint16_t value)
{
	value = htons(value);
	memcpy(to, &value, sizeof(value));
}

void packet_repair(uint8_t *packet, size_t len)
{
	const bool v6 = packet[0] >> 4 == 6;
	const size_t head = v6 ? 40 : (size_t)(packet[0] & 15) * 4;
	const uint8_t protocol = packet[v6 ? 6 : 9];
	uint8_t *l4 = packet + head, *field = l4 + (protocol == IPPROTO_TCP ? 16 : 6);
	const size_t l4_len = len - head;
	uint32_t pseudo = (uint32_t)l4_len + protocol;
	uint16_t check;

	if (v6) {
		put16(packet + 4, (uint16_t)l4_len);
		pseudo = sum(packet + 8, 32, pseudo);
	} else {
		put16(packet + 2, (uint16_t)len);
		memset(packet + 10, 0, 2);
		check = fold(sum(packet, head, 0));
		memcpy(packet + 10, &check, 2);
		pseudo = sum(packet + 12, 8, pseudo);
	}
	if (protocol == IPPROTO_UDP)
		put16(l4 + 4, (uint16_t)l4_len);
	memset(field, 0, 2);
	check = fold(sum(l4, l4_len, pseudo));
	if (check == 0 && protocol == IPPROTO_UDP)
		check = 0xffff;
	memcpy(field, &check, 2);
}
