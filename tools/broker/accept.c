/* SPDX-License-Identifier: MIT */
/* Accepting clients: who may hand over, how many there can be, and what happens without descriptors. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/client.h"
#include "broker/netns-track.h"
#include "broker/policy.h"
#include "broker/receivers.h"
#include "common/sys.h"

#define PENDING_MAX 1024 /* pending_request and queued */
#define REPLIES_MAX 1024 /* pending_reply */
#define CLOSING_MAX 1024
#define LATE_MAX    64  /* how many messages, or queued clients, the server may be behind */
#define RESUME_MS   100 /* without descriptors, and without a client to take one from */

/*
 * A client that may not hand over is informed at once, and can read that after it has sent: the stream is
 * closed when it did, or in a second.
 */
static void check_client(struct client *client)
{
	const struct broker_options *options = client->clients->options;
	const struct peer_rules rules = { .allowed_uids = options->allowed_uids,
					  .allowed_count = options->allowed_count };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	const char *why;

	if (getsockopt(client->source.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		client_refuse(client, -errno, "the kernel does not report your user");
		return;
	}
	client->info.pid = (uint32_t)cred.pid;
	client->info.uid = cred.uid;
	client->netns = netns_track_of_process(client->clients->track, client->info.pid);
	if (peer_check_uid(&rules, cred.uid, &why) == 0)
		return;
	(void)mnfq_handover_answer(client->source.fd, &client->info, -EACCES, why);
	client_log_refusal(client, "the user is none of --allow-uid");
	client->denied = true;
}

/* The oldest one that sent nothing. Returns false if there is none: one may have sent something by now. */
static bool refuse_pending(struct clients *clients)
{
	struct client *client;

	while ((client = clients->pending_request.first) && !client->denied &&
	       client_count_unread(client) > 0)
		hand_over_queue(client);
	if (client)
		client_refuse(
			client, -EBUSY,
			"too many clients are connected, and you sent nothing yet: try again");
	return client;
}

static void make_client_room(struct clients *clients)
{
	if (clients->pending_request.count + clients->queued.count >= PENDING_MAX &&
	    !refuse_pending(clients))
		client_refuse(clients->queued.first, -EBUSY,
			      "too many clients are connected: try again");
}

static void accept_client(struct clients *clients, int fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		clients->refused++;
		return;
	}
	make_client_room(clients);
	client->clients = clients;
	client->source.fd = fd;
	client->info.size = sizeof(client->info);
	client->since = clock_ms();
	if (loop_add(clients->loop, &client->source, 0) < 0) {
		client_move(client, &clients->pending_request);
		client_refuse(client, -ENOMEM, "no memory is left");
		return;
	}
	hand_over_await(client);
	check_client(client);
}

void accept_ready(struct event_source *listener, uint32_t events)
{
	struct clients *clients = listener->owner;
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		accept_client(clients, fd);
		return;
	}
	switch (errno) {
	case EAGAIN:
	case EINTR:
	case ECONNABORTED:
		return;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
		if (!refuse_pending(clients))
			clients->accept_resume_at = clock_ms() + RESUME_MS;
		return;
	default:
		/* Never again, or it would be reported again and again. */
		outbox_note(clients->outbox, "cannot accept connections any more: %s",
			    strerror(errno));
		loop_remove(clients->loop, listener);
	}
}

static bool must_pause(const struct clients *clients)
{
	return clients->accept_resume_at != 0 || outbox_count(clients->outbox) >= LATE_MAX ||
	       clients->pending_reply.count >= REPLIES_MAX ||
	       clients->closing.count >= CLOSING_MAX ||
	       (clients->queued.count >= LATE_MAX && !receivers_ready(clients->receivers));
}

int64_t accept_run_timers(struct clients *clients, int64_t now)
{
	bool pause;

	if (clients->accept_resume_at != 0 && now >= clients->accept_resume_at)
		clients->accept_resume_at = 0;
	if (!receivers_reserve(clients->receivers) && clients->accept_resume_at == 0)
		clients->accept_resume_at = now + RESUME_MS;
	pause = must_pause(clients);
	if (pause == clients->accept_paused)
		return clients->accept_resume_at;
	clients->accept_paused = pause;
	for (unsigned int i = 0; i < clients->options->listener_count; i++)
		loop_change(clients->loop, &clients->listeners[i], pause ? 0 : EPOLLIN);
	return clients->accept_resume_at;
}
