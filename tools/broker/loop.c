/* SPDX-License-Identifier: MIT */
/* The event loop of the broker. */
#include "broker/loop.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>

#include "common/sys.h"

#define WAIT_MAX_MS 60000

int loop_init(struct loop *loop)
{
	*loop = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	return loop->epoll < 0 ? -errno : 0;
}

int loop_add(const struct loop *loop, struct event_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

void loop_change(const struct loop *loop, struct event_source *source, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	(void)epoll_ctl(loop->epoll, EPOLL_CTL_MOD, source->fd, &event);
}

void loop_remove(const struct loop *loop, struct event_source *source)
{
	(void)epoll_ctl(loop->epoll, EPOLL_CTL_DEL, source->fd, NULL);
}

static int timeout(int64_t due)
{
	int64_t left = due - clock_ms();

	if (due == 0)
		return -1;
	return left <= 0 ? 0 : left > WAIT_MAX_MS ? WAIT_MAX_MS : (int)left;
}

/* One event at a time: handling it may free the source of another one. The kernel returns them in turn. */
void loop_wait(struct loop *loop, int64_t due)
{
	struct epoll_event event;
	int n = epoll_wait(loop->epoll, &event, 1, timeout(due));

	if (n == 1) {
		struct event_source *source = event.data.ptr;

		source->ready(source, event.events);
	} else if (n < 0 && errno != EINTR) {
		loop_end(loop, BROKER_FAILED);
	}
}

void loop_end(struct loop *loop, enum broker_status status)
{
	if (!loop->ended)
		loop->status = status;
	loop->ended = true;
}

int64_t earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}
