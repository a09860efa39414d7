/* SPDX-License-Identifier: MIT */
/*
 * mnfq share --listen: a socket for each who connects. It is sent at once, so what is left to wait
 * for is the answer, and nobody has to wait for anybody.
 */
#include <errno.h>
#include <mnfq/handover.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/program.h"
#include "common/sys.h"
#include "common/unix-socket.h"
#include "share/share.h"

#define PEERS_MAX   256  /* whose answers are awaited; beyond that the oldest goes */
#define PEER_MS     5000 /* how long each is */
#define ROUND_MAX   32   /* who are let in before answers are looked at */
#define SHORTAGE_MS 100  /* until the next try when there is no descriptor for a peer */

/* Newer than some C libraries; numbered like this where the others are. */
#if !defined(SO_PASSRIGHTS) && SO_PASSCRED == 16
#define SO_PASSRIGHTS 83
#endif

struct peer {
	int stream;
	int64_t deadline;
	struct ucred who;
};

struct sharer {
	const struct share_options *opts;
	struct unix_listener listener;
	int signals;
	bool shortage;
	struct peer peers[PEERS_MAX]; /* the oldest first */
	unsigned int peer_count;
};

static void drop_peer(struct sharer *sharer, unsigned int i)
{
	close(sharer->peers[i].stream);
	sharer->peer_count--;
	memmove(&sharer->peers[i], &sharer->peers[i + 1],
		(sharer->peer_count - i) * sizeof(sharer->peers[0]));
}

static bool is_allowed(const struct share_options *opts, uid_t uid)
{
	for (unsigned int i = 0; i < opts->uid_count; i++)
		if (opts->uids[i] == uid)
			return true;
	return opts->uid_count == 0;
}

static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE;
}

/* When there is no descriptor left, who has got what it came for makes room. */
static int send_one(struct sharer *sharer, int stream, char *error, size_t error_size)
{
	int err = share_send(sharer->opts, stream, 0, error, error_size);

	while (is_shortage(err) && sharer->peer_count > 0) {
		drop_peer(sharer, 0);
		err = share_send(sharer->opts, stream, 0, error, error_size);
	}
	return err;
}

/* Whether it got one. */
static bool give(struct sharer *sharer, const struct peer *peer)
{
	char error[MNFQ_ERRMSG_SIZE];
	int err;

	if (!is_allowed(sharer->opts, peer->who.uid)) {
		snprintf(error, sizeof(error), "user %u may not fetch sockets here",
			 peer->who.uid);
		err = -EACCES;
	} else {
		err = send_one(sharer, peer->stream, error, sizeof(error));
	}
	if (err < 0) {
		fail(SHARE_NAME, "nothing for pid %d, uid %u: %s", (int)peer->who.pid,
		     peer->who.uid, error);
		(void)mnfq_handover_answer(peer->stream, NULL, err, error);
		return false;
	}
	fprintf(stderr, "gave a socket to pid %d, uid %u\n", (int)peer->who.pid, peer->who.uid);
	return true;
}

static void listen_meet(struct sharer *sharer, int stream)
{
	struct peer peer = { .stream = stream, .deadline = clock_ms() + PEER_MS };
	socklen_t len = sizeof(peer.who);

	if (getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &peer.who, &len) < 0 ||
	    !give(sharer, &peer)) {
		close(stream);
		return;
	}
	if (sharer->peer_count == PEERS_MAX)
		drop_peer(sharer, 0);
	sharer->peers[sharer->peer_count++] = peer;
}

static void meet_some(struct sharer *sharer)
{
	int stream;

	for (int i = 0; i < ROUND_MAX; i++) {
		stream = accept4(sharer->listener.fd, NULL, NULL, SOCK_CLOEXEC);
		if (stream >= 0) {
			listen_meet(sharer, stream);
		} else if (is_shortage(-errno)) {
			sharer->shortage = sharer->peer_count == 0;
			if (sharer->shortage)
				return;
			drop_peer(sharer, 0);
		} else if (errno != ECONNABORTED) {
			return;
		}
	}
}

/* Whether it has said all that we want to hear. A program that knows no protocol says nothing. */
static bool hear(const struct peer *peer)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	const struct mnfq_handover_options options = { .size = sizeof(options),
						       .error = error,
						       .error_size = sizeof(error) };
	int err = mnfq_handover_wait(peer->stream, 0, &options);

	if (err == -EAGAIN)
		return false;
	if (err < 0 && err != -ECONNRESET && err != -EBADMSG)
		fail(SHARE_NAME, "pid %d, uid %u has not taken it: %s", (int)peer->who.pid,
		     peer->who.uid, error);
	return true;
}

/* From the last to the first, so that those who go leave the numbers of the others alone. */
static void hear_all(struct sharer *sharer, const struct pollfd *fds)
{
	int64_t now = clock_ms();

	for (unsigned int i = sharer->peer_count; i-- > 0;)
		if ((fds[i].revents && hear(&sharer->peers[i])) ||
		    sharer->peers[i].deadline <= now)
			drop_peer(sharer, i);
}

static int get_timeout(const struct sharer *sharer)
{
	int64_t left;

	if (sharer->shortage)
		return SHORTAGE_MS;
	if (sharer->peer_count == 0)
		return -1;
	left = sharer->peers[0].deadline - clock_ms();
	return left > 0 ? (int)left : 0;
}

static int listen_serve(struct sharer *sharer)
{
	struct pollfd fds[2 + PEERS_MAX];

	for (;;) {
		fds[0] = (struct pollfd){ .fd = sharer->signals, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = sharer->listener.fd,
					  .events = sharer->shortage ? 0 : POLLIN };
		for (unsigned int i = 0; i < sharer->peer_count; i++)
			fds[2 + i] = (struct pollfd){ .fd = sharer->peers[i].stream,
						      .events = POLLIN };
		if (poll(fds, 2 + sharer->peer_count, get_timeout(sharer)) < 0 && errno != EINTR)
			return fail(SHARE_NAME, "cannot wait: %s", strerror(errno));
		if (fds[0].revents)
			return EXIT_SUCCESS;
		sharer->shortage = false;
		hear_all(sharer, fds + 2);
		if (fds[1].revents)
			meet_some(sharer);
	}
}

/*
 * Peers have no descriptors to send: closing them would take as long as they like. Accepted streams are like
 * their listener. Linux has this since 6.16.
 */
static void refuse_descriptors(int fd)
{
#ifdef SO_PASSRIGHTS
	const int no = 0;

	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof(no));
#else
	(void)fd;
#endif
}

int share_listen(const struct share_options *opts)
{
	struct sharer sharer = { .opts = opts };
	char error[512];
	int status;

	sharer.signals = share_catch_signals(0);
	if (sharer.signals < 0)
		return fail(SHARE_NAME, "cannot catch signals: %s", strerror(-sharer.signals));
	if (unix_listen(&sharer.listener, opts->listen, opts->mode, error, sizeof(error)) < 0)
		return fail(SHARE_NAME, "%s", error);
	refuse_descriptors(sharer.listener.fd);
	status = share_enter_sandbox(opts);
	if (!status) {
		fprintf(stderr, "listening at %s, mode 0%o\n", opts->listen,
			(unsigned int)opts->mode);
		status = listen_serve(&sharer);
	}
	while (sharer.peer_count > 0)
		drop_peer(&sharer, 0);
	unix_unlisten(&sharer.listener);
	return status;
}
