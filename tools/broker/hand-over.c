/* SPDX-License-Identifier: MIT */
/*
 * A client's hand-over, from its request to its reply: pending_request, queued, receiving, pending_reply,
 * and persistent for a client that stays. The broker itself never receives from a client.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "broker/client.h"
#include "broker/netns-track.h"
#include "broker/receivers.h"
#include "common/sys.h"

#define REQUEST_MS 1000
#define REPLY_MS   30000

/* ---- the request ---- */

void hand_over_queue(struct client *client)
{
	client_move(client, &client->clients->queued);
}

/* Called once, until hand_over_await(). What a client sends that was refused is not looked at. */
static void read_request(struct event_source *source, uint32_t events)
{
	struct client *client = (struct client *)source;

	if (client->list != &client->clients->pending_request) /* it was queued meanwhile */
		return;
	if (client->denied)
		client_free(client);
	else if (client_count_unread(client) != 0)
		hand_over_queue(client);
	else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		client_refuse(client, -ECONNRESET,
			      "closed the connection without sending anything");
	else
		hand_over_await(client);
}

void hand_over_await(struct client *client)
{
	const struct loop *loop = client->clients->loop;

	client_move(client, &client->clients->pending_request);
	client->id = 0;
	client->source.ready = read_request;
	loop_change(loop, &client->source, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT);
}

/* ---- a receiver ---- */

/* For this client, and for others of the same user that are queued behind it. */
static void start_receiver(struct client *first)
{
	struct clients *clients = first->clients;
	struct receiver_job jobs[RECEIVER_JOBS_MAX] = { { 0 } };
	const uint32_t uid = first->info.uid;
	struct client *client, *next;
	unsigned int count = 0;

	for (client = first; client && count < RECEIVER_JOBS_MAX; client = next) {
		next = client->next;
		if (client->info.uid != uid)
			continue;
		client->id = outbox_new_id(clients->outbox);
		jobs[count++] = (struct receiver_job){ client->source.fd, client->id, uid,
						       client->info.pid };
		client_move(client, &clients->receiving);
	}
	if (receivers_start(clients->receivers, uid, jobs, count) == 0)
		return;
	for (unsigned int i = 0; i < count; i++)
		hand_over_await(client_find(&clients->receiving, jobs[i].id));
}

/*
 * Starts one for the first client whose user may have one; others do not wait for those who may not.
 * Returns false if there is none.
 */
static bool start_next(struct clients *clients, int64_t now, int64_t *due)
{
	struct client *client, *next;

	for (client = clients->queued.first; client; client = next) {
		const char *why;
		int64_t retry_at;
		int err = receivers_may_start(clients->receivers, client->info.uid, now,
					      &retry_at, &why);

		next = client->next;
		if (err == 0) {
			start_receiver(client);
			return true;
		}
		if (err == -EAGAIN)
			*due = earlier(*due, retry_at);
		else
			client_refuse(client, err, why);
	}
	return false;
}

int64_t hand_over_start(struct clients *clients, int64_t now)
{
	int64_t due = 0;

	while (clients->queued.count > 0 && receivers_ready(clients->receivers) &&
	       start_next(clients, now, &due))
		;
	return clients->queued.count > 0 ? earlier(due, receivers_get_retry(clients->receivers))
					 : due;
}

/* ---- the reply ---- */

/* It left before the server answered, or withdrew what it handed over. */
static void client_left(struct event_source *source, uint32_t events)
{
	struct client *client = (struct client *)source;
	struct clients *clients = client->clients;

	(void)events;
	if (client->info.flags & MNFQ_HANDOVER_KEEP)
		outbox_detach(clients->outbox, client->id);
	else
		netns_track_expect(clients->track, client->id, client->netns);
	client_free(client);
}

