/* SPDX-License-Identifier: MIT */
/*
 * Decoding of packets, to print them: network headers. mnfq_packet_get_layers() finds them; what they say is read
 * here, and no more than is there.
 */
#include "print/decode.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "print/compose.h"
#include "print/decode-upper.h"
#include "print/span.h"

/* ---- IP ----------------------------------------------------------------------------------- */

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
		snprintf(decoded->bad_ip, sizeof(decoded->bad_ip), "version error: %d != %d",
			 ip[0] >> 4, v4 ? 4 : 6);
		return false;
	}
	if (!has(decoded, bytes, fixed, v4 ? "ip" : "ip6"))
		return false;
	header = v4 ? (ip[0] & 15) * 4u : fixed;
	total = get16(ip + (v4 ? 2 : 4));
	if (!v4 && total)
		total += fixed;
	if (header < fixed)
		decoded->problem = "bad IP header length";
	else if (total && total < header)
		decoded->problem = "bad IP length";
	decoded->unusable_ip = decoded->problem;
	if (decoded->problem)
		snprintf(decoded->bad_ip, sizeof(decoded->bad_ip), "bad-%s %zu",
			 header < fixed ? "hlen" : "len", header < fixed ? header : total);
	else if (total > bytes.total)
		snprintf(decoded->bad_ip, sizeof(decoded->bad_ip),
			 "truncated-%s - %zu bytes missing!", v4 ? "ip" : "ip6",
			 total - bytes.total);
	layers->family = v4 ? AF_INET : AF_INET6;
	layers->protocol = ip[v4 ? 9 : 6];
	layers->more_fragments = v4 && ip[6] & 0x20;
	layers->fragment_offset = v4 ? (get16(ip + 6) & 0x1fffu) * 8 : 0;
	layers->fragment = layers->more_fragments || layers->fragment_offset;
	layers->end = total && total < bytes.len ? total : bytes.len;
	layers->transport = decoded->problem || header > layers->end ? layers->end : header;
	return true;
}

static void decode_ipv4_header(struct decoded *decoded, const uint8_t *ip)
{
	decoded->tos = ip[1];
	decoded->ip_length = get16(ip + 2);
	decoded->ip_id = get16(ip + 4);
	decoded->dont_fragment = ip[6] & 0x40;
	decoded->ttl = ip[8];
	decoded->ip_protocol = ip[9];
	memcpy(decoded->src, ip + 12, 4);
	memcpy(decoded->dst, ip + 16, 4);
	decoded->fragment_id = get16(ip + 4);
}

static void decode_ipv6_header(struct decoded *decoded, const uint8_t *ip)
{
	decoded->tos = (uint8_t)(get16(ip) >> 4);
	decoded->flow_label = get32(ip) & 0xfffffu;
	decoded->ip_length = get16(ip + 4);
	decoded->ip_protocol = ip[6];
	decoded->ttl = ip[7];
	memcpy(decoded->src, ip + 8, 16);
	memcpy(decoded->dst, ip + 24, 16);
}

static void add_extension(struct decoded *decoded, uint8_t number, const uint8_t *header,
			  size_t rest)
{
	struct compose out = { decoded->headers, sizeof(decoded->headers),
			       strlen(decoded->headers) };

	if (number == IPPROTO_FRAGMENT)
		add_format(&out, "frag (0x%08x:%u|%zu) ", get32(header + 4),
			   get16(header + 2) & 0xfff8u, rest);
	else if (number == IPPROTO_ROUTING)
		add_format(&out, "RT6 (len=%u, type=%u, segleft=%u) ", header[1], header[2],
			   header[3]);
	else
		add_text(&out, number == IPPROTO_HOPOPTS ? "HBH " : "DSTOPT ");
}

/*
 * The extension headers that mnfq_packet_get_layers() has passed over, which are @len bytes; and hop-by-hop
 * options, with which it has not if this is a jumbogram (RFC 2675).
 */
static void pass_over_extensions(struct decoded *decoded, uint8_t *number, struct span *bytes,
				 size_t len)
{
	while (len > 0 || *number == IPPROTO_HOPOPTS) {
		size_t header;

		if (!has(decoded, *bytes, 8, "ip6"))
			return;
		header = *number == IPPROTO_FRAGMENT ? 8 : (bytes->at[1] + 1u) * 8;
		if (!has(decoded, *bytes, header, "ip6"))
			return;
		if (*number == IPPROTO_FRAGMENT)
			decoded->fragment_id = get32(bytes->at + 4);
		add_extension(decoded, *number, bytes->at, bytes->total - header);
		*number = bytes->at[0];
		*bytes = skip(*bytes, header);
		len -= len < header ? len : header;
	}
}

