/* SPDX-License-Identifier: MIT */
/*
 * The broker's peers: strangers who hand a socket over. One that says nothing costs a descriptor
 * for a second, and never more than SILENT_MAX of them; nothing that one does is waited for. What one
 * says is received by a receiver, and so is closed what nobody received.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <mnfq/handover.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "broker/internal.h"
#include "common/sys.h"

#define SILENT_MAX  1024 /* with those who are queued */
#define SILENT_MS   1000
#define WAITING_MAX 1024
#define CLOSING_MAX 1024
#define ANSWER_MS   30000
#define UNSENT_MAX  64  /* so far the server may be behind before we stop listening */
#define DEAF_MS     100 /* without descriptors, and nobody to take them from */
#define CLOSE_MS    10  /* those who leave together need one receiver */

struct peer {
	struct source source;
	struct ring ring;    /* of those with the same lot */
	unsigned int *count; /* of that ring, or NULL */
	int64_t since;
	uint64_t id; /* 0: a receiver never had it */
	bool unwelcome;
	uint64_t netns; /* where the process was that connected; 0: not known */
	struct mnfq_handover info;
	struct ipc_msg *early; /* the server's answer, while the receiver's did not come */
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

static struct peer *find_in(const struct ring *list, uint64_t id)
{
	struct ring *ring;

	for (ring = list->next; ring != list; ring = ring->next)
		if (peer_of(ring)->id == id)
			return peer_of(ring);
	return NULL;
}

/* From one lot to the next. @count: of the next, or NULL. */
static void move(struct peer *peer, struct ring *list, unsigned int *count)
{
	if (peer->count)
		--*peer->count;
	ring_remove(&peer->ring);
	ring_add(list, &peer->ring);
	peer->count = count;
	if (count)
		++*count;
}

void peers_init(struct broker *broker)
{
	struct peers *peers = &broker->peers;
	struct ring *lists[] = { &peers->silent,  &peers->queued, &peers->working,
				 &peers->waiting, &peers->kept,   &peers->closing };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		lists[i]->next = lists[i]->previous = lists[i];
}

static struct peer *find(const struct broker *broker, uint64_t id)
{
	const struct peers *peers = &broker->peers;
	struct peer *peer = find_in(&peers->working, id);

	if (!peer)
		peer = find_in(&peers->waiting, id);
	return peer ? peer : find_in(&peers->kept, id);
}

/* ---- the end ---- */

/* So much that it sent was not received. */
static int unread(int stream)
{
	int bytes = 0;

	return ioctl(stream, SIOCINQ, &bytes) < 0 ? -errno : bytes;
}

/* A copy that a receiver has would keep it in the loop. */
static void close_peer(struct broker *broker, struct peer *peer)
{
	(void)epoll_ctl(broker->epoll, EPOLL_CTL_DEL, peer->source.fd, NULL);
	close(peer->source.fd);
	ring_remove(&peer->ring);
	if (peer->count)
		--*peer->count;
	free(peer->early);
	free(peer);
}

/* Once it is shut down, nothing can get into a stream; while something is in there, we do not close it. */
static void part(struct broker *broker, struct peer *peer)
{
	struct peers *peers = &broker->peers;

	if (shutdown(peer->source.fd, SHUT_RDWR) == 0 && unread(peer->source.fd) == 0) {
		close_peer(broker, peer);
		return;
	}
	(void)epoll_ctl(broker->epoll, EPOLL_CTL_DEL, peer->source.fd, NULL);
	move(peer, &peers->closing, &peers->closing_count);
	if (peers->close_until == 0)
		peers->close_until = clock_ms() + CLOSE_MS;
}

/* What nobody received, of as many as a receiver takes. In its end sockets do not linger. */
static void close_closing(struct broker *broker, int64_t now)
{
	struct peers *peers = &broker->peers;
	struct receiver_job jobs[RECEIVER_JOBS_MAX] = { { 0 } };
	struct receiver *holder;
	struct ring *ring = peers->closing.next;
	unsigned int i, count = 0;

	if (peers->close_until == 0 || now < peers->close_until)
		return;
	for (; ring != &peers->closing && count < RECEIVER_JOBS_MAX; ring = ring->next)
		jobs[count++] = (struct receiver_job){ .stream = peer_of(ring)->source.fd };
	holder = receivers_hold(broker, jobs, count);
	if (holder) {
		for (i = 0; i < count; i++)
			close_peer(broker, oldest(&peers->closing));
		receivers_release(broker, holder);
	}
	peers->close_until = !peers->closing_count ? 0 : now + (holder ? 0 : DEAF_MS);
}

static void note_on_user(struct broker *broker, const struct peer *peer, uint64_t left_out,
			 const char *why)
{
	if (left_out)
		broker_note(broker, "%llu refusals of user %u were left out",
			    (unsigned long long)left_out, peer->info.uid);
	broker_note(broker, "a hand-over by process %u of user %u was refused: %s",
		    peer->info.pid, peer->info.uid, why);
}

/* Not each: strangers must not be able to fill the operator's log, or to keep others out of it. */
static void note_refusal(struct broker *broker, const struct peer *peer, const char *why)
{
	const int64_t now = clock_ms();
	struct peer_user *user = peer_find_user(&broker->receivers.users, peer->info.uid, now);
	uint64_t left_out;

	broker->refused++;
	if (user && broker->unsent_count > 0)
		user->unlogged++;
	else if (user && peer_may_log(user, now, &left_out))
		note_on_user(broker, peer, left_out, why);
}

static void refuse(struct broker *broker, struct peer *peer, int err, const char *why)
{
	if (!peer->unwelcome) {
		(void)mnfq_handover_answer(peer->source.fd, &peer->info, err, why);
		note_refusal(broker, peer, why);
	}
	part(broker, peer);
}

/* ---- the hand-over ---- */

static void waiting_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct peer *peer = (struct peer *)source;

