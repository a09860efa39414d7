/* SPDX-License-Identifier: MIT */
/* Network namespaces as parts of a reading. */
#include "stat/places.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int places_add(struct reading *reading, struct place *place, int opened, uint16_t first,
	       uint16_t last, char error[PLACE_ERROR_SIZE])
{
	int err = opened;

	if (opened == 0) {
		err = reading_add(reading, place, first, last);
		if (err < 0)
			snprintf(error, PLACE_ERROR_SIZE, "cannot read the queues of %.200s: %s",
				 place->name, strerror(-err));
	}
	place_close(place);
	if (err < 0 && err != -ENOMEM)
		reading_fail(reading, error);
	return err == -ENOMEM ? err : 0;
}

/* Namespaces that have ended meanwhile are no failure. */
int places_add_all(struct reading *reading, struct netns_scan *scan, int home, uint16_t first,
		   uint16_t last)
{
	char error[PLACE_ERROR_SIZE] = "";
	int fd, opened, err = netns_scan_scan(scan);
	const uint64_t *inodes;
	struct place place;
	size_t count;

	if (err < 0) {
		snprintf(error, sizeof(error), "cannot look for namespaces: %s", strerror(-err));
		reading_fail(reading, error);
		return 0;
	}
	inodes = netns_scan_get(scan, &count);
	for (size_t i = 0; i < count && err == 0; i++) {
		fd = netns_scan_open(scan, inodes[i]);
		place = (struct place){ .queues = -1, .netlink = -1 };
		opened = fd;
		if (fd >= 0)
			opened = place_open_fd(&place, fd, home, error);
		else
			snprintf(error, sizeof(error), "cannot open net:[%llu]: %s",
				 (unsigned long long)inodes[i], strerror(-fd));
		if (fd >= 0)
			close(fd);
		if (opened != -ENOENT)
			err = places_add(reading, &place, opened, first, last, error);
	}
	return err;
}
