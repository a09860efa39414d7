/* SPDX-License-Identifier: MIT */
/* Whether output is coloured. */
#include "common/color.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int color_parse(const char *text, enum color_when *when)
{
	static const char *const words[] = {
		[COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0) {
			*when = (enum color_when)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool color_is_wanted(enum color_when when, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (when != COLOR_AUTO)
		return when == COLOR_ALWAYS;
	/* As no-color.org has it: set, and not empty. */
	return isatty(fd) && !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}
