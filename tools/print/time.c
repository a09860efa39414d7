/* SPDX-License-Identifier: MIT */
/* The time in front of a line, in the styles of tcpdump. */
#include "print/time.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

/* Times of several queues are not in order, so the difference may be negative. */
static void format_difference(char out[TIME_SIZE], int64_t usec)
{
	const bool negative = usec < 0;
	const int64_t seconds = (negative ? -usec : usec) / 1000000;
	const int rest = (int)((negative ? -usec : usec) % 1000000);

	snprintf(out, TIME_SIZE, "%c%02" PRId64 ":%02d:%02d.%06d", negative ? '-' : ' ',
		 seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60), rest);
}

static void format_local(char out[TIME_SIZE], bool date, int64_t usec)
{
	const time_t seconds = (time_t)(usec / 1000000);
	struct tm tm = { 0 };
	int len = 0;

	localtime_r(&seconds, &tm);
	if (date)
		len = snprintf(out, TIME_SIZE, "%04d-%02d-%02d ", tm.tm_year + 1900,
			       tm.tm_mon + 1, tm.tm_mday);
	snprintf(out + len, TIME_SIZE - (size_t)len, "%02d:%02d:%02d.%06d", tm.tm_hour, tm.tm_min,
		 tm.tm_sec, (int)(usec % 1000000));
}

const char *format_time(char out[TIME_SIZE], enum time_style style,
			struct time_reference *reference, int64_t usec)
{
	const int64_t since = reference->usec ? reference->usec : usec;

	if (!reference->usec || style == TIME_SINCE_PREVIOUS)
		reference->usec = usec;
	out[0] = '\0';
	if (style == TIME_EPOCH)
		snprintf(out, TIME_SIZE, "%" PRId64 ".%06d", usec / 1000000,
			 (int)(usec % 1000000));
	else if (style == TIME_SINCE_PREVIOUS || style == TIME_SINCE_FIRST)
		format_difference(out, usec - since);
	else if (style != TIME_NONE)
		format_local(out, style == TIME_DATE, usec);
	return out;
}
