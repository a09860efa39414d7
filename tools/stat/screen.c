/* SPDX-License-Identifier: MIT */
/* The terminal as a screen that is drawn anew, and as it was afterwards. */
#include "stat/screen.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The alternate screen, without a cursor, and without breaking long lines (xterm's sequences). */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

int screen_write(const char *text, size_t len)
{
	ssize_t n;

	for (; len > 0; text += n, len -= (size_t)n) {
		n = write(STDOUT_FILENO, text, len);
		if (n < 0 && errno != EINTR)
			return -errno;
		n = n < 0 ? 0 : n;
	}
	return 0;
}

void screen_open(struct screen *screen)
{
	struct termios keys;

	screen->keys = tcgetattr(STDIN_FILENO, &screen->before) == 0;
	if (screen->keys) {
		keys = screen->before;
		keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		keys.c_cc[VMIN] = 1;
		keys.c_cc[VTIME] = 0;
		tcsetattr(STDIN_FILENO, TCSANOW, &keys);
	}
	screen->open = true;
	(void)screen_write(ENTER, strlen(ENTER));
}

void screen_close(struct screen *screen)
{
	if (!screen->open)
		return;
	if (screen->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &screen->before);
	(void)screen_write(LEAVE, strlen(LEAVE));
	screen->open = false;
}

void screen_get_size(unsigned int *lines, unsigned int *columns)
{
	struct winsize size = { 0 };

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	*lines = size.ws_row ? size.ws_row : 24;
	*columns = size.ws_col ? size.ws_col : 80;
}
