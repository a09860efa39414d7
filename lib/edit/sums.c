// SPDX-License-Identifier: MIT
/* The checksums of a packet: made anew, changed along with its bytes, or looked at. No I/O. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "edit.h"

size_t mnfq_i_check_size(const struct mnfq_i_layers *l)
{
	return l->at.protocol == IPPROTO_SCTP ? 4 : 2;
}

static uint16_t load_check(const struct mnfq_i_layers *l, const uint8_t *p)
{
	uint16_t check;

	memcpy(&check, p + l->check, sizeof(check));
	return check;
}

/* UDP's way to say that there is no sum: RFC 768, and with IPv6 RFC 6935 and 6936. */
bool mnfq_i_is_none(const struct mnfq_i_subject *s, const struct mnfq_i_layers *l,
		    const uint8_t *p)
{
	return l->at.protocol == IPPROTO_UDP && !s->not_ready && load_check(l, p) == 0;
}

/* What the pseudo header adds to the sum: RFC 9293 section 3.1, RFC 8200 section 8.1. */
static uint32_t pseudo(const struct mnfq_i_layers *l, size_t len)
{
	if (l->at.protocol == IPPROTO_ICMP)
		return 0;
	return mnfq_i_sum(l->source, l->address_len) +
	       mnfq_i_sum(l->destination, l->address_len) + htons(l->at.protocol) +
	       htons((uint16_t)len);
}

/* All that is summed up but the checksum itself. */
static uint32_t sum_up(const struct mnfq_i_layers *l, const uint8_t *p)
{
	size_t transport = l->at.transport, behind = l->check + 2;
	/* UDP has a length field; UDP-Lite takes the packet's, however little it covers. */
	size_t end = l->at.protocol == IPPROTO_UDP ? l->covered : l->at.end;

	return pseudo(l, end - transport) + mnfq_i_sum(p + transport, l->check - transport) +
	       mnfq_i_sum(p + behind, l->covered - behind);
}

static uint32_t sctp(const struct mnfq_i_layers *l, const uint8_t *p)
{
	static const uint8_t zero[4];
	uint32_t crc = mnfq_i_crc32c(~0u, p + l->at.transport, l->check - l->at.transport);

	crc = mnfq_i_crc32c(crc, zero, sizeof(zero));
	return ~mnfq_i_crc32c(crc, p + l->check + 4, l->at.end - l->check - 4);
}

bool mnfq_i_is_right(const struct mnfq_i_layers *l, const uint8_t *p)
{
	const uint8_t *c = p + l->check;

	if (l->at.protocol == IPPROTO_SCTP)
		return sctp(l, p) ==
		       ((uint32_t)c[3] << 24 | (uint32_t)c[2] << 16 | (uint32_t)c[1] << 8 | c[0]);
	return mnfq_i_sum_fold((uint64_t)sum_up(l, p) + load_check(l, p)) == 0xffff;
}

static void put_check(const struct mnfq_i_layers *l, uint8_t *p, uint16_t check)
{
	/* 0 would mean that there is none, and the other zero is as good. */
	if (check == 0 && (l->at.protocol == IPPROTO_UDP || l->at.protocol == IPPROTO_UDPLITE))
		check = 0xffff;
	memcpy(p + l->check, &check, sizeof(check));
}

/* The whole sum anew. */
void mnfq_i_compute(const struct mnfq_i_layers *l, uint8_t *p)
{
	uint32_t crc;
	int i;

	if (l->at.protocol != IPPROTO_SCTP) {
		put_check(l, p, (uint16_t)~mnfq_i_sum_fold(sum_up(l, p)));
		return;
	}
	crc = sctp(l, p);
	for (i = 0; i < 4; i++)
		p[l->check + (size_t)i] = (uint8_t)(crc >> 8 * i);
}

/* The part of a sum that @len bytes @at contribute. */
static uint32_t part(const struct mnfq_i_layers *l, const uint8_t *p, size_t at, size_t len)
{
	uint32_t sum = mnfq_i_sum(p + at, len);

	/* From an odd place on, each byte is the other half of its word. */
	return (at - l->at.transport) & 1 ? (sum & 0xff) << 8 | sum >> 8 : sum;
}

/* The sum after an edit of the same length, from what it was and the bytes that changed. */
void mnfq_i_update(const struct mnfq_i_layers *old, const struct mnfq_i_layers *l,
		   const struct mnfq_i_edit *edit, const uint8_t *from, uint8_t *to)
{
	size_t start = edit->offset, end = edit->offset + edit->insert;
	uint32_t before = pseudo(old, 0), after = pseudo(l, 0);
	uint16_t check;

	if (start < l->at.transport)
		start = l->at.transport;
	if (end > l->covered)
		end = l->covered;
	if (start < end) {
		before += part(old, from, start, end - start);
		after += part(l, to, start, end - start);
	}
	if (before == after)
		return;
	check = mnfq_i_sum_update(load_check(old, from), before, after);
	/* A sum of nothing but zeros is the one whose complement is not 0. Only ICMP has it. */
	if (check == 0 && sum_up(l, to) == 0)
		check = 0xffff;
	put_check(l, to, check);
}

/* The same for the IPv4 header's sum (RFC 791). */
void mnfq_i_update_header(const struct mnfq_i_layers *l, const uint8_t *from, uint8_t *to)
{
	size_t at = l->at.network, len = l->at.transport - at;
	uint32_t before, after;
	uint16_t check;

	if (l->at.family != AF_INET)
		return;
	before = mnfq_i_sum(from + at, len);
	after = mnfq_i_sum(to + at, len);
	if (before == after)
		return;
	memcpy(&check, to + at + 10, sizeof(check));
	check = mnfq_i_sum_update(check, before, after);
	memcpy(to + at + 10, &check, sizeof(check));
}

void mnfq_i_compute_header(const struct mnfq_i_layers *l, uint8_t *p)
{
	size_t at = l->at.network;
	uint16_t check = 0;

	if (l->at.family != AF_INET)
		return;
	memcpy(p + at + 10, &check, sizeof(check));
	check = (uint16_t)~mnfq_i_sum(p + at, l->at.transport - at);
	memcpy(p + at + 10, &check, sizeof(check));
}

/* A sum that the kernel left to be completed is that of the pseudo header. */
bool mnfq_i_is_ours_to_complete(const struct mnfq_i_layers *l, const uint8_t *p)
{
	uint32_t sum, len, field;

	if (!l->check || l->at.protocol == IPPROTO_ICMP)
		return false;
	if (l->at.protocol == IPPROTO_SCTP)
		return true;
	field = load_check(l, p) % 0xffff;
	sum = pseudo(l, 0);
	len = htons((uint16_t)(l->whole - l->at.transport));
	/* Some that build large segments leave the length out, since it is not yet known. */
	return field == (sum + len) % 0xffff || field == sum % 0xffff;
}

int mnfq_i_verify(const struct mnfq_i_subject *s)
{
	const uint8_t *p = s->bytes.p;
	struct mnfq_i_layers l;
	int err = mnfq_i_layers_find(&l, &s->bytes);

	if (err < 0)
		return err == -EBADMSG ? err : -ENODATA;
	if (l.at.family == AF_INET) {
		const uint8_t *ip = p + l.at.network;

		if (mnfq_i_sum(ip, (size_t)(ip[0] & 15) * 4) != 0xffff)
			return -EBADMSG;
	}
	if (l.at.fragment || l.cut || !l.check || s->not_ready || (s->gso && !s->ours) ||
	    mnfq_i_is_none(s, &l, p))
		return -ENODATA;
	return mnfq_i_is_right(&l, p) ? 0 : -EBADMSG;
}