static void reply(struct client *client, const struct ipc_msg *answer)
{
	struct clients *clients = client->clients;
	const bool served = answer->error == 0;
	const bool persistent = served && client->info.flags & MNFQ_HANDOVER_KEEP;

	/* Once the client has its reply, its namespace may go. */
	if (served && !persistent)
		netns_track_watch(clients->track, answer, client->netns);
	(void)mnfq_handover_answer(client->source.fd, &client->info, answer->error,
				   answer->text[0] ? answer->text : NULL);
	clients->refused += !served; /* which the server has logged */
	if (persistent)
		client_move(client, &clients->persistent);
	else
		client_free(client);
}

/* The server has the socket. If the client stays, its end of file matters, else only a hang-up. */
static void await_reply(struct client *client)
{
	struct ipc_msg *answer = client->early;
	bool stays = client->info.flags & MNFQ_HANDOVER_KEEP;

	client_move(client, &client->clients->pending_reply);
	client->since = clock_ms();
	client->source.ready = client_left;
	loop_change(client->clients->loop, &client->source, stays ? EPOLLIN | EPOLLRDHUP : 0);
	client->early = NULL;
	if (answer)
		reply(client, answer);
	free(answer);
}

/* The server may have the socket by now, and must not serve what no client knows of. */
static void withdraw(struct client *client, int err, const char *why)
{
	outbox_detach(client->clients->outbox, client->id);
	client_refuse(client, err, why);
}

static void take_answer(struct client *client, const struct receive_result *result)
{
	client->info.flags = result->flags;
	if (result->error == 0) {
		await_reply(client);
	} else if (result->error == -EAGAIN || result->error == -EINTR) {
		hand_over_await(client);
	} else { /* of which the client was informed */
		client_log_refusal(client, result->text);
		client_free(client);
	}
}

void hand_over_take_results(struct clients *clients)
{
	struct receive_result result;
	struct client *client;

	while (receivers_take_result(clients->receivers, &result)) {
		client = client_find(&clients->receiving, result.id);
		if (client && result.outcome == RECEIVE_ANSWERED)
			take_answer(client, &result);
		else if (client && result.outcome == RECEIVE_STUCK)
			withdraw(client, -ETIMEDOUT, "what you sent cannot be closed");
		else if (client)
			hand_over_await(client);
		else if (result.outcome == RECEIVE_STUCK)
			outbox_detach(clients->outbox, result.id);
	}
}

/* The server may have taken the socket before the receiver reported that it passed it on. */
static void keep_early(struct client *client, const struct ipc_msg *answer)
{
	if (!client->early)
		client->early = malloc(sizeof(*client->early));
	if (client->early)
		*client->early = *answer;
	else
		withdraw(client, -ENOMEM, "no memory is left");
}

bool clients_answer(struct clients *clients, const struct ipc_msg *answer)
{
	struct client *client = client_find(&clients->receiving, answer->id);

	if (client) {
		keep_early(client, answer);
		return true;
	}
	client = client_find(&clients->pending_reply, answer->id);
	if (client)
		reply(client, answer);
	return client != NULL;
}

/* ---- time ---- */

/* If it is the broker that is late, what the client sent is there by now. */
static void end_wait(struct client *client)
{
	if (client->denied)
		client_free(client);
	else if (client_count_unread(client) > 0)
		hand_over_queue(client);
	else
		client_refuse(client, -ETIMEDOUT, "you sent nothing for a second");
}

int64_t hand_over_run_timers(struct clients *clients, int64_t now)
{
	const unsigned int answer_ms = clients->options->answer_ms;
	const int64_t reply_ms = answer_ms ? answer_ms : REPLY_MS;
	struct client *client;
	int64_t due = 0;

	while ((client = clients->pending_request.first) && now - client->since >= REQUEST_MS)
		end_wait(client);
	due = client ? client->since + REQUEST_MS : 0;
	while ((client = clients->pending_reply.first) && now - client->since >= reply_ms)
		withdraw(client, -ETIMEDOUT, "mnfq dump did not answer in time: try again");
	return earlier(due, client ? client->since + reply_ms : 0);
}
