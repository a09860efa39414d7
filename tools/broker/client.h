/* SPDX-License-Identifier: MIT */
/*
 * One client of the broker, and the lists that clients are in. For the files that handle clients: client.c
 * (lists and ends), hand-over.c, accept.c and clients.c.
 */
#ifndef MNFQ_TOOLS_BROKER_CLIENT_H
#define MNFQ_TOOLS_BROKER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <mnfq/handover.h>

#include "broker/clients.h"

/** Clients in the order in which they got there. */
struct client_list {
	struct client *first, *last;
	unsigned int count;
};

struct client {
	struct event_source source; /* its stream */
	struct clients *clients;
	struct client *previous, *next;
	struct client_list *list;
	int64_t since;  /* when it got there, for lists that have a time limit */
	uint64_t id;    /* 0: a receiver never had it */
	bool denied;    /* it was refused when it connected */
	uint64_t netns; /* where its process was when it connected; 0: not known */
	struct mnfq_handover info;
	struct ipc_msg *early; /* the server's answer, which came before the receiver's result */
};

struct clients {
	struct loop *loop;
	struct outbox *outbox;
	struct netns_track *track;
	struct receivers *receivers;
	struct peer_users *users;
	const struct broker_options *options;
	struct event_source *listeners;
	struct client_list pending_request; /* connected, and sent nothing yet */
	struct client_list queued;          /* sent something, which a receiver has to receive */
	struct client_list receiving;       /* a receiver has it */
	struct client_list pending_reply;   /* handed over, and the server did not answer yet */
	struct client_list persistent;      /* served; their end of file withdraws the socket */
	struct client_list
		closing; /* ended, with something unread, which a receiver has to close */
	bool accept_paused;
	int64_t accept_resume_at; /* there were no descriptors; 0: there are */
	int64_t close_at;         /* when those in @closing are closed; 0: there are none */
	uint32_t refused;
};

/** Put it at the end of a list, out of the one that it is in. */
void client_move(struct client *client, struct client_list *list);

/** The one of an id, or NULL. */
struct client *client_find(const struct client_list *list, uint64_t id);

/** How many bytes it sent that were not received, or a negative errno. */
int client_count_unread(const struct client *client);

/** End it, without another word. It is freed now or later. */
void client_free(struct client *client);

/** Inform it, unless it was already, log that, and end it. */
void client_refuse(struct client *client, int err, const char *why);

/** Log that it was refused, within the limits of its user. */
void client_log_refusal(struct client *client, const char *why);

/** Close those in @closing if it is time to. */
void client_close_some(struct clients *clients, int64_t now);

/* ---- hand-over.c ---- */

/** Wait until it sends something. */
void hand_over_await(struct client *client);

/** What it sends is received when it is its turn. */
void hand_over_queue(struct client *client);

/** Go on with what receivers report. */
void hand_over_take_results(struct clients *clients);

/** Start receivers for queued ones. Returns when to call again; 0: never. */
int64_t hand_over_start(struct clients *clients, int64_t now);

/** Refuse those whose time is over. Returns when to call again; 0: never. */
int64_t hand_over_run_timers(struct clients *clients, int64_t now);

/* ---- accept.c ---- */

/** A listener is ready. */
void accept_ready(struct event_source *listener, uint32_t events);

/** Pause accepting, or go on with it. Returns when to call again; 0: never. */
int64_t accept_run_timers(struct clients *clients, int64_t now);

#endif
