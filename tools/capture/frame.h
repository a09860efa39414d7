/* SPDX-License-Identifier: MIT */
/* Frames of a link type in a capture, and the payload and headers that packets of queues have. No I/O. */
#ifndef MNFQ_TOOLS_CAPTURE_FRAME_H
#define MNFQ_TOOLS_CAPTURE_FRAME_H

#include "capture/record.h"

/** LINK_ETHERNET for packets with a link-layer header, or without IP; else LINK_RAW. */
uint32_t frame_link_type(const struct record *record);

/**
 * What is in front of the payload in a frame of frame_link_type(): nothing, or the link-layer header with the VLAN
 * tag in its place; if there is none, one with what is known. Returns its length.
 */
#define FRAME_HEAD_MAX (RECORD_L2HDR_MAX + 4u)
size_t frame_head(uint8_t head[FRAME_HEAD_MAX], const struct record *record);

/**
 * Take a frame apart: .payload, .length, .l2hdr, VLAN tag, .family and .hw_protocol of the record. Those of an Ethernet
 * are packets of the bridge family. Returns 0 or, if the link type is not supported, -EPROTONOSUPPORT.
 */
int frame_read(struct record *record, uint32_t link_type, const uint8_t *bytes, size_t caplen,
	       size_t length);

#endif
