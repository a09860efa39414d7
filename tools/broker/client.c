/* SPDX-License-Identifier: MIT */
/* Clients of the broker: the lists that they are in, and how they end. */
#include "broker/client.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/policy.h"
#include "broker/receivers.h"
#include "common/sys.h"

#define CLOSE_MS       10  /* those that end together need one receiver */
#define CLOSE_RETRY_MS 100 /* when no receiver could be started */

/* ---- lists ---- */

static void list_remove(struct client *client)
{
	struct client_list *list = client->list;

	if (!list)
		return;
	if (client->previous)
		client->previous->next = client->next;
	else
		list->first = client->next;
	if (client->next)
		client->next->previous = client->previous;
	else
		list->last = client->previous;
	list->count--;
}

void client_move(struct client *client, struct client_list *list)
{
	list_remove(client);
	client->list = list;
	client->next = NULL;
	client->previous = list->last;
	if (list->last)
		list->last->next = client;
	else
		list->first = client;
	list->last = client;
	list->count++;
}

struct client *client_find(const struct client_list *list, uint64_t id)
{
	struct client *client = list->first;

	while (client && client->id != id)
		client = client->next;
	return client;
}

/* ---- the end ---- */

int client_count_unread(const struct client *client)
{
	int bytes = 0;

	return ioctl(client->source.fd, SIOCINQ, &bytes) < 0 ? -errno : bytes;
}

static void close_stream(struct client *client)
{
	loop_remove(client->clients->loop, &client->source);
	close(client->source.fd);
	list_remove(client);
	free(client->early);
	free(client);
}

/*
 * Closing a stream closes the descriptors in it that were not received, which may take without end. Once
 * it is shut down nothing gets in there any more; with something unread it is left to a receiver.
 */
void client_free(struct client *client)
{
	struct clients *clients = client->clients;

	if (shutdown(client->source.fd, SHUT_RDWR) == 0 && client_count_unread(client) == 0) {
		close_stream(client);
		return;
	}
	loop_remove(clients->loop, &client->source);
	client_move(client, &clients->closing);
	if (clients->close_at == 0)
		clients->close_at = clock_ms() + CLOSE_MS;
}

/* As many as a receiver takes: when it ends it closes the streams, and sockets do not linger then. */
void client_close_some(struct clients *clients, int64_t now)
{
	struct receiver_job jobs[RECEIVER_JOBS_MAX] = { { 0 } };
	const struct client *client = clients->closing.first;
	struct receiver *holder;
	unsigned int count = 0;

	if (clients->close_at == 0 || now < clients->close_at)
		return;
	for (; client && count < RECEIVER_JOBS_MAX; client = client->next)
		jobs[count++] = (struct receiver_job){ .stream = client->source.fd };
	holder = receivers_hold(clients->receivers, jobs, count);
	if (holder) {
		while (count-- > 0)
			close_stream(clients->closing.first);
		receivers_release(clients->receivers, holder);
	}
	clients->close_at = clients->closing.count == 0 ? 0 : now + (holder ? 0 : CLOSE_RETRY_MS);
}

/* ---- refusals ---- */

/* Clients must not be able to fill the log, or to keep lines on others out of it. */
void client_log_refusal(struct client *client, const char *why)
{
	struct clients *clients = client->clients;
	const uint32_t uid = client->info.uid;
	const int64_t now = clock_ms();
	struct peer_user *user = peer_find_user(clients->users, uid, now);
	uint64_t left_out;

	clients->refused++;
	if (user && outbox_count(clients->outbox) > 0) {
		user->unlogged++;
	} else if (user && peer_may_log(user, now, &left_out)) {
		if (left_out)
			outbox_note(clients->outbox, "%llu refusals of user %u were left out",
				    (unsigned long long)left_out, uid);
		outbox_note(clients->outbox,
			    "a hand-over by process %u of user %u was refused: %s",
			    client->info.pid, uid, why);
	}
}

void client_refuse(struct client *client, int err, const char *why)
{
	if (!client->denied) {
		(void)mnfq_handover_answer(client->source.fd, &client->info, err, why);
		client_log_refusal(client, why);
	}
	client_free(client);
}
