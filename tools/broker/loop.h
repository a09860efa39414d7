/* SPDX-License-Identifier: MIT */
/* The event loop of the broker: descriptors with what to call when they are ready, and times. */
#ifndef MNFQ_TOOLS_BROKER_LOOP_H
#define MNFQ_TOOLS_BROKER_LOOP_H

#include <stdbool.h>
#include <stdint.h>

/** Exit status of the broker. The keeper replaces one that has failed. */
enum broker_status {
	BROKER_DONE,
	BROKER_GAVE_UP, /* the server knows why */
	BROKER_FAILED,
};

/** A descriptor in the loop. */
struct event_source {
	void (*ready)(struct event_source *source, uint32_t events);
	void *owner; /* for ready() */
	int fd;
};

struct loop {
	int epoll;
	bool ended;
	enum broker_status status; /* once it has ended */
};

/** Returns 0 or a negative errno. */
int loop_init(struct loop *loop);

/** Watch a descriptor. Returns 0 or a negative errno. */
int loop_add(const struct loop *loop, struct event_source *source, uint32_t events);
void loop_change(const struct loop *loop, struct event_source *source, uint32_t events);

/** Before close(): a copy in another process would keep the descriptor in the loop. */
void loop_remove(const struct loop *loop, struct event_source *source);

/** Wait until a descriptor is ready, and call its ready(), or until the time @due; 0: never. */
void loop_wait(struct loop *loop, int64_t due);

/** End the loop. The first status counts. */
void loop_end(struct loop *loop, enum broker_status status);

/** The earlier of two times, of which 0 is never. */
int64_t earlier(int64_t a, int64_t b);

#endif
