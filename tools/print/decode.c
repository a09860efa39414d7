/* SPDX-License-Identifier: MIT */
/* Decoding of packets. Every handler checks the length of what it reads before it reads it. */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "print/decode.h"

/* The bytes that are there, and how many the headers so far claim there were. */
struct span {
	const uint8_t *at;
	size_t len;
	size_t claimed;
};

struct protocol {
	unsigned int number;
	const char *name;
	void (*decode)(struct decoded *decoded, struct span bytes);
};

struct word {
	unsigned int number;
	const char *text;
};

static const char cut_short[] = "cut short";

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* Notes a problem unless there are @need bytes. */
static bool has(struct decoded *decoded, struct span bytes, size_t need)
{
	if (bytes.len >= need)
		return true;
	decoded->problem = cut_short;
	return false;
}

static struct span skip(struct span bytes, size_t count)
{
	return (struct span){ bytes.at + count, bytes.len - count,
			      bytes.claimed > count ? bytes.claimed - count : 0 };
}

/* Leaves out what is behind the end of the packet (padding). Jumbo packets claim 0. */
static struct span bound(struct span bytes, size_t claimed)
{
	if (claimed && claimed < bytes.len)
		bytes.len = claimed;
	bytes.claimed = claimed ? claimed : bytes.len;
	return bytes;
}

static const char *find_word(const struct word *words, unsigned int number)
{
	for (; words->text; words++)
		if (words->number == number)
			return words->text;
	return NULL;
}

/* ---- on top of IP ------------------------------------------------------------------------- */

static void decode_ports(struct decoded *decoded, struct span bytes)
{
	if (!has(decoded, bytes, 4))
		return;
	decoded->has_ports = true;
	decoded->sport = get16(bytes.at);
	decoded->dport = get16(bytes.at + 2);
}

static void decode_tcp(struct decoded *decoded, struct span bytes)
{
	size_t header;

	decode_ports(decoded, bytes);
	if (!has(decoded, bytes, 14))
		return;
	decoded->has_tcp_flags = true;
	decoded->tcp_flags = bytes.at[13];

	header = (bytes.at[12] >> 4) * 4u;
	if (header < 20 || (header > bytes.claimed && !decoded->fragment))
		decoded->problem = "bad TCP header length";
	else
		has(decoded, bytes, header);
}

static void decode_udp(struct decoded *decoded, struct span bytes)
{
	size_t length;

	decode_ports(decoded, bytes);
	if (!has(decoded, bytes, 8))
		return;
	length = get16(bytes.at + 4);
	if (length < 8 || (length > bytes.claimed && !decoded->fragment))
		decoded->problem = "bad UDP length";
}

static void decode_type(struct decoded *decoded, struct span bytes, const struct word *words)
{
	if (!has(decoded, bytes, 2))
		return;
	decoded->has_type = true;
	decoded->type = bytes.at[0];
	decoded->code = bytes.at[1];
	decoded->kind = find_word(words, decoded->type);
	has(decoded, bytes, 8);
}

static void decode_icmp(struct decoded *decoded, struct span bytes)
{
	static const struct word words[] = {
		{ 0, "echo reply" },           { 3, "destination unreachable" },
		{ 4, "source quench" },        { 5, "redirect" },
		{ 8, "echo request" },         { 9, "router advertisement" },
		{ 10, "router solicitation" }, { 11, "time exceeded" },
		{ 12, "parameter problem" },   { 13, "timestamp request" },
		{ 14, "timestamp reply" },     { 0, NULL },
	};

	decode_type(decoded, bytes, words);
}

static void decode_icmpv6(struct decoded *decoded, struct span bytes)
{
	static const struct word words[] = {
		{ 1, "destination unreachable" },
		{ 2, "packet too big" },
		{ 3, "time exceeded" },
		{ 4, "parameter problem" },
		{ 128, "echo request" },
		{ 129, "echo reply" },
		{ 130, "listener query" },
		{ 131, "listener report" },
		{ 132, "listener done" },
		{ 133, "router solicitation" },
		{ 134, "router advertisement" },
		{ 135, "neighbor solicitation" },
		{ 136, "neighbor advertisement" },
		{ 137, "redirect" },
		{ 143, "listener report v2" },
		{ 0, NULL },
	};

	decode_type(decoded, bytes, words);
}