	(void)events;
	if (peer->info.flags & MNFQ_HANDOVER_KEEP)
		broker_detach(broker, peer->id);
	else
		netns_track_expect(broker, peer->id, peer->netns);
	part(broker, peer);
}

/* The server has it. Who keeps the stream is watched for its end; of others only a hang-up matters. */
static void wait_for_answer(struct broker *broker, struct peer *peer)
{
	struct ipc_msg *answer = peer->early;
	bool keeps = peer->info.flags & MNFQ_HANDOVER_KEEP;

	move(peer, &broker->peers.waiting, &broker->peers.waiting_count);
	peer->since = clock_ms();
	peer->source.ready = waiting_ready;
	broker_change(broker, &peer->source, keeps ? EPOLLIN | EPOLLRDHUP : 0);
	if (!answer)
		return;
	peer->early = NULL;
	(void)peers_answer(broker, answer);
	free(answer);
}

static void listen_to(struct broker *broker, struct peer *peer)
{
	move(peer, &broker->peers.silent, &broker->peers.silent_count);
	peer->id = 0;
	broker_change(broker, &peer->source, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT);
}

void peers_received(struct broker *broker, const struct ipc_msg *answer)
{
	struct peer *peer = find_in(&broker->peers.working, answer->id);

	if (!peer)
		return;
	peer->info.flags = answer->flags;
	if (answer->error == 0) {
		wait_for_answer(broker, peer);
	} else if (answer->error == -EAGAIN || answer->error == -EINTR) {
		listen_to(broker, peer);
	} else { /* it has heard that */
		note_refusal(broker, peer, answer->text);
		part(broker, peer);
	}
}

/* The server may have it by now, and must not serve what nobody knows of. */
void peers_lost(struct broker *broker, uint64_t id)
{
	struct peer *peer = find_in(&broker->peers.working, id);

	broker_detach(broker, id);
	if (peer)
		refuse(broker, peer, -ETIMEDOUT, "what you sent cannot be closed");
}

void peers_not_received(struct broker *broker, uint64_t id)
{
	struct peer *peer = find_in(&broker->peers.working, id);

	if (peer)
		listen_to(broker, peer);
}

/* A receiver for this peer, and for others of the same user that wait behind it. */
static void start_receiver(struct broker *broker, struct peer *first)
{
	struct receiver_job jobs[RECEIVER_JOBS_MAX] = { { 0 } };
	struct ring *list = &broker->peers.queued, *ring, *next;
	const uint32_t uid = first->info.uid;
	unsigned int count = 0;

	for (ring = &first->ring; ring != list && count < RECEIVER_JOBS_MAX; ring = next) {
		struct peer *peer = peer_of(ring);

		next = ring->next;
		if (peer->info.uid != uid)
			continue;
		peer->id = broker_new_id(broker);
		jobs[count++] =
			(struct receiver_job){ peer->source.fd, peer->id, uid, peer->info.pid };
		move(peer, &broker->peers.working, NULL);
	}
	if (receivers_start(broker, uid, jobs, count) < 0)
		for (unsigned int i = 0; i < count; i++)
			peers_not_received(broker, jobs[i].id);
}

