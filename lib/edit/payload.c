// SPDX-License-Identifier: MIT
/*
 * Packets that get other bytes, and the lengths and checksums that belong to them. A sum that was
 * right stays right, and one that was wrong stays wrong: that the data was damaged on its way
 * must not be hidden by an edit. Nothing here does I/O.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "edit.h"

int mnfq_i_refuse_edit(struct mnfq_i_subject *s, int err, const char *why)
{
	s->why = why;
	return err;
}

/* @why advises to switch GSO off. */
int mnfq_i_refuse_unsplit(struct mnfq_i_subject *s, const char *why)
{
	return mnfq_i_refuse_edit(s, -EOPNOTSUPP, s->gso_on ? why : MNFQ_I_STALE);
}

int mnfq_i_refuse_truncated(struct mnfq_i_subject *s)
{
	const char *why =
		"the packet was received truncated: bind with a larger copy_range, or see "
		"MNFQ_ALLOW_CUT";

	if (s->bytes.true_len > MNFQ_COPY_RANGE_MAX)
		why = s->gso && s->gso_on
			      ? "the packet has more than the 65531 bytes that a message carries: "
				"bind with MNFQ_QUEUE_NO_GSO, or see MNFQ_ALLOW_CUT"
			      : "the packet has more than the 65531 bytes that a message carries: "
				"it cannot be changed as a whole, see MNFQ_ALLOW_CUT";
	else if (s->range >= s->bytes.true_len)
		why = "the packet came before its queue got the copy_range of now, so it is "
		      "truncated: see MNFQ_ALLOW_CUT";
	return mnfq_i_refuse_edit(s, -EMSGSIZE, why);
}

static int refuse_headless(struct mnfq_i_subject *s)
{
	return mnfq_i_refuse_edit(
		s, -EMSGSIZE,
		s->range > s->bytes.len
			? MNFQ_I_STALE
			: "the packet's headers were cut off: bind with a larger copy_range");
}

/* Why the position of the headers is unknown. */
int mnfq_i_unlocated(struct mnfq_i_subject *s, int err)
{
	switch (err) {
	case -EMSGSIZE:
		return refuse_headless(s);
	case -EOPNOTSUPP:
		if (s->gso)
			return mnfq_i_refuse_unsplit(
				s, "the packet has no length of its own (BIG TCP): bind with "
				   "MNFQ_QUEUE_NO_GSO");
		return mnfq_i_refuse_edit(s, err,
					  "a packet whose header has no length (a jumbogram) "
					  "cannot be edited");
	case -EPROTONOSUPPORT:
		return mnfq_i_refuse_edit(s, err, "only IPv4 and IPv6 packets can be edited");
	default:
		return mnfq_i_refuse_edit(s, err, "the packet's headers contradict its length");
	}
}

/* ---- lengths ---- */

void mnfq_i_put_network_length(const struct mnfq_i_layers *l, uint8_t *p, size_t end)
{
	uint8_t *ip = p + l->at.network;

	if (l->at.family == AF_INET)
		mnfq_i_put16(ip + 2, end - l->at.network);
	else
		mnfq_i_put16(ip + 4, end - l->at.network - 40);
}

static bool is_same_length(const struct mnfq_i_edit *edit)
{
	return edit->remove == edit->insert;
}

/*
 * Where the part that the length of UDP or the coverage of UDP-Lite describes ends afterwards.
 * What is inserted at its very end belongs to it where it is the whole datagram.
 */
static size_t new_covered(const struct mnfq_i_layers *l, const struct mnfq_i_edit *edit)
{
	size_t covered = l->covered, gone = 0;

	if (is_same_length(edit))
		return covered;
	if (edit->offset < covered) {
		gone = covered - edit->offset;
		if (gone > edit->remove)
			gone = edit->remove;
	}
	covered -= gone;
	if (edit->offset < l->covered ||
	    (edit->offset == l->covered &&
	     (l->covered == l->at.end || l->at.protocol == IPPROTO_UDP)))
		covered += edit->insert;
	return covered;
}

static void put_lengths(const struct mnfq_i_layers *l, const struct mnfq_i_edit *edit,
			const uint8_t *from, uint8_t *to)
{
	size_t field = l->at.transport + 4;

	mnfq_i_put_network_length(l, to, l->at.end - edit->remove + edit->insert);
	if (!l->check || l->at.fragment)
		return;
	if (l->at.protocol == IPPROTO_UDP ||
	    (l->at.protocol == IPPROTO_UDPLITE && mnfq_i_get16(from + field) != 0))
		mnfq_i_put16(to + field, new_covered(l, edit) - l->at.transport);
	else if (l->at.protocol == IPPROTO_UDPLITE)
		mnfq_i_put16(to + field, 0);
}

/* ---- editing ---- */

