/* SPDX-License-Identifier: MIT */
/* What is on top of IP: TCP, ICMP and IGMP have files of their own. */
#include "print/decode-upper.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "print/compose.h"
#include "print/decode-icmp.h"
#include "print/decode-tcp.h"

void name_protocol(struct decoded *decoded, const struct word *names, unsigned int number,
		   const char *unknown)
{
	const char *name = find_word(names, number);

	if (name)
		strcpy(decoded->protocol, name);
	else
		snprintf(decoded->protocol, sizeof(decoded->protocol), unknown, number);
}

static void set_length(struct decoded *decoded, size_t length)
{
	decoded->has_data_length = true;
	decoded->data_length = length;
}

/* The ports of all that have them are in the same place. */
static bool decode_ports(struct decoded *decoded, struct span bytes, const char *header)
{
	if (!has(decoded, bytes, 4, header))
		return false;
	decoded->has_ports = true;
	decoded->sport = get16(bytes.at);
	decoded->dport = get16(bytes.at + 2);
	return true;
}

/* The length of a jumbogram is not in its header (RFC 2675). */
static void decode_udp(struct decoded *decoded, struct span bytes)
{
	size_t length;

	if (bytes.total < 8) {
		decoded->problem = "cut short";
		snprintf(decoded->bad, sizeof(decoded->bad), "truncated-udp %zu", bytes.total);
		return;
	}
	if (!has(decoded, bytes, 8, "udp"))
		return;
	length = get16(bytes.at + 4);
	if (length == 0 && bytes.total > UINT16_MAX)
		length = bytes.total;
	if (length < 8) {
		decoded->problem = "bad UDP length";
		snprintf(decoded->bad, sizeof(decoded->bad), "truncated-udplength %zu", length);
		return;
	}
	if (length > bytes.total && !decoded->fragment) {
		decoded->problem = "bad UDP length";
		snprintf(decoded->bad, sizeof(decoded->bad), "UDP, bad length %zu > %zu",
			 length - 8, bytes.total - 8);
		return;
	}
	set_length(decoded, length - 8);
}

/* RFC 9260, and those that came later. */
static const struct word sctp_chunks[] = {
	{ 0, "DATA" },
	{ 1, "INIT" },
	{ 2, "INIT ACK" },
	{ 3, "SACK" },
	{ 4, "HB REQ" },
	{ 5, "HB ACK" },
	{ 6, "ABORT" },
	{ 7, "SHUTDOWN" },
	{ 8, "SHUTDOWN ACK" },
	{ 9, "OP ERR" },
	{ 10, "COOKIE ECHO" },
	{ 11, "COOKIE ACK" },
	{ 12, "ECN ECHO" },
	{ 13, "CWR" },
	{ 14, "SHUTDOWN COMPLETE" },
	{ 15, "AUTH" },
	{ 128, "ASCONF ACK" },
	{ 130, "RE-CONFIG" },
	{ 192, "FORWARD CUM TSN" },
	{ 193, "ASCONF" },
	{ 0, NULL },
};

/* The names of the chunks, as many as find room. */
static void decode_sctp(struct decoded *decoded, struct span bytes)
{
	struct compose message = { decoded->message, sizeof(decoded->message), 0 };
	unsigned int count = 0;

	if (!has(decoded, bytes, 12, "sctp"))
		return;
	for (bytes = skip(bytes, 12); bytes.len > 0 && message.len < 120;) {
		const char *name;
		size_t len;

		if (!has(decoded, bytes, 4, "sctp"))
			return;
		name = find_word(sctp_chunks, bytes.at[0]);
		add_format(&message, "%s(%u) ", count ? ", " : "", count + 1);
		if (name)
			add_format(&message, "[%s]", name);
		else
			add_format(&message, "[Unknown chunk type: 0x%x]", bytes.at[0]);
		count++;
		len = (get16(bytes.at + 2) + 3u) & ~3u;
		if (len < 4)
			decoded->problem = "bad SCTP chunk length";
		if (len < 4 || len >= bytes.len)
			return;
		bytes = skip(bytes, len);
	}
}

