/* SPDX-License-Identifier: MIT */
/* The time in front of a line, in the styles of tcpdump. */
#ifndef MNFQ_TOOLS_PRINT_TIME_H
#define MNFQ_TOOLS_PRINT_TIME_H

#include <stdint.h>

/** Each is one more -t. */
enum time_style {
	TIME_OF_DAY,
	TIME_NONE,
	TIME_EPOCH,          /* seconds since 1970 */
	TIME_SINCE_PREVIOUS, /* line */
	TIME_DATE,
	TIME_SINCE_FIRST,
	TIME_STYLES
};

/** Of the lines before; begins as zeros. */
struct time_reference {
	int64_t usec; /* 0: there is none */
};

/** Local time, of microseconds since 1970, with the space behind it. Returns @out. */
#define TIME_SIZE 48
const char *format_time(char out[TIME_SIZE], enum time_style style,
			struct time_reference *reference, int64_t usec);

#endif