/* Does the edit go beyond the network header? */
static bool is_content(const struct mnfq_i_layers *l, const struct mnfq_i_edit *edit)
{
	return !is_same_length(edit) || edit->offset + edit->remove > l->at.transport;
}

static int permit_fragment(struct mnfq_i_subject *s, const struct mnfq_i_layers *l,
			   const struct mnfq_i_edit *edit)
{
	if (!is_same_length(edit) || l->cut)
		return mnfq_i_refuse_edit(
			s, -EOPNOTSUPP,
			"a fragment keeps its length, since the others are gone: reassemble "
			"before the queue (nf_defrag)");
	if (s->not_ready || s->gso)
		return mnfq_i_refuse_edit(s, -EOPNOTSUPP,
					  "a fragment's checksum cannot be completed");
	if (!is_content(l, edit))
		return 0;
	if (!l->known)
		return mnfq_i_refuse_edit(s, -EPROTONOSUPPORT,
					  "the transport protocol is not one that can be edited");
	if (!l->check)
		return mnfq_i_refuse_edit(
			s, -EOPNOTSUPP,
			"the checksum is in another fragment: reassemble before the queue "
			"(nf_defrag)");
	if (l->at.protocol == IPPROTO_SCTP)
		return mnfq_i_refuse_edit(s, -EOPNOTSUPP,
					  "SCTP's checksum needs all of the datagram");
	return 0;
}

static int permit_whole(struct mnfq_i_subject *s, const struct mnfq_i_layers *l,
			const struct mnfq_i_edit *edit)
{
	if (l->known && !l->check)
		return refuse_headless(s);
	if (is_content(l, edit) && !l->known)
		return mnfq_i_refuse_edit(s, -EPROTONOSUPPORT,
					  "the transport protocol is not one that can be edited");
	if (l->at.protocol == IPPROTO_TCP && !is_same_length(edit) && !s->may_resize)
		return mnfq_i_refuse_edit(s, -EOPNOTSUPP, MNFQ_I_SHIFTS_NUMBERS);
	if (s->gso && (l->at.protocol != IPPROTO_TCP || !is_same_length(edit) || l->cut))
		return mnfq_i_refuse_unsplit(
			s, "of large packets that are split later (GSO) only TCP can be edited, "
			   "without changing the length: bind with MNFQ_QUEUE_NO_GSO");
	if (s->not_ready && !mnfq_i_is_ours_to_complete(l, s->bytes.p))
		return mnfq_i_refuse_unsplit(s, MNFQ_I_IN_TUNNEL);
	s->resized = l->at.protocol == IPPROTO_TCP && !is_same_length(edit);
	return 0;
}

/* Whether there may be such an edit at all, before anything is written. */
static int permit(struct mnfq_i_subject *s, const struct mnfq_i_layers *l,
		  const struct mnfq_i_edit *edit)
{
	size_t kept;

	if (s->bytes.true_len > s->bytes.len && !s->may_cut)
		return mnfq_i_refuse_truncated(s);
	if (edit->offset < l->at.network || edit->offset > l->at.end ||
	    edit->remove > l->at.end - edit->offset)
		return mnfq_i_refuse_edit(s, -EINVAL,
					  "the edit reaches beyond the packet's ends");
	if (!is_same_length(edit) && edit->offset < l->at.transport)
		return mnfq_i_refuse_edit(
			s, -EINVAL,
			"an edit of the network header keeps its length: else set a new "
			"payload and repair it");
	kept = s->bytes.len - edit->remove;
	if (edit->insert > MNFQ_COPY_RANGE_MAX || kept > MNFQ_COPY_RANGE_MAX - edit->insert)
		return mnfq_i_refuse_edit(s, -EMSGSIZE,
					  "the result is larger than MNFQ_COPY_RANGE_MAX");
	return l->at.fragment ? permit_fragment(s, l, edit) : permit_whole(s, l, edit);
}

/* The packet's bytes with the edit made. @out is not where they are now; data may be anywhere. */
static size_t payload_splice(const struct mnfq_i_raw *bytes, const struct mnfq_i_edit *edit,
			     uint8_t *out)
{
	size_t rest = edit->offset + edit->remove;

	if (edit->insert > 0)
		memmove(out + edit->offset, edit->data, edit->insert);
	memcpy(out, bytes->p, edit->offset);
	memcpy(out + edit->offset + edit->insert, bytes->p + rest, bytes->len - rest);
	return bytes->len - edit->remove + edit->insert;
}

/* What an edit writes over a checksum is of no consequence. */
static void put_old_checks(const struct mnfq_i_layers *l, const uint8_t *from, uint8_t *to)
{
	if (l->at.family == AF_INET)
		memcpy(to + l->at.network + 10, from + l->at.network + 10, 2);
	if (l->check)
		memcpy(to + l->check, from + l->check, mnfq_i_check_size(l));
}