/* The numbers are IANA's; IPPROTO_* lacks some of them. */
static const struct protocol ip_protocols[] = {
	{ 0, "hopopt", NULL },
	{ 1, "icmp", decode_icmp },
	{ 2, "igmp", NULL },
	{ 4, "ipip", NULL },
	{ 6, "tcp", decode_tcp },
	{ 17, "udp", decode_udp },
	{ 33, "dccp", decode_ports },
	{ 41, "sit", NULL },
	{ 43, "ipv6-route", NULL },
	{ 44, "ipv6-frag", NULL },
	{ 46, "rsvp", NULL },
	{ 47, "gre", NULL },
	{ 50, "esp", NULL },
	{ 51, "ah", NULL },
	{ 58, "icmpv6", decode_icmpv6 },
	{ 59, "ipv6-nonxt", NULL },
	{ 60, "ipv6-opts", NULL },
	{ 88, "eigrp", NULL },
	{ 89, "ospf", NULL },
	{ 97, "etherip", NULL },
	{ 103, "pim", NULL },
	{ 108, "ipcomp", NULL },
	{ 112, "vrrp", NULL },
	{ 115, "l2tp", NULL },
	{ 132, "sctp", decode_ports },
	{ 135, "mobility", NULL },
	{ 136, "udplite", decode_ports },
	{ 137, "mpls", NULL },
	{ 139, "hip", NULL },
	{ 140, "shim6", NULL },
	{ 0, NULL, NULL },
};

/* Writes the name of protocol @number, made from @unknown if the table has none. */
static const struct protocol *name_protocol(struct decoded *decoded,
					    const struct protocol *protocols, unsigned int number,
					    const char *unknown)
{
	for (; protocols->name; protocols++) {
		if (protocols->number == number) {
			snprintf(decoded->protocol, sizeof(decoded->protocol), "%s",
				 protocols->name);
			return protocols;
		}
	}
	snprintf(decoded->protocol, sizeof(decoded->protocol), unknown, number);
	return NULL;
}

/* Only the first fragment of a datagram has the header of the protocol in it. */
static void decode_upper(struct decoded *decoded, unsigned int number, struct span bytes)
{
	const struct protocol *protocol;

	protocol = name_protocol(decoded, ip_protocols, number, "ip-proto-%u");
	if (protocol && protocol->decode && !decoded->fragment_offset)
		protocol->decode(decoded, bytes);
}

/* ---- network headers ---------------------------------------------------------------------- */

static void decode_ipv4(struct decoded *decoded, struct span bytes)
{
	size_t header, total;
	uint16_t fragment;

	if (bytes.at[0] >> 4 != 4) {
		decoded->problem = "bad IP version";
		return;
	}
	if (!has(decoded, bytes, 20))
		return;
	decoded->family = AF_INET;
	memcpy(decoded->src, bytes.at + 12, 4);
	memcpy(decoded->dst, bytes.at + 16, 4);

	fragment = get16(bytes.at + 6);
	decoded->more_fragments = fragment & 0x2000;
	decoded->fragment_offset = (uint16_t)((fragment & 0x1fff) * 8);
	decoded->fragment = decoded->more_fragments || decoded->fragment_offset;
	decoded->fragment_id = get16(bytes.at + 4);

	name_protocol(decoded, ip_protocols, bytes.at[9], "ip-proto-%u");
	header = (bytes.at[0] & 0xf) * 4u;
	total = get16(bytes.at + 2);
	if (header < 20)
		decoded->problem = "bad IP header length";
	else if (total && total < header)
		decoded->problem = "bad IP length";
	else if (has(decoded, bytes, header))
		decode_upper(decoded, bytes.at[9], skip(bound(bytes, total), header));
}

static void decode_fragment_header(struct decoded *decoded, const uint8_t *header)
{
	decoded->fragment = true;
	decoded->more_fragments = header[3] & 1;
	decoded->fragment_offset = get16(header + 2) & 0xfff8;
	decoded->fragment_id = get32(header + 4);
}

