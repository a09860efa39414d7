/* SPDX-License-Identifier: MIT */
/*
 * The porter's peers: strangers who hand a socket over. One that says nothing costs a descriptor
 * for a second, and never more than SILENT_MAX of them; nothing that one does is waited for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "porter-parts.h"

#define SILENT_MAX  1024
#define SILENT_MS   1000
#define WAITING_MAX 1024
#define ANSWER_MS   30000
#define UNSENT_MAX  64  /* so many messages the server may be behind before we stop listening */
#define DEAF_MS     100 /* without descriptors, and nobody to take them from */

struct peer {
	struct source source;
	struct ring ring; /* of those with the same lot */
	int64_t since;
	uint32_t id; /* 0: silent */
	bool answered, unwelcome;
	uint64_t netns; /* where the process was that connected; 0: not known */
	struct mnfq_handover info;
};

/* ---- rings ---- */

static void ring_add(struct ring *list, struct ring *ring)
{
	ring->next = list;
	ring->previous = list->previous;
	list->previous->next = ring;
	list->previous = ring;
}

static void ring_remove(struct ring *ring)
{
	ring->previous->next = ring->next;
	ring->next->previous = ring->previous;
}

static struct peer *peer_of(struct ring *ring)
{
	return (struct peer *)((char *)ring - offsetof(struct peer, ring));
}

/* Who has been in a list for longest, or NULL. */
static struct peer *oldest(struct ring *list)
{
	return list->next == list ? NULL : peer_of(list->next);
}

static struct peer *find_in(const struct ring *list, uint32_t id)
{
	struct ring *ring;

	for (ring = list->next; ring != list; ring = ring->next)
		if (peer_of(ring)->id == id)
			return peer_of(ring);
	return NULL;
}

void peers_init(struct porter *porter)
{
	struct peers *peers = &porter->peers;

	peers->silent.next = peers->silent.previous = &peers->silent;
	peers->waiting.next = peers->waiting.previous = &peers->waiting;
	peers->kept.next = peers->kept.previous = &peers->kept;
}

bool peers_have(const struct porter *porter, uint32_t id)
{
	return find_in(&porter->peers.waiting, id) || find_in(&porter->peers.kept, id);
}

/* ---- the end ---- */

static void part(struct porter *porter, struct peer *peer)
{
	ring_remove(&peer->ring);
	if (peer->id == 0)
		porter->peers.silent_count--;
	else if (!peer->answered)
		porter->peers.waiting_count--;
	close(peer->source.fd);
	free(peer);
}

static void note_on_user(struct porter *porter, const struct peer *peer, uint64_t left_out,
			 const char *why)
{
	if (left_out)
		porter_note(porter, "%llu refusals of user %u were left out",
			    (unsigned long long)left_out, peer->info.uid);
	porter_note(porter, "a hand-over by process %u of user %u was refused: %s",
		    peer->info.pid, peer->info.uid, why);
}

/* Not each: strangers must not be able to fill the operator's log, or to keep others out of it. */
static void note_refusal(struct porter *porter, const struct peer *peer, const char *why)
{
	const int64_t now = clock_ms();
	struct peer_user *user = peer_find_user(&porter->peers.users, peer->info.uid, now);
	uint64_t left_out;

	porter->refused++;
	if (user && porter->unsent_count > 0)
		user->unlogged++;
	else if (user && peer_may_log(user, now, &left_out))
		note_on_user(porter, peer, left_out, why);
}

static void refuse(struct porter *porter, struct peer *peer, int err, const char *why)
{
	if (!peer->unwelcome) {
		(void)mnfq_handover_answer(peer->source.fd, &peer->info, err, why);
		note_refusal(porter, peer, why);
	}
	part(porter, peer);
}

/* ---- the hand-over ---- */

static void waiting_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct peer *peer = (struct peer *)source;

	(void)events;
	if (peer->info.flags & MNFQ_HANDOVER_KEEP)
		porter_detach(porter, peer->id);
	else
		spaces_expect(porter, peer->id, peer->netns);
	part(porter, peer);
}

