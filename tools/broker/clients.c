/* SPDX-License-Identifier: MIT */
/* The clients of the broker, as the rest of it sees them. */
#include "broker/clients.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "broker/client.h"

int clients_new(struct clients **ret, const struct clients_setup *setup)
{
	const unsigned int count = setup->options->listener_count;
	struct clients *clients = calloc(1, sizeof(*clients));
	int err = 0;

	if (!clients)
		return -ENOMEM;
	*clients = (struct clients){ .loop = setup->loop,
				     .outbox = setup->outbox,
				     .track = setup->track,
				     .receivers = setup->receivers,
				     .users = setup->users,
				     .options = setup->options };
	*ret = clients;
	clients->listeners = calloc(count + 1, sizeof(clients->listeners[0]));
	if (!clients->listeners)
		return -ENOMEM;
	for (unsigned int i = 0; i < count && err == 0; i++) {
		clients->listeners[i] =
			(struct event_source){ accept_ready, clients, setup->listeners[i] };
		err = loop_add(clients->loop, &clients->listeners[i], EPOLLIN);
	}
	return err;
}

bool clients_forget(struct clients *clients, uint64_t id)
{
	struct client *client = client_find(&clients->receiving, id);

	if (!client)
		client = client_find(&clients->pending_reply, id);
	if (!client)
		client = client_find(&clients->persistent, id);
	if (client)
		client_free(client);
	return client != NULL;
}

uint32_t clients_count_refused(const struct clients *clients)
{
	return clients->refused;
}

int64_t clients_run_timers(struct clients *clients, int64_t now)
{
	int64_t due;

	hand_over_take_results(clients);
	due = hand_over_run_timers(clients, now);
	due = earlier(due, hand_over_start(clients, now));
	client_close_some(clients, now);
	due = earlier(due, clients->close_at);
	return earlier(due, accept_run_timers(clients, now));
}