/* The bytes that an extension header says it has, 0 if @number is none (RFC 8200, RFC 4302). */
static size_t get_extension_length(unsigned int number, const uint8_t *header)
{
	switch (number) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return (header[1] + 1u) * 8;
	case IPPROTO_AH:
		return (header[1] + 2u) * 4;
	case IPPROTO_FRAGMENT:
		return 8;
	default:
		return 0;
	}
}

static bool is_extension(unsigned int number)
{
	static const uint8_t any[2];

	return get_extension_length(number, any) != 0;
}

static void decode_ipv6(struct decoded *decoded, struct span bytes)
{
	unsigned int next;
	size_t payload, length;

	if (bytes.at[0] >> 4 != 6) {
		decoded->problem = "bad IP version";
		return;
	}
	if (!has(decoded, bytes, 40))
		return;
	decoded->family = AF_INET6;
	memcpy(decoded->src, bytes.at + 8, 16);
	memcpy(decoded->dst, bytes.at + 24, 16);

	next = bytes.at[6];
	payload = get16(bytes.at + 4);
	bytes = skip(bound(bytes, payload ? payload + 40 : 0), 40);

	while (is_extension(next) && !decoded->fragment_offset) {
		name_protocol(decoded, ip_protocols, next, "");
		if (!has(decoded, bytes, 8))
			return;
		length = get_extension_length(next, bytes.at);
		if (!has(decoded, bytes, length))
			return;
		if (next == IPPROTO_FRAGMENT)
			decode_fragment_header(decoded, bytes.at);
		next = bytes.at[0];
		bytes = skip(bytes, length);
	}
	decode_upper(decoded, next, bytes);
}

static void decode_arp(struct decoded *decoded, struct span bytes)
{
	static const struct word words[] = {
		{ 1, "request" },
		{ 2, "reply" },
		{ 0, NULL },
	};
	size_t hardware, address;

	if (!has(decoded, bytes, 8))
		return;
	hardware = bytes.at[4];
	address = bytes.at[5];
	decoded->kind = find_word(words, get16(bytes.at + 6));
	if (!has(decoded, bytes, 8 + 2 * (hardware + address)))
		return;
	if (get16(bytes.at + 2) != 0x0800)
		return;
	if (address != 4) {
		decoded->problem = "bad ARP address length";
		return;
	}
	decoded->family = AF_INET;
	memcpy(decoded->src, bytes.at + 8 + hardware, 4);
	memcpy(decoded->dst, bytes.at + 8 + hardware + 4 + hardware, 4);
}

void decode_packet(struct decoded *decoded, uint16_t ethertype, const uint8_t *data, size_t len)
{
	static const struct protocol ethertypes[] = {
		{ 0x0800, "ipv4", decode_ipv4 },
		{ 0x0806, "arp", decode_arp },
		{ 0x8035, "rarp", NULL },
		{ 0x8100, "vlan", NULL },
		{ 0x86dd, "ipv6", decode_ipv6 },
		{ 0x8847, "mpls", NULL },
		{ 0x8863, "pppoe-discovery", NULL },
		{ 0x8864, "pppoe", NULL },
		{ 0x888e, "eapol", NULL },
		{ 0x88a8, "qinq", NULL },
		{ 0x88cc, "lldp", NULL },
		{ 0x88e5, "macsec", NULL },
		{ 0, NULL, NULL },
	};
	const struct protocol *protocol;

	memset(decoded, 0, sizeof(*decoded));
	protocol = name_protocol(decoded, ethertypes, ethertype, "ethertype-0x%04x");
	if (protocol && protocol->decode && len > 0)
		protocol->decode(decoded, (struct span){ data, len, len });
}

void decode_tcp_flags(uint8_t flags, char text[9])
{
	static const struct {
		uint8_t bit;
		char letter;
	} letters[] = {
		{ 0x01, 'F' }, { 0x02, 'S' }, { 0x04, 'R' }, { 0x08, 'P' },
		{ 0x10, '.' }, { 0x20, 'U' }, { 0x40, 'E' }, { 0x80, 'W' },
	};
	size_t used = 0;

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (flags & letters[i].bit)
			text[used++] = letters[i].letter;
	text[used] = '\0';
	if (used == 0)
		strcpy(text, "none");
}