/* Who keeps the stream is watched for its end; of others only a hang-up matters, no byte. */
static void peers_offer(struct porter *porter, struct peer *peer, int fd)
{
	struct link_message message = { .type = LINK_ATTACH,
					.id = porter_new_id(porter),
					.uid = peer->info.uid,
					.pid = peer->info.pid,
					.flags = peer->info.flags };
	int err;

	memcpy(message.label, peer->info.label, sizeof(message.label));
	err = porter_send(porter, &message, fd);
	if (err < 0) {
		refuse(porter, peer, err, "mnfq dump cannot take it");
		return;
	}
	ring_remove(&peer->ring);
	porter->peers.silent_count--;
	peer->id = message.id;
	peer->since = clock_ms();
	peer->source.ready = waiting_ready;
	ring_add(&porter->peers.waiting, &peer->ring);
	porter->peers.waiting_count++;
	if (!(peer->info.flags & MNFQ_HANDOVER_KEEP))
		porter_change(porter, &peer->source, 0);
}

/* What the server has not taken yet may hold the last one. */
static void take_spare(struct porter *porter)
{
	if (porter->spare < 0)
		porter->spare = fcntl(porter->epoll, F_DUPFD_CLOEXEC, 0);
}

/* There is a descriptor for what comes, also where peers have taken all others. */
static int receive(struct porter *porter, struct peer *peer, char *why, size_t size)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .error = why,
						 .error_size = size };
	int err, fd = -1;

	if (porter->options->plain)
		options.flags = MNFQ_HANDOVER_PLAIN;
	if (porter->spare >= 0)
		close(porter->spare);
	porter->spare = -1;
	err = mnfq_handover_receive(&fd, peer->source.fd, 0, &peer->info, &options);
	if (err == 0)
		peers_offer(porter, peer, fd);
	take_spare(porter);
	return err;
}

/* Whether it is still silent; if not, it may be gone. */
static bool hear(struct porter *porter, struct peer *peer)
{
	char why[LINK_TEXT_SIZE] = "";
	int err = receive(porter, peer, why, sizeof(why));

	if (err == -EAGAIN || err == -EINTR)
		return true;
	if (err < 0) { /* it was answered */
		note_refusal(porter, peer, why);
		part(porter, peer);
	}
	return false;
}

/* What an unwelcome one sends is not even looked at. */
static void silent_ready(struct porter *porter, struct source *source, uint32_t events)
{
	struct peer *peer = (struct peer *)source;

	(void)events;
	if (peer->unwelcome)
		part(porter, peer);
	else
		(void)hear(porter, peer);
}

/* ---- accepting ---- */

static bool is_allowed(const struct porter_options *options, uint32_t uid)
{
	for (unsigned int i = 0; i < options->allowed_count; i++)
		if (options->allowed_uids[i] == uid)
			return true;
	return options->allowed_count == 0;
}

/*
 * Who is not allowed hears it at once, and can still read it after it has sent: the stream is
 * closed when it did, or in a second.
 */
static void check_peer(struct porter *porter, struct peer *peer)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(peer->source.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		refuse(porter, peer, -errno, "the kernel does not tell who you are");
		return;
	}
	peer->info.pid = (uint32_t)cred.pid;
	peer->info.uid = cred.uid;
	peer->netns = spaces_of_process(porter, peer->info.pid);
	if (is_allowed(porter->options, cred.uid)) {
		(void)hear(porter, peer);
		return;
	}
	(void)mnfq_handover_answer(peer->source.fd, &peer->info, -EACCES,
				   "your user may not hand sockets over here: see mnfq dump "
				   "--allow-uid");
	note_refusal(porter, peer, "the user is none of --allow-uid");
	peer->unwelcome = true;
}

static void refuse_oldest(struct porter *porter)
{
	refuse(porter, oldest(&porter->peers.silent), -EBUSY,
	       "too many have connected, and you sent nothing yet: try again");
}