/*
 * The next who is queued and whose user may; others do not wait for those who may not. Returns false if
 * there is none.
 */
static bool give_next(struct broker *broker, int64_t now, int64_t *due)
{
	struct ring *list = &broker->peers.queued, *ring, *next;

	for (ring = list->next; ring != list; ring = next) {
		struct peer *peer = peer_of(ring);
		int64_t retry_at;
		int err = receivers_may(broker, peer->info.uid, now, &retry_at);

		next = ring->next;
		if (err == 0) {
			start_receiver(broker, peer);
			return true;
		}
		if (err == -EAGAIN)
			*due = earlier_of(*due, retry_at);
		else
			refuse(broker, peer, err,
			       "too much that you sent cannot be closed: try again later");
	}
	return false;
}

/* Returns when to call again; 0: never. */
static int64_t give_queued(struct broker *broker, int64_t now)
{
	int64_t due = 0;

	while (broker->peers.queued_count > 0 && receivers_ready(broker) &&
	       give_next(broker, now, &due))
		;
	return due;
}

/* What an unwelcome one sends is not even looked at. It is here once, until somebody listens again. */
static void silent_ready(struct broker *broker, struct source *source, uint32_t events)
{
	struct peer *peer = (struct peer *)source;

	if (peer->count != &broker->peers.silent_count) /* it was queued meanwhile */
		return;
	if (peer->unwelcome)
		part(broker, peer);
	else if (unread(source->fd) != 0)
		move(peer, &broker->peers.queued, &broker->peers.queued_count);
	else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		refuse(broker, peer, -ECONNRESET, "the other side has gone without a word");
	else
		listen_to(broker, peer);
}

/* ---- accepting ---- */

/*
 * Who is not allowed hears it at once, and can still read it after it has sent: the stream is
 * closed when it did, or in a second.
 */
static void check_peer(struct broker *broker, struct peer *peer)
{
	const struct peer_rules rules = { .allowed_uids = broker->options->allowed_uids,
					  .allowed_count = broker->options->allowed_count };
	struct ucred cred;
	socklen_t len = sizeof(cred);
	const char *why;

	if (getsockopt(peer->source.fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0) {
		refuse(broker, peer, -errno, "the kernel does not tell who you are");
		return;
	}
	peer->info.pid = (uint32_t)cred.pid;
	peer->info.uid = cred.uid;
	peer->netns = netns_track_of_process(broker, peer->info.pid);
	if (peer_check_uid(&rules, cred.uid, &why) == 0)
		return;
	(void)mnfq_handover_answer(peer->source.fd, &peer->info, -EACCES, why);
	note_refusal(broker, peer, "the user is none of --allow-uid");
	peer->unwelcome = true;
}

/* Returns false if there is none: one may have sent something by now. */
static bool refuse_silent(struct broker *broker)
{
	struct peers *peers = &broker->peers;
	struct peer *silent;

	while ((silent = oldest(&peers->silent)) && !silent->unwelcome &&
	       unread(silent->source.fd) > 0)
		move(silent, &peers->queued, &peers->queued_count);
	if (silent)
		refuse(broker, silent, -EBUSY,
		       "too many have connected, and you sent nothing yet: try again");
	return silent;
}

static void meet(struct broker *broker, int fd)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (!peer) {
		close(fd);
		broker->refused++;
		return;
	}
	if (broker->peers.silent_count + broker->peers.queued_count >= SILENT_MAX &&
	    !refuse_silent(broker))
		refuse(broker, oldest(&broker->peers.queued), -EBUSY,
		       "too many have connected: try again");
	peer->source = (struct source){ silent_ready, fd };
	peer->info.size = sizeof(peer->info);
	peer->since = clock_ms();
	ring_add(&broker->peers.silent, &peer->ring);
	peer->count = &broker->peers.silent_count;
	++*peer->count;
	if (broker_add(broker, &peer->source, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT) < 0)
		refuse(broker, peer, -ENOMEM, "no memory is left");
	else
		check_peer(broker, peer);
}

