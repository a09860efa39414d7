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

int mnfq_socket_cork(struct mnfq_socket *sock)
{
	int err;

	if (!sock)
		return -EINVAL;
	if (sock->open && !sock->in_callback)
		return 0;
	err = mnfq_i_round_take(sock);
	if (err < 0)
		return err;
	mnfq_i_round_begin(sock, false, false);
	sock->walk.backlog = 0;
	sock->round_begin = 0;
	mnfq_i_round_pause(sock);
	return 0;
}

/* Is nothing left of a round that is open? */
static bool is_done(const struct mnfq_socket *sock)
{
	const struct mnfq_packet *packet = sock->ring->packets,
				 *end = packet + sock->walk.packets;

	for (; packet < end; packet++)
		if (packet->in_hand)
			return false;
	return sock->walk.len == 0 && sock->ring_at == sock->ring_count &&
	       (sock->walk.backlog == 0 || !sock->backlog);
}

int mnfq_socket_flush(struct mnfq_socket *sock)
{
	bool entered;
	int err;

	if (!sock)
		return -EINVAL;
	if (mnfq_i_take_over(sock) && is_done(sock)) {
		(void)mnfq_i_round_resume(sock);
		err = mnfq_i_receive_end(sock);
		return err < 0 ? err : 0;
	}
	if (!mnfq_i_in_round(sock))
		return 0;
	entered = mnfq_i_enter(sock);
	err = mnfq_i_flush(sock);
	if (err < 0)
		err = mnfq_i_report_unsent(sock, err);
	mnfq_i_leave(sock, entered);
	return err;
}