/* Its length according to the header, if there is one; @bytes is the packet from there on. */
static size_t get_ip_length(const struct decoded *decoded, struct span bytes)
{
	size_t length = decoded->ip_length;

	if (decoded->family == AF_INET6 && length)
		length += 40;
	return length && length < bytes.total ? length : bytes.total;
}

/* Padding behind the packet is none of it. */
static void decode_layers(struct decoded *decoded, const struct mnfq_layers *layers,
			  struct span bytes)
{
	const bool v4 = layers->family == AF_INET;
	const size_t header = layers->transport - layers->network;
	uint8_t number = layers->protocol;

	bytes = skip(bytes, layers->network);
	strcpy(decoded->link, v4 ? "IP" : "IP6");
	decoded->family = layers->family;
	decoded->has_ip = true;
	if (v4)
		decode_ipv4_header(decoded, bytes.at);
	else
		decode_ipv6_header(decoded, bytes.at);
	bytes.total = get_ip_length(decoded, bytes);
	bytes.len = layers->end - layers->network;
	if (bytes.total < bytes.len)
		bytes.total = bytes.len;
	if (v4) {
		bytes = skip(bytes, header);
	} else {
		number = decoded->ip_protocol;
		bytes = skip(bytes, header < 40 ? header : 40);
		pass_over_extensions(decoded, &number, &bytes, header < 40 ? 0 : header - 40);
	}
	decoded->fragment = layers->fragment;
	decoded->more_fragments = layers->more_fragments;
	decoded->fragment_offset = layers->fragment_offset;
	decoded->fragment_size = bytes.total;
	decode_upper(decoded, number, bytes, !layers->fragment_offset);
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
		decoded->problem = "cut short";
	else if (err == -EBADMSG && !decoded->problem)
		decoded->problem = "malformed";
}

/* ---- ARP ---------------------------------------------------------------------------------- */

/* RFC 826, 903, 2390. */
static void decode_arp(struct decoded *decoded, struct span bytes)
{
	static const struct word words[] = {
		{ 1, "request" },
		{ 2, "reply" },
		{ 3, "reverse request" },
		{ 4, "reverse reply" },
		{ 8, "inverse request" },
		{ 9, "inverse reply" },
		{ 0, NULL },
	};
	size_t hardware, address;
	const char *word;

	decoded->has_data_length = true;
	decoded->data_length = bytes.total;
	if (!has(decoded, bytes, 8, "arp"))
		return;
	hardware = bytes.at[4];
	address = bytes.at[5];
	word = find_word(words, get16(bytes.at + 6));
	if (word)
		strcpy(decoded->message, word);
	else
		snprintf(decoded->message, sizeof(decoded->message), "operation %u",
			 get16(bytes.at + 6));
	if (!has(decoded, bytes, 8 + 2 * (hardware + address), "arp"))
		return;
	if (get16(bytes.at + 2) != ETH_P_IP)
		return;
	if (address != 4) {
		decoded->problem = "bad ARP address length";
		return;
	}
	decoded->family = AF_INET;
	decoded->has_arp = hardware == 6;
	decoded->sender = bytes.at + 8;
	decoded->target = bytes.at + 8 + hardware + 4;
	memcpy(decoded->src, decoded->sender + hardware, 4);
	memcpy(decoded->dst, decoded->target + hardware, 4);
}

/* ---- any ---------------------------------------------------------------------------------- */

/* Returns what its header is called where it is missing, or NULL. */
static const char *set_link(struct decoded *decoded, uint16_t ethertype)
{
	static const struct {
		uint16_t ethertype;
		const char *link, *header;
	} known[] = { { ETH_P_IP, "IP", "ip" },
		      { ETH_P_IPV6, "IP6", "ip6" },
		      { ETH_P_ARP, "ARP", "arp" } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (ethertype == known[i].ethertype) {
			strcpy(decoded->link, known[i].link);
			return known[i].header;
		}
	}
	strcpy(decoded->link, decoded->protocol);
	return NULL;
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
	const char *header;
	size_t length;

	memset(decoded, 0, sizeof(*decoded));
	name_protocol(decoded, ethertypes, ethertype,
		      ethertype < ETH_P_802_3_MIN ? "802.3" : "ethertype-0x%04x");
	header = set_link(decoded, ethertype);
	bytes.at = mnfq_packet_get_payload(packet, &bytes.len);
	if (bytes.len == 0 || mnfq_packet_get_length(packet, &length) < 0) {
		decoded->cut = header;
		return;
	}
	bytes.total = length < bytes.len ? bytes.len : length;
	if (ethertype == ETH_P_ARP)
		decode_arp(decoded, bytes);
	else
		decode_ip(decoded, packet, ethertype, bytes);
	if (!decoded->family && !decoded->has_data_length) {
		decoded->has_data_length = true;
		decoded->data_length = length;
	}
}
