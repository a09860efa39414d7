/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: the raw baseline: what the kernel's interface costs without any checks. One recvmmsg,
 * the id out of each message, one send with a batch verdict for each run of equal ones. It detects
 * no losses and survives nothing hostile: not an example to follow.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/late.h"

struct verdict {
	struct nlmsghdr nlh;
	struct nfgenmsg nfg;
	struct nlattr attr;
	struct nfqnl_msg_verdict_hdr header;
	struct nlattr mark_attr;
	uint32_t mark;
};
#define PLAIN offsetof(struct verdict, mark_attr)

struct raw {
	struct bench_worker *worker;
	int fd;
	struct bench_slots slots;
	uint8_t out[BENCH_SLOTS * sizeof(struct verdict)];
	size_t out_len;
	struct {
		unsigned int count;
		uint32_t verdict, id;
	} run;
};

static void raw_put(struct raw *raw, uint16_t type, uint32_t verdict, uint32_t id, bool mark)
{
	size_t len = mark ? sizeof(struct verdict) : PLAIN;
	struct verdict msg = {
		.nlh = { .nlmsg_len = (uint32_t)len,
			 .nlmsg_type = (uint16_t)(NFNL_SUBSYS_QUEUE << 8 | type),
			 .nlmsg_flags = NLM_F_REQUEST,
			 .nlmsg_seq = id },
		.nfg = { .res_id = htons(raw->worker->queue) },
		.attr = { sizeof(struct nlattr) + sizeof(struct nfqnl_msg_verdict_hdr),
			  NFQA_VERDICT_HDR },
		.header = { htonl(verdict), htonl(id) },
		.mark_attr = { sizeof(struct nlattr) + sizeof(uint32_t), NFQA_MARK },
		.mark = htonl(BENCH_MARK),
	};

	memcpy(raw->out + raw->out_len, &msg, len);
	raw->out_len += len;
}

static void raw_close_run(struct raw *raw)
{
	if (raw->run.count > 0)
		raw_put(raw, raw->run.count > 1 ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT,
			raw->run.verdict, raw->run.id, false);
	raw->run.count = 0;
}

static void raw_decide(struct raw *raw, uint32_t id, enum bench_decision decision)
{
	uint32_t verdict = decision == BENCH_DROP ? NF_DROP : NF_ACCEPT;

	if (raw->run.count > 0 && (decision == BENCH_SET_MARK || raw->run.verdict != verdict))
		raw_close_run(raw);
	if (decision == BENCH_SET_MARK) {
		raw_put(raw, NFQNL_MSG_VERDICT, verdict, id, true);
		return;
	}
	raw->run.count++;
	raw->run.verdict = verdict;
	raw->run.id = id;
}

static void raw_handle_message(struct raw *raw, const uint8_t *message)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)message;
	const struct nlattr *attr;
	const uint8_t *payload = NULL;
	uint32_t id = 0;
	size_t len = 0;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
		snprintf(raw->worker->error, sizeof(raw->worker->error),
			 "message of type %u: a verdict was refused", nlh->nlmsg_type);
		return;
	}
	mnl_attr_for_each (attr, nlh, sizeof(struct nfgenmsg)) {
		if (mnl_attr_get_type(attr) == NFQA_PACKET_HDR) {
			const struct nfqnl_msg_packet_hdr *hdr = mnl_attr_get_payload(attr);

			id = ntohl(hdr->packet_id);
		} else if (mnl_attr_get_type(attr) == NFQA_PAYLOAD) {
			payload = mnl_attr_get_payload(attr);
			len = mnl_attr_get_payload_len(attr);
		}
	}
	raw_decide(raw, id, bench_worker_decide(raw->worker, payload, len));
}

/* One batch. 0, or -1. */
static int raw_dispatch(struct raw *raw)
{
	struct bench_worker *worker = raw->worker;
	int i, n;

	n = recvmmsg(raw->fd, raw->slots.messages, BENCH_SLOTS,
		     worker->spin ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN
			       ? 0
			       : bench_worker_fail(worker, "receiving failed");
	for (i = 0; i < n; i++)
		raw_handle_message(raw, raw->slots.iovecs[i].iov_base);
	raw_close_run(raw);
	if (raw->out_len > 0 && send(raw->fd, raw->out, raw->out_len, 0) < 0)
		return bench_worker_fail(worker, "sending failed");
	raw->out_len = 0;
	return worker->error[0] ? -1 : 0;
}

static int raw_bind_queue(struct bench_worker *worker, struct mnl_socket *nl)
{
	struct nfqnl_msg_config_cmd cmd = { .command = NFQNL_CFG_CMD_BIND };
	struct nfqnl_msg_config_params params = { htonl(0xffff), NFQNL_COPY_PACKET };
	char buffer[512];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *nfg;
	ssize_t len;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->res_id = htons(worker->queue);
	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(cmd), &cmd);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(worker->max_len));
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(worker->gso ? NFQA_CFG_F_GSO : 0));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -1;
	len = mnl_socket_recvfrom(nl, buffer, sizeof(buffer));
	return len < 0 ? -1 : mnl_cb_run(buffer, (size_t)len, 0, 0, NULL, NULL);
}

static int raw_open(struct raw *raw, struct mnl_socket *nl)
{
	int on = 1, size = (int)(raw->worker->receive_buffer / 2);

	raw->fd = mnl_socket_get_fd(nl);
	(void)setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	(void)setsockopt(raw->fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on));
	if (bench_slots_init(&raw->slots, false) < 0)
		return -1;
	return raw_bind_queue(raw->worker, nl);
}

int bench_run_raw(struct bench_worker *worker)
{
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	struct raw *raw = calloc(1, sizeof(*raw));
	int err = -1;

	if (!nl || !raw || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    (raw->worker = worker, raw_open(raw, nl)) < 0) {
		err = bench_worker_fail(worker, "cannot bind");
	} else {
		err = 0;
		bench_worker_begin(worker);
		while (err == 0 && !bench_worker_done(worker))
			err = raw_dispatch(raw);
		bench_worker_end(worker);
	}
	if (raw)
		bench_slots_free(&raw->slots);
	free(raw);
	if (nl)
		mnl_socket_close(nl);
	return err;
}