/* A field of the first fragment that says how long they are together. */
static void put_old_length(const struct mnfq_i_layers *l, const uint8_t *from, uint8_t *to)
{
	if (l->check && (l->at.protocol == IPPROTO_UDP || l->at.protocol == IPPROTO_UDPLITE))
		memcpy(to + l->at.transport + 4, from + l->at.transport + 4, 2);
}

static bool is_same_structure(const struct mnfq_layers *a, const struct mnfq_layers *b,
			      size_t end)
{
	return a->family == b->family && a->protocol == b->protocol &&
	       a->fragment == b->fragment && a->more_fragments == b->more_fragments &&
	       a->fragment_offset == b->fragment_offset && a->network == b->network &&
	       a->transport == b->transport && b->end == end &&
	       (a->data > a->transport) == (b->data > b->transport);
}

/* Other addresses, which may be part of a checksum that cannot be repaired. */
static int permit_addresses(struct mnfq_i_subject *s, const struct mnfq_i_layers *old,
			    const struct mnfq_i_layers *l)
{
	if (memcmp(old->source, l->source, sizeof(l->source)) == 0 &&
	    memcmp(old->destination, l->destination, sizeof(l->destination)) == 0)
		return 0;
	if (l->at.fragment)
		return mnfq_i_refuse_edit(
			s, -EOPNOTSUPP,
			"a fragment keeps its addresses, since the others have them too");
	if (l->known)
		return 0;
	switch (l->at.protocol) {
	case IPPROTO_NONE:
	case IPPROTO_IPIP:
	case IPPROTO_IPV6:
	case IPPROTO_GRE:
	case IPPROTO_ESP:
		return 0; /* they sum up nothing, or only what is their own */
	default:
		return mnfq_i_refuse_edit(
			s, -EPROTONOSUPPORT,
			"the transport protocol may have the addresses in its checksum");
	}
}

/*
 * Whether there is no way to the new sum from the old one. The field of a large packet is
 * whatever the kernel needs for splitting it, until we wrote a sum there.
 */
static bool needs_all(const struct mnfq_i_subject *s, const struct mnfq_i_layers *l,
		      const struct mnfq_i_edit *edit)
{
	return s->not_ready || (s->gso && !s->ours) || l->cut || !is_same_length(edit) ||
	       (l->at.protocol == IPPROTO_SCTP && is_content(l, edit));
}

/* Makes the bytes; their transport checksum is still the old one. */
static int payload_change(struct mnfq_i_subject *s, const struct mnfq_i_layers *old,
			  const struct mnfq_i_edit *edit, uint8_t *out, struct mnfq_i_layers *l,
			  size_t *out_len)
{
	struct mnfq_i_raw changed = { .p = out, .ethertype = s->bytes.ethertype };

	*out_len = changed.len = changed.true_len = payload_splice(&s->bytes, edit, out);
	put_old_length(old, s->bytes.p, out);
	put_lengths(old, edit, s->bytes.p, out);
	put_old_checks(old, s->bytes.p, out);
	if (mnfq_i_layers_find(l, &changed) < 0 ||
	    !is_same_structure(&old->at, &l->at, old->at.end - edit->remove + edit->insert))
		return mnfq_i_refuse_edit(
			s, -EINVAL,
			"the edit breaks the headers: to build new ones, set a new "
			"payload and repairs it");
	mnfq_i_update_header(l, s->bytes.p, out);
	return permit_addresses(s, old, l);
}

/*
 * Writes the edited packet to @out, where there is room for MNFQ_COPY_RANGE_MAX bytes and where
 * the packet is not now. What a refused edit leaves there is of no use.
 */
int mnfq_i_edit(struct mnfq_i_subject *s, const struct mnfq_i_edit *edit, uint8_t *out,
		size_t *out_len)
{
	struct mnfq_i_layers old, l;
	bool all, none, unsure;
	size_t len;
	int err = mnfq_i_layers_find(&old, &s->bytes);

	if (err < 0)
		return mnfq_i_unlocated(s, err);
	err = permit(s, &old, edit);
	if (err < 0)
		return err;
	none = !old.check || mnfq_i_is_none(s, &old, s->bytes.p);
	all = needs_all(s, &old, edit);
	unsure = !s->not_ready && !s->gso && !old.cut;
	if (!none && all && unsure && !mnfq_i_is_right(&old, s->bytes.p))
		return mnfq_i_refuse_edit(
			s, -EBADMSG,
			"the packet arrived damaged, which a new checksum would hide");
	err = payload_change(s, &old, edit, out, &l, &len);
	if (err < 0)
		return err;
	if (!none && all)
		mnfq_i_compute(&l, out);
	else if (!none && l.at.protocol != IPPROTO_SCTP)
		mnfq_i_update(&old, &l, edit, s->bytes.p, out);
	*out_len = len;
	return 0;
}
