/* SPDX-License-Identifier: MIT */
/* Decoding the bytes of a packet: addresses, ports, what its protocol says. No I/O. */
#ifndef MNFQ_TOOLS_PRINT_DECODE_H
#define MNFQ_TOOLS_PRINT_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

/** The result of decode_packet(); zero, false, "" or NULL: absent. */
struct decoded {
	char protocol[24]; /* lower-case name of the innermost protocol that could be named */
	char link[24];     /* what a line begins with: IP, IP6, ARP; or the EtherType */

	int family; /* AF_INET or AF_INET6 if there are addresses, else 0 */
	uint8_t src[16];
	uint8_t dst[16];

	bool has_ip;      /* of the IP header: */
	bool unusable_ip; /* only the addresses may be right */
	bool dont_fragment;
	uint8_t tos;
	uint8_t ttl;
	uint8_t ip_protocol; /* as in the header: that of an extension header, perhaps */
	uint32_t ip_id;      /* of IPv4 */
	uint32_t flow_label; /* of IPv6 */
	size_t ip_length;    /* from the IP header on; of IPv6 from its end on */
	char headers[128];   /* those of extensions, as tcpdump -v writes them: "HBH " */

	bool fragment; /* a part of a datagram */
	bool more_fragments;
	uint32_t fragment_offset; /* in bytes */
	uint32_t fragment_id;
	size_t fragment_size; /* bytes of the datagram in it */

	bool has_arp; /* the hardware addresses are of 6 bytes */
	const uint8_t *sender, *target;

	bool has_ports;
	uint16_t sport;
	uint16_t dport;

	bool has_tcp_flags;
	bool has_tcp; /* what follows, too */
	uint8_t tcp_flags;
	uint16_t window, urgent;
	uint32_t seq, ack;
	bool has_tcp_options;
	bool plain_options;    /* no-operations and timestamps alone */
	char tcp_options[256]; /* "mss 1460,sackOK" */

	bool has_type; /* type and code of ICMP and ICMPv6 */
	uint8_t type;
	uint8_t code;
	bool has_echo;
	uint16_t echo_id, echo_seq;
	const char *title; /* what tcpdump calls the protocol; NULL: its name */
	char message[160]; /* what an ICMP message says; of ARP: request, reply; chunks of SCTP */

	bool has_data_length;
	size_t data_length; /* of TCP and UDP: their data; of ICMP and ESP: with the header */

	const char
		*problem; /* why decoding ended early: "cut short", "malformed", "bad … length" */
	const char *cut; /* the header that is cut short: "tcp" */
	char bad_ip[64]; /* the problem with figures: of the IP header … */
	char bad[64];    /* … or behind it */
};

/**
 * Decode the payload of a packet: any bytes, truncated anywhere. Without any, only the protocol is known. The
 * result points into the packet.
 */
void decode_packet(struct decoded *decoded, const struct mnfq_packet *packet);

/** The set flags as tcpdump writes them: "S" for SYN, "." for ACK, …, "none". */
void decode_tcp_flags(uint8_t flags, char text[9]);

#endif
