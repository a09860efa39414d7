/* SPDX-License-Identifier: MIT */
/*
 * Messages from the broker to the server. The broker never waits for the server: what its IPC socket has
 * no room for is kept here.
 */
#ifndef MNFQ_TOOLS_BROKER_OUTBOX_H
#define MNFQ_TOOLS_BROKER_OUTBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/ipc.h"
#include "broker/loop.h"

struct outbox;

/**
 * @ipc         the socket to the server, in the loop; call outbox_flush() when it is writable
 * @generation  how many brokers there were before
 * Returns 0 or a negative errno. It lives as long as the process.
 */
int outbox_new(struct outbox **ret, struct loop *loop, struct event_source *ipc,
	       unsigned int generation);

/** The socket to the server, for a receiver. */
int outbox_get_fd(const struct outbox *outbox);

/**
 * Send a message, now or as soon as the server reads. Takes @fd over (closes it), also when it
 * fails. Returns 0 or a negative errno.
 */
int outbox_send(struct outbox *outbox, const struct ipc_msg *message, int fd);

/** Send IPC_DETACH, or drop the IPC_ATTACH if it was not sent yet. */
void outbox_detach(struct outbox *outbox, uint64_t id);

/** Send IPC_NOTE. */
void outbox_note(struct outbox *outbox, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Send the reason why there is no broker any more, and end the loop. */
void outbox_give_up(struct outbox *outbox, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** A new id. No broker has used it before. */
uint64_t outbox_new_id(struct outbox *outbox);

/** Is it one of this broker, and not of one before it? */
bool outbox_is_own_id(const struct outbox *outbox, uint64_t id);

/** How many messages are kept. */
unsigned int outbox_count(const struct outbox *outbox);

/** Can receivers send to the server? If not, the loop wakes up when they can. */
bool outbox_has_room(struct outbox *outbox);

/** Send what was kept. */
void outbox_flush(struct outbox *outbox);

/** Returns when to call again; 0: never. */
int64_t outbox_run_timers(struct outbox *outbox, int64_t now);

#endif
