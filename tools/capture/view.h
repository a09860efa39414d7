/* SPDX-License-Identifier: MIT */
/* Packets to records of a capture, and back. */
#ifndef MNFQ_TOOLS_CAPTURE_VIEW_H
#define MNFQ_TOOLS_CAPTURE_VIEW_H

#include "capture/record.h"
#include "print/print.h"

/** Of record_of(), what frame_head() and frame_link_type() need. */
void record_frame_of(struct record *record, const struct mnfq_packet *packet);

/** What a capture is to have of a packet, as it arrived. It points into the packet, and to nothing of @line. */
void record_of(struct record *record, const struct line *line);

/** The interface of a record of record_of(), with the namespace of @line. */
void record_interface_of(struct record_interface *interface, const struct record *record,
			 const struct line *line);

/** A packet like that of the record. Returns 0 or a negative errno, as mnfq_packet_from_memory(). */
int record_packet(struct mnfq_packet **ret, const struct record *record);

/** Its line, without a verdict. It points to the interface of the record. */
struct line record_line(const struct record *record, const struct mnfq_packet *packet);

#endif