static void meet(struct porter *porter, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		close(fd);
		porter->refused++;
		return;
	}
	if (porter->peers.silent_count >= SILENT_MAX)
		refuse_oldest(porter);
	peer->source = (struct source){ silent_ready, fd };
	peer->info.size = sizeof(peer->info);
	peer->since = clock_ms();
	ring_add(&porter->peers.silent, &peer->ring);
	porter->peers.silent_count++;
	if (porter_add(porter, &peer->source, EPOLLIN | EPOLLRDHUP) < 0)
		refuse(porter, peer, -ENOMEM, "no memory is left");
	else
		check_peer(porter, peer);
}

void peers_accept(struct porter *porter, struct source *listener, uint32_t events)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		meet(porter, fd);
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
		if (oldest(&porter->peers.silent))
			refuse_oldest(porter);
		else
			porter->peers.deaf_until = clock_ms() + DEAF_MS;
		return;
	default:
		/* Never again, or it would be said again and again. */
		porter_note(porter, "nobody can be accepted any more: %s", strerror(errno));
		(void)epoll_ctl(porter->epoll, EPOLL_CTL_DEL, listener->fd, NULL);
	}
}

/* ---- what the server says ---- */

bool peers_answer(struct porter *porter, const struct link_message *message)
{
	struct peer *peer = find_in(&porter->peers.waiting, message->id);
	int err = message->error;

	if (!peer)
		return false;
	(void)mnfq_handover_answer(peer->source.fd, &peer->info, err,
				   message->text[0] ? message->text : NULL);
	if (err < 0) {
		porter->refused++; /* the server has told it */
	} else if (peer->info.flags & MNFQ_HANDOVER_KEEP) {
		ring_remove(&peer->ring);
		porter->peers.waiting_count--;
		peer->answered = true;
		ring_add(&porter->peers.kept, &peer->ring);
		return true;
	} else {
		spaces_expect(porter, peer->id, peer->netns);
	}
	part(porter, peer);
	return true;
}

bool peers_forget(struct porter *porter, uint32_t id)
{
	struct peer *peer = find_in(&porter->peers.kept, id);

	if (!peer)
		peer = find_in(&porter->peers.waiting, id);
	if (peer)
		part(porter, peer);
	return peer != NULL;
}

/* ---- time ---- */

/* If it is us who are late, what it sent is there by now. */
static void end_silence(struct porter *porter, struct peer *peer)
{
	if (peer->unwelcome || hear(porter, peer))
		refuse(porter, peer, -ETIMEDOUT, "you sent nothing for a second");
}

/* The server has them by now, or is about to: it must not serve what nobody knows of. */
static void give_up(struct porter *porter, struct peer *peer)
{
	porter_detach(porter, peer->id);
	refuse(porter, peer, -ETIMEDOUT, "mnfq dump did not answer in time: try again");
}

static void listen_or_not(struct porter *porter, int64_t now)
{
	struct peers *peers = &porter->peers;
	unsigned int i;
	bool deaf;

	if (peers->deaf_until != 0 && now >= peers->deaf_until)
		peers->deaf_until = 0;
	take_spare(porter);
	if (porter->spare < 0 && peers->deaf_until == 0)
		peers->deaf_until = now + DEAF_MS;
	deaf = peers->deaf_until != 0 || porter->unsent_count >= UNSENT_MAX ||
	       peers->waiting_count >= WAITING_MAX;
	if (deaf == peers->deaf)
		return;
	peers->deaf = deaf;
	for (i = 0; i < porter->options->listener_count; i++)
		porter_change(porter, &porter->listeners[i], deaf ? 0 : EPOLLIN);
}

int64_t peers_tend(struct porter *porter, int64_t now)
{
	const struct porter_options *options = porter->options;
	const int64_t answer_ms = options->answer_ms ? options->answer_ms : ANSWER_MS;
	struct peer *silent, *waiting;

	while ((silent = oldest(&porter->peers.silent)) && now - silent->since >= SILENT_MS)
		end_silence(porter, silent);
	while ((waiting = oldest(&porter->peers.waiting)) && now - waiting->since >= answer_ms)
		give_up(porter, waiting);
	listen_or_not(porter, now);
	return porter_earlier(porter->peers.deaf_until,
			      porter_earlier(silent ? silent->since + SILENT_MS : 0,
					     waiting ? waiting->since + answer_ms : 0));
}
