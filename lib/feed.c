// SPDX-License-Identifier: MIT
/* Datagrams that the caller received by himself. */
#include <errno.h>

#include "backlog.h"
#include "packet.h"
#include "receive.h"
#include "refs.h"
#include "ring.h"
#include "round.h"
#include "walk.h"
#include "wire.h"

/*
 * May a datagram be handled although there is a backlog? That came later if the caller received
 * several datagrams at once, and the callback of the first made a request that read on. Only what
 * is in the backlog for the same queue matters for the order.
 */
static bool precedes_backlog(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;
	struct mnfq_packet packet;
	uint32_t first;

	if (!sock->backlog)
		return true;
	if (len < NLMSG_HDRLEN || nlh->nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_PACKET))
		return false;
	(void)mnfq_i_packet_parse(&packet, data, len);
	return mnfq_i_packet_has_id(&packet) &&
	       (!mnfq_i_backlog_find(sock, mnfq_packet_get_queue_num(&packet), &first) ||
		mnfq_i_after(first, packet.id));
}

/* Handles a datagram of the kernel's in its turn; returns 0 or -ENOMEM. */
static int take_turn(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	if (!precedes_backlog(sock, data, len)) {
		sock->walk.backlog = mnfq_i_batch(sock);
		mnfq_i_walk_all(sock);
		sock->walk.backlog = 0;
	}
	if (sock->closing)
		return 0;
	if (!precedes_backlog(sock, data, len)) /* behind the rest */
		return mnfq_i_backlog_add(sock, data, len);
	sock->walk.backlogged = false;
	sock->walk.data = data;
	sock->walk.len = len;
	sock->stats.malformed += len == 0;
	mnfq_i_walk_all(sock);
	return 0;
}

/* Begins a round, or goes on with one that gathers verdicts. */
static int begin_feed(struct mnfq_socket *sock)
{
	int err;

	if (!sock->walk.pulled && mnfq_i_round_resume(sock)) {
		sock->walk.handled = 0;
		sock->round++; /* queues may have been bound meanwhile */
		return 0;
	}
	err = mnfq_i_receive_close(sock);
	return err < 0 ? err : mnfq_i_receive_none(sock);
}

static int feed(struct mnfq_socket *sock, const void *datagram, size_t len,
		const struct sockaddr *from, socklen_t from_len)
{
	int ended, err = mnfq_i_round_check(sock);

	if (err < 0)
		return err;
	err = begin_feed(sock);
	if (err < 0)
		return err;
	/* Copied, because the alignment is unknown; cut as a receive would cut it. */
	len = len < MNFQ_I_SLOT_SIZE ? len : MNFQ_I_SLOT_SIZE;
	if (len > 0)
		memcpy(sock->ring->memory, datagram, len);
	if (mnfq_i_from_kernel(from, from_len))
		err = take_turn(sock, sock->ring->memory, len);
	else
		sock->stats.forged++;
	ended = sock->walk.handled;
	if (!sock->open || sock->closing)
		ended = mnfq_i_receive_end(sock);
	else
		mnfq_i_round_pause(sock);
	if (err < 0 && ended != -ECANCELED)
		return err;
	return ended == 0 && !sock->open ? mnfq_i_take_failure(sock) : ended;
}

int mnfq_socket_feed(struct mnfq_socket *sock, const void *datagram, size_t len,
		     const struct sockaddr *from, socklen_t from_len)
{
	int n;

	if (!sock || (!datagram && len > 0))
		return -EINVAL;
	n = mnfq_i_round_enter(sock);
	if (n < 0)
		return n;
	n = feed(sock, datagram, len, from, from_len);
	mnfq_i_round_leave(sock);
	return n;
}
