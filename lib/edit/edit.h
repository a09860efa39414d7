/* SPDX-License-Identifier: MIT */
/* What layers.c, checksum.c and payload.c share: bytes to be edited, no messages and no I/O. */
#ifndef MNFQ_EDIT_H
#define MNFQ_EDIT_H

#include <mnfq/mnfq.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t mnfq_i_get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void mnfq_i_put16(uint8_t *p, size_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* ---- layers.c ---- */

/* A packet as it was received; `true_len` is more than `len` if it was cut on the way. */
struct mnfq_i_raw {
	const uint8_t *p;
	size_t len, true_len;
	uint16_t ethertype;
};

struct mnfq_i_layers {
	struct mnfq_layers at;
	size_t whole; /* the end by the network header's length, received or not */
	bool cut;     /* it was not */
	bool known;   /* the transport protocol is one that we can edit */

	/* The transport checksum, 0 where there is none or it is not here, and what it covers. */
	size_t check, covered;

	/* For the pseudo header: where the packet comes from and goes to in the end. */
	uint8_t address_len;
	uint8_t source[16], destination[16];
};

int mnfq_i_layers_network(struct mnfq_i_layers *layers, const struct mnfq_i_raw *bytes);
int mnfq_i_layers_transport(struct mnfq_i_layers *layers, const struct mnfq_i_raw *bytes);
int mnfq_i_layers_find(struct mnfq_i_layers *layers, const struct mnfq_i_raw *bytes);
int mnfq_i_layers_tags(const struct mnfq_i_raw *bytes, size_t *network, uint16_t *ethertype);

/* ---- checksum.c ---- */

/*
 * Ones' complement sums (RFC 1071) of 16-bit words as they lie in memory, so that their bytes are
 * in the order of the wire on any machine. Sums of parts of even length may be added up.
 */
uint32_t mnfq_i_sum(const void *bytes, size_t len);
uint16_t mnfq_i_sum_update(uint16_t check, uint32_t before, uint32_t after);

static inline uint16_t mnfq_i_sum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* CRC32c (RFC 9260, appendix A) goes on from @crc, which is ~0 at first and inverted at last. */
uint32_t mnfq_i_crc32c(uint32_t crc, const void *bytes, size_t len);

/* ---- sums.c, payload.c, repair.c ---- */

struct mnfq_i_edit {
	size_t offset, remove;
	const uint8_t *data;
	size_t insert;
};

/* A packet to be changed, and what is known about it. */
struct mnfq_i_subject {
	struct mnfq_i_raw bytes;
	bool not_ready;  /* MNFQ_SKB_CSUMNOTREADY, of bytes that are the kernel's */
	bool gso;        /* MNFQ_SKB_GSO */
	bool gso_on;     /* MNFQ_QUEUE_NO_GSO is not set: later packets could come split */
	size_t range;    /* the copy_range in force */
	bool ours;       /* the bytes replace those of the kernel already */
	bool may_cut;    /* what was not received may be lost */
	bool may_resize; /* the sequence numbers of TCP are adjusted elsewhere */
	bool resized;    /* set afterwards: they have to be */
	const char *why; /* set afterwards: the reason for a refusal */
};

size_t mnfq_i_check_size(const struct mnfq_i_layers *l);
bool mnfq_i_is_none(const struct mnfq_i_subject *s, const struct mnfq_i_layers *l,
		    const uint8_t *p);
bool mnfq_i_is_right(const struct mnfq_i_layers *l, const uint8_t *p);
bool mnfq_i_is_ours_to_complete(const struct mnfq_i_layers *l, const uint8_t *p);
void mnfq_i_compute(const struct mnfq_i_layers *l, uint8_t *p);
void mnfq_i_compute_header(const struct mnfq_i_layers *l, uint8_t *p);
void mnfq_i_update(const struct mnfq_i_layers *old, const struct mnfq_i_layers *l,
		   const struct mnfq_i_edit *edit, const uint8_t *from, uint8_t *to);
void mnfq_i_update_header(const struct mnfq_i_layers *l, const uint8_t *from, uint8_t *to);
int mnfq_i_verify(const struct mnfq_i_subject *s);

/* Why an edit and a repair refuse alike. */
#define MNFQ_I_STALE                                                                             \
	"the packet came before its queue was set to what it would take: later ones can be changed"
#define MNFQ_I_IN_TUNNEL                                                                         \
	"the checksum that is to be completed is in a tunnel's packet: bind with MNFQ_QUEUE_NO_GSO"
#define MNFQ_I_SHIFTS_NUMBERS                                                                      \
	"another length would shift all later TCP sequence numbers: replace by as many bytes, or " \
	"see MNFQ_ALLOW_TCP_RESIZE"

int mnfq_i_refuse_edit(struct mnfq_i_subject *s, int err, const char *why);
int mnfq_i_refuse_truncated(struct mnfq_i_subject *s);
int mnfq_i_refuse_unsplit(struct mnfq_i_subject *s, const char *why);
int mnfq_i_unlocated(struct mnfq_i_subject *s, int err);
void mnfq_i_put_network_length(const struct mnfq_i_layers *l, uint8_t *p, size_t end);
int mnfq_i_edit(struct mnfq_i_subject *subject, const struct mnfq_i_edit *edit, uint8_t *out,
		size_t *out_len);
int mnfq_i_repair(struct mnfq_i_subject *subject, uint8_t *out, size_t *out_len);

#endif
