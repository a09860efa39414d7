/* SPDX-License-Identifier: MIT */
/* Whether output is coloured. */
#ifndef MNFQ_TOOLS_COLOR_H
#define MNFQ_TOOLS_COLOR_H

#include <stdbool.h>

enum color_when {
	COLOR_AUTO, /* on a terminal, unless NO_COLOR is set or the terminal is dumb */
	COLOR_ALWAYS,
	COLOR_NEVER,
};

#define COLOR_WORDS    "auto always never"
#define COLOR_EXPECTED "auto, always or never"

/** Parse one of COLOR_WORDS. Returns 0 or -EINVAL. */
int color_parse(const char *text, enum color_when *when);

bool color_is_wanted(enum color_when when, int fd);

#endif
