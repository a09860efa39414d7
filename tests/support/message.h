/* SPDX-License-Identifier: MIT */
/* Builds netlink messages as the kernel sends them, for tests that have no kernel. */
#ifndef MNFQ_TEST_MESSAGE_H
#define MNFQ_TEST_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

struct message {
	size_t len;
	_Alignas(8) uint8_t bytes[80 * 1024];
};

/* Begins a packet message of IPv4 at the output hook. */
void message_begin(struct message *message, uint16_t queue);
void message_attr(struct message *message, uint16_t type, const void *data, size_t len);
void message_attr16(struct message *message, uint16_t type, uint16_t value);
void message_attr32(struct message *message, uint16_t type, uint32_t value);

/* A nest, around what is added between both calls; open returns where it begins. */
size_t message_open(struct message *message, uint16_t type);
void message_close(struct message *message, size_t nest);

void message_hdr(struct message *message, uint32_t id, uint16_t protocol, uint8_t hook);

/* A whole packet: a header, an output device, a payload of @len bytes that count up. */
void message_packet(struct message *message, uint16_t queue, uint32_t id, size_t len);

/* The answer to a request of @type with sequence number @seq and port id field @pid. */
void message_error(struct message *message, int error, uint16_t type, uint32_t seq, uint32_t pid);

#endif
