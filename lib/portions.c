// SPDX-License-Identifier: MIT
/*
 * The default verdict for what waits in a queue. An accepted packet goes on with its path within our
 * sendmsg, and how long that takes depends on the rules of the namespace; so packets are
 * decided in portions, as large as what they take allows, until the deadline of the call.
 */
#include "portions.h"

#include "clock.h"
#include "refs.h"
#include "request.h"
#include "ring.h"
#include "send.h"
#include "wire.h"

#define PORTION_NS 10000000 /* how long one should take at most */

/* Up to id @to, but no more packets than a portion has. Returns whether there was time for it. */
bool mnfq_i_portions_next(struct mnfq_i_portions *portions, uint32_t to)
{
	struct mnfq_socket *sock = portions->queue->sock;
	const int64_t begin = mnfq_i_now_ns();

	if (portions->gaps && mnfq_i_after(to, portions->from + portions->size))
		to = portions->from + portions->size;
	if (mnfq_i_now_ms() >= sock->deadline ||
	    mnfq_i_release_now(portions->queue, to, true) < 0)
		return false;
	portions->from = to;
	portions->size = mnfq_i_next_batch(portions->size, portions->size, MNFQ_I_PORTION_MAX,
					   mnfq_i_now_ns() - begin, PORTION_NS);
	return true;
}

/*
 * All up to @to. Returns whether there was time for it. A portion in which nothing waits is answered:
 * the answers must not fill the receive buffer.
 */
bool mnfq_i_portions_up_to(struct mnfq_i_portions *portions, uint32_t to)
{
	unsigned int n;

	for (n = 1; mnfq_i_after(to, portions->from); n++) {
		if (!mnfq_i_portions_next(portions, to))
			return false;
		if (n % MNFQ_I_PORTION_MAX == 0)
			mnfq_i_request_read(portions->queue->sock);
	}
	return true;
}
