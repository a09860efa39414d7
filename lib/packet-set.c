// SPDX-License-Identifier: MIT
/*
 * What is changed along with a verdict. The kernel takes changes that it has no use for without a
 * word, and loses packets over wrong ones: what it would not do is refused here. No I/O.
 */
#include "packet-set.h"

#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>

#include "memory.h"
#include "packet-ct.h"
#include "packet.h"
#include "refs.h"
#include "verdict.h"
#include "wire.h"

/* Keeps why a setter refuses; returns @err. */
int mnfq_i_refuse(struct mnfq_packet *packet, int err, const char *errmsg)
{
	packet->error = errmsg;
	return err;
}

const char *mnfq_packet_get_error(const struct mnfq_packet *packet)
{
	return packet ? packet->error : "";
}

/* What is in force now, which may not have been when the packet came. */
struct mnfq_queue_options mnfq_i_packet_settings(const struct mnfq_packet *packet)
{
	struct mnfq_queue_options settings;

	if (packet->memory)
		return packet->memory->settings;
	if (!packet->retained) /* else any thread may ask */
		return packet->queue->options;
	pthread_mutex_lock(&packet->queue->sock->lock);
	settings = packet->queue->options;
	pthread_mutex_unlock(&packet->queue->sock->lock);
	return settings;
}

static int check_undecided(struct mnfq_packet *packet)
{
	if (!packet)
		return -EINVAL;
	if (packet->decided)
		return mnfq_i_refuse(packet, -EALREADY, "the packet is decided already");
	return 0;
}

static int check_given(struct mnfq_packet *packet, bool given)
{
	int err = check_undecided(packet);

	if (err == 0 && !given)
		err = mnfq_i_refuse(packet, -EINVAL, "what to set was not given: it is NULL");
	return err;
}

static int refuse_adjusting(struct mnfq_packet *packet)
{
	return mnfq_i_refuse(
		packet, -EOPNOTSUPP,
		"a connection mark or labels, along with another length, have the kernel adjust "
		"the sequence numbers of TCP with NAT: change the one or the other");
}

static int check_tracked(struct mnfq_packet *packet)
{
	struct mnfq_i_bytes ct;
	int err = check_undecided(packet);

	if (err < 0)
		return err;
	if ((packet->changes.set & MNFQ_I_CHANGE_PAYLOAD) &&
	    mnfq_i_packet_adjusts_unasked(packet, packet->payload_len))
		return refuse_adjusting(packet);
	if (mnfq_i_packet_find(packet, NFQA_CT, &ct) == 0)
		return 0;
	if (mnfq_i_packet_settings(packet).flags & MNFQ_QUEUE_CONNTRACK)
		return mnfq_i_refuse(packet, -ENODATA,
				     "the packet is not tracked: a rule of the namespace has to "
				     "ask for connection tracking, and none may exempt it");
	return mnfq_i_refuse(packet, -ENODATA,
			     "the packet came without connection tracking data: bind its queue "
			     "with MNFQ_QUEUE_CONNTRACK");
}

static int check_bridge(struct mnfq_packet *packet)
{
	int err = check_undecided(packet);

	if (err == 0 && mnfq_packet_get_family(packet) != NFPROTO_BRIDGE)
		err = mnfq_i_refuse(
			packet, -EOPNOTSUPP,
			"the kernel changes VLAN tags and link-layer headers of packets "
			"of the bridge family only");
	return err;
}

int mnfq_packet_allow(struct mnfq_packet *packet, uint32_t what)
{
	int err = check_undecided(packet);

	if (err < 0)
		return err;
	if (what & ~(MNFQ_ALLOW_CUT | MNFQ_ALLOW_TCP_RESIZE))
		return mnfq_i_refuse(packet, -EINVAL, "there is nothing like that to be allowed");
	packet->allowed |= what;
	return 0;
}

int mnfq_packet_set_mark(struct mnfq_packet *packet, uint32_t mark)
{
	int err = check_undecided(packet);

	if (err < 0)
		return err;
	packet->changes.mark = mark;
	packet->changes.set |= MNFQ_I_CHANGE_MARK;
	return 0;
}

int mnfq_packet_set_priority(struct mnfq_packet *packet, uint32_t priority)
{
	int err = check_undecided(packet);

	if (err < 0)
		return err;
	packet->changes.priority = priority;
	packet->changes.set |= MNFQ_I_CHANGE_PRIORITY;
	return 0;
}

int mnfq_packet_set_ct_mark(struct mnfq_packet *packet, uint32_t mark, uint32_t mask)
{
	int err = check_tracked(packet);

	if (err < 0)
		return err;
	packet->changes.ct_mark = mark;
	packet->changes.ct_mark_mask = mask;
	packet->changes.set |= MNFQ_I_CHANGE_CT_MARK;
	return 0;
}