void peers_accept(struct broker *broker, struct source *listener, uint32_t events)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0) {
		meet(broker, fd);
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
		if (!refuse_silent(broker))
			broker->peers.deaf_until = clock_ms() + DEAF_MS;
		return;
	default:
		/* Never again, or it would be said again and again. */
		broker_note(broker, "nobody can be accepted any more: %s", strerror(errno));
		(void)epoll_ctl(broker->epoll, EPOLL_CTL_DEL, listener->fd, NULL);
	}
}

/* ---- what the server says ---- */

/* It may have taken the socket before the receiver told us that it passed that on. */
static void keep_early(struct broker *broker, struct peer *peer, const struct ipc_msg *answer)
{
	if (!peer->early)
		peer->early = malloc(sizeof(*peer->early));
	if (peer->early)
		*peer->early = *answer;
	else
		peers_lost(broker, peer->id);
}

bool peers_answer(struct broker *broker, const struct ipc_msg *message)
{
	struct peer *working = find_in(&broker->peers.working, message->id);
	struct peer *peer = find_in(&broker->peers.waiting, message->id);
	int err = message->error;
	bool keeps;

	if (working)
		keep_early(broker, working, message);
	if (!peer)
		return working != NULL;
	keeps = err == 0 && peer->info.flags & MNFQ_HANDOVER_KEEP;
	/* Once the client has its answer its namespace may go. */
	if (err == 0 && !keeps)
		netns_track_watch(broker, message, peer->netns);
	(void)mnfq_handover_answer(peer->source.fd, &peer->info, err,
				   message->text[0] ? message->text : NULL);
	broker->refused += err < 0; /* the server has logged it */
	if (keeps)
		move(peer, &broker->peers.kept, NULL);
	else
		part(broker, peer);
	return true;
}

bool peers_forget(struct broker *broker, uint64_t id)
{
	struct peer *peer = find(broker, id);

	if (peer)
		part(broker, peer);
	return peer != NULL;
}

/* ---- time ---- */

/* If it is us who are late, what it sent is there by now. */
static void end_silence(struct broker *broker, struct peer *peer)
{
	if (!peer->unwelcome && unread(peer->source.fd) > 0)
		move(peer, &broker->peers.queued, &broker->peers.queued_count);
	else if (peer->unwelcome)
		part(broker, peer);
	else
		refuse(broker, peer, -ETIMEDOUT, "you sent nothing for a second");
}

/* The server has them by now, or is about to: it must not serve what nobody knows of. */
static void give_up(struct broker *broker, struct peer *peer)
{
	broker_detach(broker, peer->id);
	refuse(broker, peer, -ETIMEDOUT, "mnfq dump did not answer in time: try again");
}

static void listen_or_not(struct broker *broker, int64_t now)
{
	struct peers *peers = &broker->peers;
	unsigned int i;
	bool deaf;

	if (peers->deaf_until != 0 && now >= peers->deaf_until)
		peers->deaf_until = 0;
	if (!receivers_take_spare(broker) && peers->deaf_until == 0)
		peers->deaf_until = now + DEAF_MS;
	deaf = peers->deaf_until != 0 || broker->unsent_count >= UNSENT_MAX ||
	       peers->waiting_count >= WAITING_MAX || peers->closing_count >= CLOSING_MAX ||
	       (peers->queued_count >= UNSENT_MAX && !receivers_ready(broker));
	if (deaf == peers->deaf)
		return;
	peers->deaf = deaf;
	for (i = 0; i < broker->options->listener_count; i++)
		broker_change(broker, &broker->listeners[i], deaf ? 0 : EPOLLIN);
}

int64_t peers_tend(struct broker *broker, int64_t now)
{
	const struct broker_options *options = broker->options;
	const int64_t answer_ms = options->answer_ms ? options->answer_ms : ANSWER_MS;
	struct peer *silent, *waiting;
	int64_t due;

	while ((silent = oldest(&broker->peers.silent)) && now - silent->since >= SILENT_MS)
		end_silence(broker, silent);
	while ((waiting = oldest(&broker->peers.waiting)) && now - waiting->since >= answer_ms)
		give_up(broker, waiting);
	due = give_queued(broker, now);
	close_closing(broker, now);
	listen_or_not(broker, now);
	due = earlier_of(due, broker->peers.deaf_until);
	due = earlier_of(due, broker->peers.close_until);
	return earlier_of(due, earlier_of(silent ? silent->since + SILENT_MS : 0,
					  waiting ? waiting->since + answer_ms : 0));
}
