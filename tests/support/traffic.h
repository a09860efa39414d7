/* SPDX-License-Identifier: MIT */
/*
 * Traffic for tests: numbered UDP datagrams that are counted where they arrive, a TCP transfer,
 * ICMP echo. Addresses with a colon are IPv6.
 */
#ifndef TEST_TRAFFIC_H
#define TEST_TRAFFIC_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netns.h"

/* A sender and a receiver. */
struct udp {
	int tx, rx;
};

/* From @from to @address, which is in @to. */
void udp_open(struct udp *udp, struct netns *from, struct netns *to, const char *address,
	      uint16_t port);
void udp_close(struct udp *udp);

/* A datagram of @size bytes: 4 of @seq in network byte order, the rest made up from it. */
#define UDP_SIZE 32
void udp_send_sized(const struct udp *udp, uint32_t seq, size_t size);

/* The usual one of UDP_SIZE bytes, and a number of them that begin with @first. */
void udp_send(const struct udp *udp, uint32_t seq);
void udp_send_many(const struct udp *udp, uint32_t first, unsigned int count);

/* Takes the next one that is there: its number, and whether its bytes are as they were sent. */
struct datagram {
	uint32_t seq;
	size_t size;
	bool intact;
};
bool udp_receive(const struct udp *udp, struct datagram *datagram);

/* The same, but waits for it. False after the deadline. */
bool udp_await(const struct udp *udp, struct datagram *datagram);

/* Waits for the next one, which must be number @seq and intact. */
void udp_expect(const struct udp *udp, uint32_t seq);

/* Which numbers below @limit have arrived. */
struct tally {
	uint32_t limit;
	uint8_t *hits;
	uint64_t count; /* datagrams that arrived, of these: */
	uint64_t repeated, strange;
};
void tally_init(struct tally *tally, uint32_t limit);
void tally_free(struct tally *tally);

/* Takes all that is there. */
void udp_drain(const struct udp *udp, struct tally *tally);

/* Waits until @count have arrived in all. */
bool udp_drain_until(const struct udp *udp, struct tally *tally, uint64_t count);

/* The number at the start of a UDP payload within an IP packet (no options); 0 if it is cut. */
uint32_t packet_seq(const uint8_t *packet, size_t len);

/* A transfer of @size bytes over TCP that a thread drives. */
struct tcp {
	struct netns *from, *to;
	const char *address;
	uint16_t port;
	size_t size;

	/* What is sent at a position, and whether what arrives there will do; NULL: as it was sent. */
	uint8_t (*byte)(size_t at);
	bool (*fits)(size_t at, uint8_t byte);

	pthread_t thread;
	int done_fd; /* readable when it is over */
	int result;
};
void tcp_start(struct tcp *tcp);

/* Waits for its end: 0 if all bytes arrived as they should, else a negative errno. */
int tcp_finish(struct tcp *tcp);

/* A raw socket for ICMP or ICMPv6 echo, connected to @address. */
int icmp_open(struct netns *from, const char *address);
void icmp_send(int fd, uint16_t seq);

/* Takes the echo replies that are there; whether one for @seq is among them. */
bool icmp_replied(int fd, uint16_t seq);

/*
 * Makes the checksums of an IPv4 or IPv6 packet (without extension headers) with UDP or TCP right,
 * and its length fields as well.
 */
void packet_repair(uint8_t *packet, size_t len);

#endif
