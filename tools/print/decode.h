/* SPDX-License-Identifier: MIT */
/* Decoding the bytes of a packet: protocol, addresses, ports. No I/O. */
#ifndef MNFQ_TOOLS_PRINT_DECODE_H
#define MNFQ_TOOLS_PRINT_DECODE_H

#include <stdbool.h>
#include <stdint.h>

#include <mnfq/mnfq.h>

/** The result of decode_packet(); zero, false or NULL: absent. */
struct decoded {
	char protocol[24]; /* lower-case name of the innermost protocol that could be named */

	int family; /* AF_INET or AF_INET6 if there are addresses, else 0 */
	uint8_t src[16];
	uint8_t dst[16];

	bool has_ports;
	uint16_t sport;
	uint16_t dport;

	bool has_tcp_flags;
	uint8_t tcp_flags;

	bool has_type; /* type and code of ICMP and ICMPv6 */
	uint8_t type;
	uint8_t code;
	const char *kind; /* the type in words; of ARP: request, reply */

	bool fragment; /* a part of a datagram */
	bool more_fragments;
	uint32_t fragment_offset; /* in bytes */
	uint32_t fragment_id;

	const char *problem; /* why decoding ended early: "cut short", "bad … length" */
};

/** Decode the payload of a packet: any bytes, truncated anywhere. Without any, only the protocol is known. */
void decode_packet(struct decoded *decoded, const struct mnfq_packet *packet);

/** The set flags as tcpdump writes them: "S" for SYN, "." for ACK, …, "none". */
void decode_tcp_flags(uint8_t flags, char text[9]);

#endif
