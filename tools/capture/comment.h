/* SPDX-License-Identifier: MIT */
/*
 * What pcapng has no option for, as a comment: "mnfq hook=input mark=0x1 …". Those of a packet have what was known
 * of it, those of an interface where it is.
 */
#ifndef MNFQ_TOOLS_CAPTURE_COMMENT_H
#define MNFQ_TOOLS_CAPTURE_COMMENT_H

#include <stddef.h>

#include "capture/record.h"

#define COMMENT_SIZE 4096

/** Printable ASCII, terminated. Return the length. */
size_t comment_write(char out[COMMENT_SIZE], const struct record *record);
size_t comment_write_interface(char out[COMMENT_SIZE], const struct record_interface *interface);

/** Any bytes: what is not understood is ignored. */
void comment_read(struct record *record, const char *text, size_t len);
void comment_read_interface(struct record_interface *interface, const char *text, size_t len);

#endif
