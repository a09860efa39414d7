// SPDX-License-Identifier: MIT
/* Puts packets together, with lengths and sums made without any of the library's code. */
#include "build.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

const struct build_kind build_kinds[BUILD_KINDS] = {
	{ AF_INET, IPPROTO_TCP },  { AF_INET, IPPROTO_UDP },      { AF_INET, IPPROTO_UDPLITE },
	{ AF_INET, IPPROTO_ICMP }, { AF_INET, IPPROTO_SCTP },     { AF_INET6, IPPROTO_TCP },
	{ AF_INET6, IPPROTO_UDP }, { AF_INET6, IPPROTO_UDPLITE }, { AF_INET6, IPPROTO_ICMPV6 },
	{ AF_INET6, IPPROTO_SCTP }
};

uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

void put16(uint8_t *p, unsigned int value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

void build_add(struct build *b, const void *bytes, size_t len)
{
	memcpy(b->p + b->len, bytes, len);
	b->len += len;
}

void build_ipv4(struct build *b, uint8_t protocol, const void *options, size_t len)
{
	uint8_t header[20] = { 0x45, 0, 0,  0, 0x12, 0x34, 0,  0, 64, 0,
			       0,    0, 10, 0, 0,    1,    10, 0, 0,  2 };

	header[0] = (uint8_t)(0x45 + len / 4);
	header[9] = protocol;
	b->network = b->len;
	b->family = AF_INET;
	memset(b->source, 0, sizeof(b->source));
	memset(b->destination, 0, sizeof(b->destination));
	memcpy(b->source, header + 12, 4);
	memcpy(b->destination, header + 16, 4);
	build_add(b, header, sizeof(header));
	if (len > 0)
		build_add(b, options, len);
}

void build_ipv6(struct build *b, uint8_t next)
{
	uint8_t header[40] = { 0x60, 0, 0, 0, 0, 0, next, 64, 0x20, 1, 0x0d, 0xb8 };

	header[23] = 1;
	memcpy(header + 24, header + 8, 4);
	header[39] = 2;
	b->network = b->len;
	b->family = AF_INET6;
	memcpy(b->source, header + 8, 16);
	memcpy(b->destination, header + 24, 16);
	build_add(b, header, sizeof(header));
}

size_t build_check(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
	case IPPROTO_UDPLITE:
		return 6;
	case IPPROTO_SCTP:
		return 8;
	default:
		return 2;
	}
}

void build_transport(struct build *b, uint8_t protocol, const char *data, size_t len)
{
	static const uint8_t lengths[256] = {
		[IPPROTO_TCP] = 20,   [IPPROTO_UDP] = 8,   [IPPROTO_ICMP] = 8,
		[IPPROTO_ICMPV6] = 8, [IPPROTO_SCTP] = 12, [IPPROTO_UDPLITE] = 8
	};
	uint8_t header[20] = { 0x12, 0x34, 0, 80, 0, 0, 0, 0, 1, 2, 3, 4, 0x50, 0x18, 1, 0 };

	if (protocol == IPPROTO_ICMP)
		header[0] = 8, header[1] = 0;
	if (protocol == IPPROTO_ICMPV6)
		header[0] = 128, header[1] = 0;
	b->protocol = protocol;
	b->transport = b->len;
	build_add(b, header, lengths[protocol]);
	build_add(b, data, len);
}

static uint32_t add(const uint8_t *p, size_t len, uint32_t sum)
{
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint16_t build_sum(const struct build *b, const uint8_t *p, size_t len, size_t covered)
{
	size_t check = b->transport + build_check(b->protocol);
	uint32_t sum = 0;
	uint16_t value;

	if (b->protocol != IPPROTO_ICMP)
		sum = add(b->source, 16, 0) + add(b->destination, 16, 0) + b->protocol +
		      (uint32_t)(len - b->transport);
	sum = add(p + b->transport, check - b->transport, fold(sum));
	sum = add(p + check + 2, covered - check - 2, fold(sum));
	value = (uint16_t)~fold(sum);
	if (value == 0 && (b->protocol == IPPROTO_UDP || b->protocol == IPPROTO_UDPLITE))
		return 0xffff;
	return value;
}

uint32_t build_crc32c(const struct build *b, const uint8_t *p, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = b->transport; i < len; i++) {
		crc ^= i - b->transport - 8 < 4 ? 0 : p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

uint16_t build_header_sum(const struct build *b, const uint8_t *p)
{
	const uint8_t *ip = p + b->network;
	size_t len = (size_t)(ip[0] & 15) * 4;

	return (uint16_t)~fold(add(ip + 12, len - 12, add(ip, 10, 0)));
}

void build_end(struct build *b)
{
	uint8_t *ip = b->p + b->network, *t = b->p + b->transport;
	uint32_t crc;

	if (b->family == AF_INET) {
		put16(ip + 2, (unsigned int)(b->len - b->network));
		put16(ip + 10, build_header_sum(b, b->p));
	} else {
		put16(ip + 4, (unsigned int)(b->len - b->network - 40));
	}
	if (b->protocol == IPPROTO_UDP)
		put16(t + 4, (unsigned int)(b->len - b->transport));
	if (b->protocol != IPPROTO_SCTP) {
		put16(t + build_check(b->protocol), build_sum(b, b->p, b->len, b->len));
		return;
	}
	crc = build_crc32c(b, b->p, b->len);
	t[8] = (uint8_t)crc, t[9] = (uint8_t)(crc >> 8);
	t[10] = (uint8_t)(crc >> 16), t[11] = (uint8_t)(crc >> 24);
}

void build(struct build *b, uint8_t family, uint8_t protocol, size_t len)
{
	static char data[65536];

	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + i / 251);
	b->len = 0;
	if (family == AF_INET)
		build_ipv4(b, protocol, NULL, 0);
	else
		build_ipv6(b, protocol);
	build_transport(b, protocol, data, len);
	build_end(b);
}

void build_partial(struct build *b, bool with_length)
{
	static struct build empty;

	empty = *b;
	memset(empty.p + b->transport, 0, b->len - b->transport);
	put16(b->p + b->transport + build_check(b->protocol),
	      (uint16_t)~build_sum(&empty, empty.p, with_length ? b->len : b->transport, b->len));
}
