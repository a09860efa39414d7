// SPDX-License-Identifier: MIT
/*
 * Requests to the kernel and their acknowledgements (NFQNL_MSG_CONFIG). The kernel handles a
 * request before sendmsg returns, so its answer is in the receive buffer by then, behind the
 * packets and refused verdicts that came earlier; those are put into the backlog for the next round. If the
 * end of the buffer is reached without an answer, the answer was lost, because the buffer was
 * full or because another process took it, and the request is repeated.
 */
#include "request.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "backlog.h"
#include "clock.h"
#include "packet.h"
#include "refs.h"
#include "refused.h"
#include "release.h"
#include "send.h"
#include "unanswered.h"
#include "verdict.h"
#include "wake.h"
#include "wire.h"

#define REQUEST_MAX 256 /* bytes; the longest, a BIND with all settings, has less than 100 */

static uint8_t kernel_copy_mode(enum mnfq_copy mode)
{
	switch (mode) {
	case MNFQ_COPY_META:
		return NFQNL_COPY_META;
	case MNFQ_COPY_NONE:
		return NFQNL_COPY_NONE;
	default:
		return NFQNL_COPY_PACKET;
	}
}

static struct nlmsghdr *build(void *buf, uint16_t num, uint32_t seq, uint16_t flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = MNFQ_I_MSG(NFQNL_MSG_CONFIG);
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = AF_UNSPEC;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(num);
	return nlh;
}

static void put_command(struct nlmsghdr *nlh, uint8_t command)
{
	struct nfqnl_msg_config_cmd cmd = { .command = command, .pf = htons(AF_UNSPEC) };

	if (command == MNFQ_I_CMD_CTNETLINK)
		nlh->nlmsg_type = MNFQ_I_CT_GET_STATS;
	else if (command != NFQNL_CFG_CMD_NONE)
		mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(cmd), &cmd);
}

static void put_settings(struct nlmsghdr *nlh, const struct mnfq_i_settings *settings)
{
	struct nfqnl_msg_config_params params = { .copy_range = htonl(settings->copy_range) };

	params.copy_mode = kernel_copy_mode(settings->copy_mode);
	if (settings->copy_mode != MNFQ_COPY_DEFAULT)
		mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(settings->flags));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(settings->mask));
	if (settings->max_len > 0)
		mnl_attr_put_u32(
			nlh, NFQA_CFG_QUEUE_MAXLEN,
			settings->max_len == MNFQ_MAX_LEN_ZERO ? 0 : htonl(settings->max_len));
}

/*
 * The end of a queue, in two messages that are sent together. With a length of 0 no packet more is
 * queued, so that all that waits has its message in the receive buffer, ahead of the answer.
 */
static size_t build_end(uint8_t *buf, uint16_t num, uint32_t seq, uint16_t flags)
{
	/* If the right is missing the first message is answered, and no other. */
	struct nlmsghdr *nlh = build(buf, num, seq, 0);
	size_t len;

	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, 0);
	len = nlh->nlmsg_len;
	nlh = build(buf + len, num, seq, flags);
	put_command(nlh, NFQNL_CFG_CMD_UNBIND);
	return len + nlh->nlmsg_len;
}

/* A request with its settings, if there are any. Returns its length. */
static size_t build_request(uint8_t *buf, uint16_t num, uint8_t command, uint32_t seq,
			    uint16_t flags, const struct mnfq_i_settings *settings)
{
	struct nlmsghdr *nlh;

	memset(buf, 0, REQUEST_MAX);
	if (command == NFQNL_CFG_CMD_UNBIND)
		return build_end(buf, num, seq, flags);
	nlh = build(buf, num, seq, flags);
	put_command(nlh, command);
	if (settings)
		put_settings(nlh, settings);
	return nlh->nlmsg_len;
}

/* Sends a request without waiting for the answer. */
int mnfq_i_request_send(struct mnfq_socket *sock, uint16_t num, uint8_t command,
			const struct mnfq_i_settings *settings)
{
	uint8_t buf[REQUEST_MAX] __attribute__((aligned(4)));
	size_t len = build_request(buf, num, command, 0, 0, settings);

	return mnfq_i_send_request(sock, &(struct iovec){ buf, len }, sock->ask_opener);
}

/* From here on the kernel drops what reaches the queue. */
void mnfq_i_request_stop_queueing(struct mnfq_queue *queue)
{
	uint8_t buf[REQUEST_MAX] __attribute__((aligned(4))) = { 0 };
	struct nlmsghdr *nlh = build(buf, queue->num, 0, 0);

	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, 0);
	(void)mnfq_i_send_request(queue->sock, &(struct iovec){ buf, nlh->nlmsg_len },
				  queue->sock->ask_opener);
}

/*
 * What is known but not reported yet does not make the descriptor readable for an event
 * loop. The answer to a command that does nothing (PF_BIND, since Linux 3.8) does.
 */