int mnfq_packet_set_ct_labels(struct mnfq_packet *packet, const uint8_t *labels,
			      const uint8_t *mask)
{
	int err = check_given(packet, labels);

	if (err == 0)
		err = check_tracked(packet);
	if (err < 0)
		return err;
	memcpy(packet->changes.ct_labels, labels, MNFQ_CT_LABELS_SIZE);
	if (mask)
		memcpy(packet->changes.ct_labels_mask, mask, MNFQ_CT_LABELS_SIZE);
	else
		memset(packet->changes.ct_labels_mask, 0xff, MNFQ_CT_LABELS_SIZE);
	packet->changes.set |= MNFQ_I_CHANGE_CT_LABELS;
	return 0;
}

int mnfq_packet_set_vlan(struct mnfq_packet *packet, uint16_t tci, uint16_t protocol)
{
	int err = check_bridge(packet);

	if (err < 0)
		return err;
	if (protocol != ETH_P_8021Q && protocol != ETH_P_8021AD)
		return mnfq_i_refuse(packet, -EINVAL,
				     "a VLAN tag is of protocol 0x8100 (802.1Q) or 0x88a8 "
				     "(802.1ad)");
	packet->changes.vlan_tci = tci;
	packet->changes.vlan_protocol = protocol;
	packet->changes.set |= MNFQ_I_CHANGE_VLAN;
	return 0;
}

/* A wrong length would cost the packet: the kernel takes it off the queue, and then gives up. */
int mnfq_packet_set_l2hdr(struct mnfq_packet *packet, const void *data, size_t len)
{
	struct mnfq_i_bytes old;
	int err = check_given(packet, data);

	if (err == 0)
		err = check_bridge(packet);
	if (err < 0)
		return err;
	if (mnfq_i_packet_find(packet, MNFQ_I_NFQA_L2HDR, &old) < 0)
		return mnfq_i_refuse(packet, -EOPNOTSUPP,
				     "the packet came without a link-layer header");
	if (len != old.len || len > MNFQ_I_L2HDR_MAX)
		return mnfq_i_refuse(packet, -EMSGSIZE,
				     "a new link-layer header must be as long as the old one");
	memcpy(packet->changes.l2hdr, data, len);
	packet->changes.l2hdr_len = (uint16_t)len;
	packet->changes.set |= MNFQ_I_CHANGE_L2HDR;
	return 0;
}

/* Replaces the payload, without asking whether that is wise. Returns 0 or -ENOMEM. */
int mnfq_i_packet_replace(struct mnfq_packet *packet, const void *data, size_t len)
{
	uint8_t *scratch = packet->scratch;

	if (packet->allocates) {
		scratch = malloc(len ? len : 1);
		if (!scratch)
			return mnfq_i_refuse(packet, -ENOMEM, "out of memory");
	}
	if (len > 0)
		memmove(scratch, data, len);
	if (packet->allocates) {
		free(packet->scratch);
		packet->scratch = scratch;
	}
	packet->payload = scratch;
	packet->payload_len = len;
	packet->changes.set |= MNFQ_I_CHANGE_PAYLOAD;
	return 0;
}

/* The payload as it was received; other changes stay. */
void mnfq_i_packet_restore(struct mnfq_packet *packet)
{
	struct mnfq_i_bytes received;

	if (mnfq_i_packet_find(packet, NFQA_PAYLOAD, &received) < 0)
		received = (struct mnfq_i_bytes){ .data = packet->msg + packet->msg_len };
	packet->payload = received.data;
	packet->payload_len = received.len;
	packet->changes.set &= ~(MNFQ_I_CHANGE_PAYLOAD | MNFQ_I_CHANGE_SEQ_ADJUST);
	if (packet->allocates) {
		free(packet->scratch);
		packet->scratch = NULL;
	}
}

int mnfq_packet_reset(struct mnfq_packet *packet)
{
	int err = check_undecided(packet);

	if (err < 0)
		return err;
	mnfq_i_packet_restore(packet);
	packet->changes.set = packet->allowed = 0;
	return 0;
}

/* May the packet get a length of @len bytes, as far as other changes are concerned? */
int mnfq_i_packet_resizable(struct mnfq_packet *packet, size_t len)
{
	if (!(packet->changes.set & (MNFQ_I_CHANGE_CT_MARK | MNFQ_I_CHANGE_CT_LABELS)) ||
	    !mnfq_i_packet_adjusts_unasked(packet, len))
		return 0;
	return refuse_adjusting(packet);
}
