/* SPDX-License-Identifier: MIT */
/* The terminal as a screen that is drawn anew, and as it was afterwards. */
#ifndef MNFQ_TOOLS_STAT_SCREEN_H
#define MNFQ_TOOLS_STAT_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct screen {
	bool open;
	bool keys; /* stdin is a terminal, too, and gives keys at once */
	struct termios before;
};

void screen_open(struct screen *screen);
void screen_close(struct screen *screen);

/** Its size, 24 lines of 80 columns if it is not known. */
void screen_get_size(unsigned int *lines, unsigned int *columns);

/** Write all to stdout. Returns 0 or a negative errno. */
int screen_write(const char *text, size_t len);

#endif