void mnfq_i_request_self_wake(struct mnfq_socket *sock)
{
	uint8_t buf[REQUEST_MAX] __attribute__((aligned(4)));
	size_t len = build_request(buf, 0, NFQNL_CFG_CMD_PF_BIND, 0, NLM_F_ACK, NULL);

	(void)mnfq_i_send_once(sock, &(struct iovec){ buf, len }, 1);
}

/* The same, if there is something for the next call of dispatch. */
void mnfq_i_request_remind(struct mnfq_socket *sock)
{
	if (sock->backlog || mnfq_i_has_failed(sock) || mnfq_i_release_left(sock) == 0)
		mnfq_i_request_self_wake(sock);
}

/* Takes NLMSG_ERROR if it answers a request of ours, which may be one without a waiting caller. */
bool mnfq_i_request_answer(struct mnfq_socket *sock, const uint8_t *msg, size_t len)
{
	struct nlmsgerr answer;

	if (len < NLMSG_HDRLEN + sizeof(answer))
		return false;
	memcpy(&answer, msg + NLMSG_HDRLEN, sizeof(answer));
	if (answer.msg.nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_CONFIG) &&
	    answer.msg.nlmsg_type != MNFQ_I_CT_GET_STATS)
		return false;
	if (sock->pending.seq != 0 && answer.msg.nlmsg_seq == sock->pending.seq) {
		sock->pending.answered = true;
		sock->pending.error = answer.error;
	}
	return true;
}

static bool is_answer(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;

	return nlh->nlmsg_type == NLMSG_ERROR &&
	       mnfq_i_request_answer(sock, data, nlh->nlmsg_len < len ? nlh->nlmsg_len : len);
}

/* A view of an entry, if it is a packet of queue @num. */
static bool is_of_queue(const struct mnfq_i_backlog *entry, uint16_t num,
			struct mnfq_packet *packet)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)entry->data;

	if (nlh->nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_PACKET))
		return false;
	(void)mnfq_i_packet_parse(packet, entry->data, entry->len);
	return mnfq_i_packet_has_id(packet) && mnfq_packet_get_queue_num(packet) == num;
}

/* Does a release that there was nothing for say so, to a queue for which that is no news? */
static bool is_void(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)data;
	const struct mnfq_queue *queue;
	struct nlmsgerr answer;

	if (nlh->nlmsg_type != NLMSG_ERROR || len < NLMSG_HDRLEN + sizeof(answer))
		return false;
	memcpy(&answer, data + NLMSG_HDRLEN, sizeof(answer));
	if (answer.error != -ENOENT || !mnfq_i_is_verdict(answer.msg.nlmsg_type) ||
	    (answer.msg.nlmsg_pid & ~0xffffu) != (sock->tag | MNFQ_I_TAG_RELEASE))
		return false;
	queue = mnfq_i_queue_find(sock, (uint16_t)answer.msg.nlmsg_pid);
	return !queue || atomic_load(&queue->retry_ms) == 0;
}

/*
 * Takes an answer, ignores what is nothing for us, and keeps the rest for the next round:
 * packets, and refused verdicts, because they may be reported to the user, who may do anything then.
 */
static void sort(struct mnfq_socket *sock, struct mnfq_i_backlog **entry, size_t len)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(*entry)->data;
	struct mnfq_i_backlog *smaller;
	struct mnfq_packet packet;

	if (len < NLMSG_HDRLEN || nlh->nlmsg_len < NLMSG_HDRLEN) {
		sock->stats.malformed++;
		return;
	}
	if (is_answer(sock, (*entry)->data, len) || is_void(sock, (*entry)->data, len) ||
	    (nlh->nlmsg_type != NLMSG_ERROR && nlh->nlmsg_type != MNFQ_I_MSG(NFQNL_MSG_PACKET)))
		return;
	(*entry)->len = len;
	if (sock->ending && is_of_queue(*entry, sock->ending->num, &packet)) {
		if (sock->ids_count < sock->ids_max)
			sock->ids[sock->ids_count++] = packet.id;
		else
			mnfq_i_queue_count_unread(sock->ending, MNFQ_DROP, 1);
		return;
	}
	smaller = realloc(*entry, sizeof(**entry) + len);
	*entry = smaller ? smaller : *entry;
	if (mnfq_i_backlog_append(sock, *entry) < 0) {
		sock->overran = true; /* as if the kernel had had no room for it */
		free(*entry);
	}
	*entry = NULL;
}

/*
 * Reads up to the answer or the end of the buffer; the deadline is for a flood of forged
 * messages, which has no end. The answer was there when the request had been sent, so that it is
 * read however long sending took.
 */
