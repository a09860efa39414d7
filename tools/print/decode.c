/* SPDX-License-Identifier: MIT */
/*
 * Decoding of packets, to print them. mnfq_packet_get_layers() finds the headers; what follows IP is read
 * here, and no more than is there.
 */
#include "print/decode.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

/* Bytes from some header on. */
struct span {
	const uint8_t *at;
	size_t len;
	bool cut; /* there were more */
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
	if (bytes.len < need && !decoded->problem)
		decoded->problem = cut_short;
	return bytes.len >= need;
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
	if (header < 20 || (header > bytes.len && !bytes.cut))
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
	if (length < 8 || (length > bytes.len && !bytes.cut))
		decoded->problem = "bad UDP length";
}

static const struct word icmp_types[] = {
	{ 0, "echo reply" },           { 3, "destination unreachable" },
	{ 4, "source quench" },        { 5, "redirect" },
	{ 8, "echo request" },         { 9, "router advertisement" },
	{ 10, "router solicitation" }, { 11, "time exceeded" },
	{ 12, "parameter problem" },   { 13, "timestamp request" },
	{ 14, "timestamp reply" },     { 0, NULL },
};

static const struct word icmpv6_types[] = {
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

/* The numbers are IANA's; IPPROTO_* lacks some of them. */
static const struct word ip_protocols[] = {
	{ 0, "hopopt" },      { 1, "icmp" },       { 2, "igmp" },      { 4, "ipip" },
	{ 6, "tcp" },         { 17, "udp" },       { 33, "dccp" },     { 41, "sit" },
	{ 43, "ipv6-route" }, { 44, "ipv6-frag" }, { 46, "rsvp" },     { 47, "gre" },
	{ 50, "esp" },        { 51, "ah" },        { 58, "icmpv6" },   { 59, "ipv6-nonxt" },
	{ 60, "ipv6-opts" },  { 88, "eigrp" },     { 89, "ospf" },     { 97, "etherip" },
	{ 103, "pim" },       { 108, "ipcomp" },   { 112, "vrrp" },    { 115, "l2tp" },
	{ 132, "sctp" },      { 135, "mobility" }, { 136, "udplite" }, { 137, "mpls" },
	{ 139, "hip" },       { 140, "shim6" },    { 0, NULL },
};

/* Writes the name of protocol @number; without one, its number in the format @unknown. */
static void name_protocol(struct decoded *decoded, const struct word *names, unsigned int number,
			  const char *unknown)
{
	const char *name = find_word(names, number);

	snprintf(decoded->protocol, sizeof(decoded->protocol), name ? name : unknown, number);
}

/*
 * mnfq_packet_get_layers() stops where nothing can be edited: before what is authenticated (RFC 4302), and
 * at a jumbogram (RFC 2675), which begins with options.
 */
static void pass_over(struct decoded *decoded, uint8_t *number, struct span *bytes)
{
	while (*number == IPPROTO_AH ||
	       (*number == IPPROTO_HOPOPTS && decoded->family == AF_INET6)) {
		size_t len;

		if (!has(decoded, *bytes, 8))
			return;
		len = *number == IPPROTO_AH ? (bytes->at[1] + 2u) * 4 : (bytes->at[1] + 1u) * 8;
		if (!has(decoded, *bytes, len))
			return;
		*number = bytes->at[0];
		bytes->at += len;
		bytes->len -= len;
	}
}

/* Only the first fragment of a datagram has the header of the protocol in it. */
static void decode_upper(struct decoded *decoded, uint8_t number, struct span bytes)
{
	if (!decoded->fragment_offset)
		pass_over(decoded, &number, &bytes);
	name_protocol(decoded, ip_protocols, number, "ip-proto-%u");
	if (decoded->fragment_offset)
		return;
	switch (number) {
	case IPPROTO_ICMP:
		decode_type(decoded, bytes, icmp_types);
		break;
	case IPPROTO_ICMPV6:
		decode_type(decoded, bytes, icmpv6_types);
		break;
	case IPPROTO_TCP:
		decode_tcp(decoded, bytes);
		break;
	case IPPROTO_UDP:
		decode_udp(decoded, bytes);
		break;
	case IPPROTO_DCCP:
	case IPPROTO_SCTP:
	case IPPROTO_UDPLITE:
		decode_ports(decoded, bytes);
		break;
	}
}

/* ---- network headers ---------------------------------------------------------------------- */

/*
 * In place of mnfq_packet_get_layers(), for what is malformed, cut short or too large for its length: the
 * fixed header, and what follows at once. Returns false if not even that is there.
 */
static bool find_fixed_header(struct decoded *decoded, struct mnfq_layers *layers, bool v4,
			      struct span bytes)
{
	const uint8_t *ip = bytes.at;
	const size_t fixed = v4 ? 20 : 40;
	size_t header, total;

	if (ip[0] >> 4 != (v4 ? 4 : 6)) {
		decoded->problem = "bad IP version";
		return false;
	}
	if (!has(decoded, bytes, fixed))
		return false;
	header = v4 ? (ip[0] & 15) * 4u : fixed;
	total = get16(ip + (v4 ? 2 : 4));
	if (!v4 && total)
		total += fixed;
	if (header < fixed)
		decoded->problem = "bad IP header length";
	else if (total && total < header)
		decoded->problem = "bad IP length";
	layers->family = v4 ? AF_INET : AF_INET6;
	layers->protocol = ip[v4 ? 9 : 6];
	layers->more_fragments = v4 && ip[6] & 0x20;
	layers->fragment_offset = v4 ? (get16(ip + 6) & 0x1fffu) * 8 : 0;
	layers->fragment = layers->more_fragments || layers->fragment_offset;
	layers->end = total && total < bytes.len ? total : bytes.len;
	layers->transport = decoded->problem || header > layers->end ? layers->end : header;
	return true;
}

/* That of IPv6 is in an extension header, which mnfq_packet_get_layers() has seen. */
static uint32_t get_fragment_id(const uint8_t *ip, bool v4)
{
	const uint8_t *header = ip + 40;
	uint8_t next = ip[6];

	if (v4)
		return get16(ip + 4);
	while (next != IPPROTO_FRAGMENT) {
		next = header[0];
		header += (header[1] + 1u) * 8;
	}
	return get32(header + 4);
}

static void decode_layers(struct decoded *decoded, const struct mnfq_layers *layers,
			  struct span bytes)
{
	const bool v4 = layers->family == AF_INET;
	const uint8_t *ip = bytes.at + layers->network;

	decoded->family = layers->family;
	memcpy(decoded->src, ip + (v4 ? 12 : 8), v4 ? 4 : 16);
	memcpy(decoded->dst, ip + (v4 ? 16 : 24), v4 ? 4 : 16);
	if (layers->fragment) {
		decoded->fragment = true;
		decoded->more_fragments = layers->more_fragments;
		decoded->fragment_offset = layers->fragment_offset;
		decoded->fragment_id = get_fragment_id(ip, v4);
	}
	decode_upper(decoded, layers->protocol,
		     (struct span){ bytes.at + layers->transport, layers->end - layers->transport,
				    bytes.cut || layers->more_fragments });
}

/* Also behind VLAN tags, where a bridge leaves them in the packet. */
static void decode_ip(struct decoded *decoded, const struct mnfq_packet *packet,
		      uint16_t ethertype, struct span bytes)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);
	const int err = mnfq_packet_get_layers(packet, &layers);
	bool found = err == 0;

	if (!found && (ethertype == ETH_P_IP || ethertype == ETH_P_IPV6))
		found = find_fixed_header(decoded, &layers, ethertype == ETH_P_IP, bytes);
	if (found)
		decode_layers(decoded, &layers, bytes);
	if (err == -EMSGSIZE && !decoded->problem)
		decoded->problem = cut_short;
	else if (err == -EBADMSG && !decoded->problem)
		decoded->problem = "malformed";
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
	if (get16(bytes.at + 2) != ETH_P_IP)
		return;
	if (address != 4) {
		decoded->problem = "bad ARP address length";
		return;
	}
	decoded->family = AF_INET;
	memcpy(decoded->src, bytes.at + 8 + hardware, 4);
	memcpy(decoded->dst, bytes.at + 8 + hardware + 4 + hardware, 4);
}

