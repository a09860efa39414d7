/* SPDX-License-Identifier: MIT */
/* Reading a capture: pcapng, or a pcap file, of both byte orders, of whatever program. Any bytes. */
#ifndef MNFQ_TOOLS_CAPTURE_READER_H
#define MNFQ_TOOLS_CAPTURE_READER_H

#include <signal.h>
#include <stdio.h>

#include "capture/record.h"

struct capture_reader;

/** Returns NULL without memory. The file is read from where it is, and stays the caller's. */
struct capture_reader *capture_reader_new(FILE *file);

/** Once *@stop is set, as by a signal handler, capture_read() returns 0, however many blocks there are without packets. */
void capture_reader_stop_on(struct capture_reader *reader, const volatile sig_atomic_t *stop);

/**
 * The next packet: 1, and *@record points into the reader until the next call; 0 at the end; or a negative
 * errno, after which there is no other packet.
 */
int capture_read(struct capture_reader *reader, struct record *record);

/** Why reading has failed, and where. */
const char *capture_reader_error(const struct capture_reader *reader);

/** Packets that were left out, since their link type is not supported; the first of them had *@link_type. */
uint64_t capture_reader_skipped(const struct capture_reader *reader, uint32_t *link_type);

void capture_reader_free(struct capture_reader *reader);

#endif