static int read_answer(struct mnfq_socket *sock)
{
	struct mnfq_i_backlog *entry = NULL;
	int err = 0;

	do {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { .iov_len = MNFQ_I_SLOT_SIZE };
		struct msghdr msg = { .msg_name = &from,
				      .msg_namelen = sizeof(from),
				      .msg_iov = &iov,
				      .msg_iovlen = 1 };
		ssize_t len;

		if (!entry)
			entry = malloc(sizeof(*entry) + MNFQ_I_SLOT_SIZE);
		if (!entry)
			return -ENOMEM;
		iov.iov_base = entry->data;
		len = recvmsg(sock->fd, &msg, MSG_DONTWAIT);
		if (len >= 0)
			mnfq_i_unanswered_passed(sock, 1, (size_t)len);
		if (len >= 0 && mnfq_i_from_kernel(&from, msg.msg_namelen))
			sort(sock, &entry, (size_t)len);
		else if (len >= 0)
			sock->stats.forged++;
		if (len >= 0 || errno == EINTR || errno == ENOBUFS)
			continue;
		err = errno == EAGAIN ? 0 : -errno;
		break;
	} while (!sock->pending.answered && mnfq_i_now_ms() <= sock->deadline &&
		 (sock->ids_max == 0 || sock->ids_count < sock->ids_max));
	free(entry);
	return err;
}

/* Reads what is there into the backlog, so that there is room in the receive buffer. */
void mnfq_i_request_read(struct mnfq_socket *sock)
{
	sock->pending = (struct mnfq_i_pending){ 0 };
	(void)read_answer(sock);
	mnfq_i_request_remind(sock);
}

/* Takes unread packets, from the backlog first, and returns their ids. */
unsigned int mnfq_i_request_gather(struct mnfq_queue *queue, uint32_t *ids, unsigned int max)
{
	struct mnfq_socket *sock = queue->sock;
	unsigned int count = mnfq_i_backlog_take(sock, queue->num, ids, max);

	if (count == max)
		return count;
	sock->pending = (struct mnfq_i_pending){ 0 };
	sock->ending = queue;
	sock->ids = ids;
	sock->ids_count = count;
	sock->ids_max = max;
	(void)read_answer(sock);
	count = sock->ids_count;
	sock->ids_count = sock->ids_max = 0;
	sock->ending = NULL;
	return count;
}

/* Sends one request with a sequence number of its own and looks for its answer. */
static int attempt(struct mnfq_socket *sock, uint16_t num, uint8_t command,
		   const struct mnfq_i_settings *settings)
{
	uint8_t buf[REQUEST_MAX] __attribute__((aligned(4)));
	size_t len;
	int err;

	sock->seq += sock->seq == UINT32_MAX ? 2 : 1; /* 0 stands for no request */
	len = build_request(buf, num, command, sock->seq, NLM_F_ACK, settings);
	sock->pending = (struct mnfq_i_pending){ .seq = sock->seq };
	err = mnfq_i_send_request(sock, &(struct iovec){ buf, len }, sock->ask_opener);
	if (err == 0)
		err = read_answer(sock);
	sock->pending.seq = 0;
	if (err < 0)
		return err;
	return sock->pending.answered ? sock->pending.error : -ETIMEDOUT;
}

/*
 * Asks the kernel something that changes nothing, and does not wait: reads what is there, for
 * @ms at most. Returns as mnfq_i_request().
 */
int mnfq_i_request_probe(struct mnfq_socket *sock, uint16_t num, uint8_t command, unsigned int ms)
{
	const int64_t deadline = sock->deadline;
	int err;

	sock->deadline = mnfq_i_now_ms() + ms;
	err = attempt(sock, num, command, NULL);
	sock->deadline = deadline;
	mnfq_i_request_remind(sock);
	return err;
}

/* All requests of one call share its deadline. */
void mnfq_i_request_start(struct mnfq_socket *sock)
{
	sock->deadline = mnfq_i_now_ms() + sock->timeout_ms;
}

/*
 * A command and settings for a queue, in one message. Returns what the kernel answered, or
 * -ETIMEDOUT. @repeated reports that an earlier attempt may have taken effect already, which makes
 * -EBUSY of a BIND and -ENODEV of an UNBIND mean success.
 */
int mnfq_i_request(struct mnfq_socket *sock, uint16_t num, uint8_t command,
		   const struct mnfq_i_settings *settings, bool *repeated)
{
	struct pollfd readable = { .fd = sock->fd, .events = POLLIN };
	int err;

	*repeated = false;
	while ((err = attempt(sock, num, command, settings)) == -ETIMEDOUT &&
	       mnfq_i_now_ms() < sock->deadline) {
		*repeated = true;
		/* Another reader of the socket gets a moment to stop. */
		(void)poll(&readable, 1, 5);
	}
	mnfq_i_request_remind(sock);
	return err;
}

/* There is something to do: for a dispatch that waits, and for an event loop around it. */
void mnfq_i_wake(struct mnfq_socket *sock)
{
	mnfq_i_wake_dispatch(sock);
	mnfq_i_request_self_wake(sock);
}
