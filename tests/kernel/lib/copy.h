/* SPDX-License-Identifier: MIT */
/* A copy of the library, as its functions: copies.c has one of its own, and loads copy.c. */
#ifndef TEST_COPY_H
#define TEST_COPY_H

#include <mnfq/mnfq.h>

struct copy {
	__typeof__(mnfq_socket_open_netns) *open_netns;
	__typeof__(mnfq_socket_get_error) *get_error;
	__typeof__(mnfq_socket_dispatch) *dispatch;
	__typeof__(mnfq_socket_close) *close;
	__typeof__(mnfq_queue_bind) *bind;
	__typeof__(mnfq_packet_get_payload) *get_payload;
	__typeof__(mnfq_packet_set_mark) *set_mark;
	__typeof__(mnfq_packet_retain) *retain;
	__typeof__(mnfq_packet_decide) *decide;
	__typeof__(mnfq_packet_free) *free;
};

/* The functions of the copy that this file is linked with. */
static inline struct copy copy_functions(void)
{
	return (struct copy){
		.open_netns = mnfq_socket_open_netns,
		.get_error = mnfq_socket_get_error,
		.dispatch = mnfq_socket_dispatch,
		.close = mnfq_socket_close,
		.bind = mnfq_queue_bind,
		.get_payload = mnfq_packet_get_payload,
		.set_mark = mnfq_packet_set_mark,
		.retain = mnfq_packet_retain,
		.decide = mnfq_packet_decide,
		.free = mnfq_packet_free,
	};
}

/* What copy.c exports. */
struct copy copy_get(void);

#endif