void decode_packet(struct decoded *decoded, const struct mnfq_packet *packet)
{
	static const struct word ethertypes[] = {
		{ ETH_P_IP, "ipv4" },
		{ ETH_P_ARP, "arp" },
		{ ETH_P_RARP, "rarp" },
		{ ETH_P_8021Q, "vlan" },
		{ ETH_P_IPV6, "ipv6" },
		{ ETH_P_MPLS_UC, "mpls" },
		{ ETH_P_PPP_DISC, "pppoe-discovery" },
		{ ETH_P_PPP_SES, "pppoe" },
		{ ETH_P_PAE, "eapol" },
		{ ETH_P_8021AD, "qinq" },
		{ ETH_P_LLDP, "lldp" },
		{ ETH_P_MACSEC, "macsec" },
		{ 0, NULL },
	};
	const uint16_t ethertype = mnfq_packet_get_ethertype(packet);
	struct span bytes = { 0 };
	size_t length;

	memset(decoded, 0, sizeof(*decoded));
	name_protocol(decoded, ethertypes, ethertype, "ethertype-0x%04x");
	bytes.at = mnfq_packet_get_payload(packet, &bytes.len);
	if (bytes.len == 0 || mnfq_packet_get_length(packet, &length) < 0)
		return;
	bytes.cut = bytes.len < length;
	if (ethertype == ETH_P_ARP)
		decode_arp(decoded, bytes);
	else
		decode_ip(decoded, packet, ethertype, bytes);
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