static void decode_esp(struct decoded *decoded, struct span bytes)
{
	if (!has(decoded, bytes, 8, "esp"))
		return;
	snprintf(decoded->message, sizeof(decoded->message), "(spi=0x%08x,seq=0x%x)",
		 get32(bytes.at), get32(bytes.at + 4));
	set_length(decoded, bytes.total);
}

/* mnfq_packet_get_layers() stops before what is authenticated (RFC 4302). */
static bool pass_over_ah(struct decoded *decoded, uint8_t *number, struct span *bytes)
{
	struct compose headers = { decoded->headers, sizeof(decoded->headers),
				   strlen(decoded->headers) };

	while (*number == IPPROTO_AH) {
		size_t len;

		if (!has(decoded, *bytes, 12, "ah"))
			return false;
		add_format(&headers, "AH(spi=0x%08x,seq=0x%x): ", get32(bytes->at + 4),
			   get32(bytes->at + 8));
		len = (bytes->at[1] + 2u) * 4;
		if (!has(decoded, *bytes, len, "ah"))
			return false;
		*number = bytes->at[0];
		*bytes = skip(*bytes, len);
	}
	return true;
}

static void decode_protocol(struct decoded *decoded, uint8_t number, struct span bytes)
{

	switch (number) {
	case IPPROTO_ICMP:
		decode_icmp(decoded, bytes);
		break;
	case IPPROTO_ICMPV6:
		decode_icmpv6(decoded, bytes);
		break;
	case IPPROTO_IGMP:
		decode_igmp(decoded, bytes);
		break;
	case IPPROTO_TCP:
		if (decode_ports(decoded, bytes, "tcp"))
			decode_tcp(decoded, bytes);
		break;
	case IPPROTO_UDP:
		if (decode_ports(decoded, bytes, "udp"))
			decode_udp(decoded, bytes);
		break;
	case IPPROTO_SCTP:
		if (decode_ports(decoded, bytes, "sctp"))
			decode_sctp(decoded, bytes);
		break;
	case IPPROTO_DCCP:
	case IPPROTO_UDPLITE:
		if (decode_ports(decoded, bytes, number == IPPROTO_DCCP ? "dccp" : "udplite"))
			set_length(decoded, bytes.total);
		break;
	case IPPROTO_ESP:
		decode_esp(decoded, bytes);
		break;
	case IPPROTO_NONE:
		break;
	default:
		set_length(decoded, bytes.total);
	}
}

void decode_upper(struct decoded *decoded, uint8_t number, struct span bytes, bool first)
{
	/* The numbers are IANA's; IPPROTO_* lacks some of them. */
	static const struct word protocols[] = {
		{ 0, "hopopt" },      { 1, "icmp" },       { 2, "igmp" },
		{ 4, "ipip" },        { 6, "tcp" },        { 17, "udp" },
		{ 33, "dccp" },       { 41, "sit" },       { 43, "ipv6-route" },
		{ 44, "ipv6-frag" },  { 46, "rsvp" },      { 47, "gre" },
		{ 50, "esp" },        { 51, "ah" },        { 58, "icmpv6" },
		{ 59, "ipv6-nonxt" }, { 60, "ipv6-opts" }, { 88, "eigrp" },
		{ 89, "ospf" },       { 97, "etherip" },   { 103, "pim" },
		{ 108, "ipcomp" },    { 112, "vrrp" },     { 115, "l2tp" },
		{ 132, "sctp" },      { 135, "mobility" }, { 136, "udplite" },
		{ 137, "mpls" },      { 139, "hip" },      { 140, "shim6" },
		{ 0, NULL },
	};
	static const struct word titles[] = {
		{ IPPROTO_ICMP, "ICMP" },
		{ IPPROTO_ICMPV6, "ICMP6," },
		{ IPPROTO_UDP, "UDP" },
		{ IPPROTO_ESP, "ESP" },
		{ IPPROTO_NONE, "no next header" },
		{ 0, NULL },
	};
	bool whole = !first || pass_over_ah(decoded, &number, &bytes);

	name_protocol(decoded, protocols, number, "ip-proto-%u");
	if (!first || !whole)
		return;
	decoded->title = find_word(titles, number);
	decode_protocol(decoded, number, bytes);
}
