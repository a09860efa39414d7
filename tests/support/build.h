/* SPDX-License-Identifier: MIT */
/* Puts packets together, with lengths and sums made without any of the library's code. */
#ifndef MNFQ_TEST_BUILD_H
#define MNFQ_TEST_BUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct build {
	size_t len;
	size_t network, transport; /* offsets */
	uint8_t family, protocol;
	uint8_t source[16], destination[16]; /* for the pseudo header */
	uint8_t p[70000];
};

uint16_t get16(const uint8_t *p);
void put16(uint8_t *p, unsigned int value);

/* Begins a packet behind @network bytes of something; 10.0.0.1 to .2, 2001:db8::1 to ::2. */
void build_ipv4(struct build *b, uint8_t protocol, const void *options, size_t len);
void build_ipv6(struct build *b, uint8_t next);
void build_add(struct build *b, const void *bytes, size_t len);
/* Goes on behind what there is with a transport header (and its sum to come) and @len bytes. */
void build_transport(struct build *b, uint8_t protocol, const char *data, size_t len);
/* Lengths and sums. */
void build_end(struct build *b);

/* All of a simple packet. */
void build(struct build *b, uint8_t family, uint8_t protocol, size_t len);

/* A local sender's unfinished sum: the pseudo header's, not inverted. */
void build_partial(struct build *b, bool with_length);

/* Families and protocols that can be edited. */
struct build_kind {
	uint8_t family, protocol;
};
#define BUILD_KINDS 10u
extern const struct build_kind build_kinds[BUILD_KINDS];

/* What the transport checksum has to be over the first @covered bytes, as on the wire. */
uint16_t build_sum(const struct build *b, const uint8_t *p, size_t len, size_t covered);
uint32_t build_crc32c(const struct build *b, const uint8_t *p, size_t len);
uint16_t build_header_sum(const struct build *b, const uint8_t *p);
size_t build_check(uint8_t protocol);

#endif
