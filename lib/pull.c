// SPDX-License-Identifier: MIT
/*
 * Rounds that stay open between calls: of packets that are taken one by one, or of verdicts that leave
 * together.
 */
#include <errno.h>

#include "packet.h"
#include "receive.h"
#include "refs.h"
#include "ring.h"
#include "round.h"
#include "send.h"
#include "walk.h"

struct mnfq_packet *mnfq_socket_next_packet(struct mnfq_socket *sock)
{
	struct mnfq_packet *packet;

	if (!sock || !sock->walk.pulled || !mnfq_i_round_resume(sock))
		return NULL;
	packet = mnfq_i_walk_call(sock);
	mnfq_i_round_pause(sock);
	return packet;
}

static int begin_open(struct mnfq_socket *sock)
{
	int err = mnfq_i_receive_none(sock);

	if (err == 0)
		mnfq_i_round_pause(sock);
	return err;
}

int mnfq_socket_cork(struct mnfq_socket *sock)
{
	int err;

	if (!sock)
		return -EINVAL;
	if (sock->open && !sock->in_callback)
		return 0;
	err = mnfq_i_round_enter(sock);
	if (err < 0)
		return err;
	err = begin_open(sock);
	mnfq_i_round_leave(sock);
	return err;
}

/* Is nothing left of a round that is open, or nothing to be done with it? */
static bool is_done(const struct mnfq_socket *sock)
{
	const struct mnfq_packet *packet = sock->ring->packets,
				 *end = packet + sock->walk.packets;

	for (; packet < end; packet++)
		if (packet->in_hand)
			return false;
	return sock->closing || mnfq_i_nothing_left(sock);
}

/* Ends a round of which nothing is left; @err: what its verdicts met with. */
static int end_open(struct mnfq_socket *sock, int err)
{
	const bool pulled = sock->walk.pulled;
	int ended = mnfq_i_round_enter(sock); /* no other thread unbinds before it is over */

	if (ended < 0) {
		mnfq_i_round_pause(sock);
		return ended;
	}
	ended = mnfq_i_receive_end(sock);
	if (pulled && ended > 0)
		sock->flushed = (unsigned int)ended;
	mnfq_i_round_leave(sock);
	if (ended == -ECANCELED)
		return ended;
	return err < 0 || ended > 0 ? err : ended;
}

int mnfq_socket_flush(struct mnfq_socket *sock)
{
	bool resumed, entered;
	int err;

	if (!sock)
		return -EINVAL;
	resumed = mnfq_i_round_resume(sock);
	if (!mnfq_i_in_round(sock))
		return 0;
	entered = !resumed && mnfq_i_enter(sock);
	err = mnfq_i_flush(sock);
	if (err < 0)
		err = mnfq_i_report_unsent(sock, err);
	if (resumed && is_done(sock))
		return end_open(sock, err);
	if (resumed)
		mnfq_i_round_pause(sock);
	mnfq_i_leave(sock, entered);
	return err;
}
