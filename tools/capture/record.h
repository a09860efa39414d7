/* SPDX-License-Identifier: MIT */
/* What a capture has of a packet: its bytes, and what the kernel and we knew of it. */
#ifndef MNFQ_TOOLS_CAPTURE_RECORD_H
#define MNFQ_TOOLS_CAPTURE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#define RECORD_HOOK_UNKNOWN 255u
#define RECORD_SECCTX_MAX   512u
#define RECORD_L2HDR_MAX    64u

/** Of the link types, what we write: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcaplinktype-00.html */
enum link_type { LINK_ETHERNET = 1, LINK_RAW = 101 };

/** The interface of a packet in a capture. */
struct record_interface {
	char name[16];               /* "": none */
	char netns[256];             /* "": unknown */
	char label[MNFQ_LABEL_SIZE]; /* "": none */
	uint32_t link_type;
};

struct record {
	/** Without .timestamp; interfaces are 1 if there is a name, and so on: see record_packet(). */
	struct mnfq_packet_info info;
	bool has_queue,
		has_id; /* captures of other programs have none; then the id is the packet's number */
	uint8_t l2hdr[RECORD_L2HDR_MAX];
	size_t l2hdr_len;   /* 0: none */
	bool made_up_l2hdr; /* there was none, and the link type needs one */
	char secctx[RECORD_SECCTX_MAX];
	size_t secctx_len;
	uint32_t ct_mark, ct_id;
	uint16_t ct_zone;

	int64_t time;     /* microseconds since 1970 */
	bool kernel_time; /* else it is not when the packet was received */
	char indev[16], outdev[16], physindev[16], physoutdev[16];
	bool has_verdict;
	enum mnfq_verdict verdict;
	bool has_verdict_mark; /* the packet went on with it */
	uint32_t verdict_mark;
	bool outbound, inbound;
	uint32_t dropped; /* packets of its interface that are missing in front of it */

	const struct record_interface *interface;
};

#endif
