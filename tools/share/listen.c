/* SPDX-License-Identifier: MIT */
/*
 * mnfq share --listen: a socket for each client. It is sent as soon as the client connects, and the answers are
 * awaited in parallel, so that no client delays another.
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

#define CLIENTS_MAX 256  /* whose answers are awaited; the oldest makes way for one more */
#define CLIENT_MS   5000 /* to wait for each answer */
#define ACCEPT_MAX  32   /* clients accepted before answers are read */
#define PAUSE_MS    100  /* before accepting again when descriptors have run out */

/* Newer than some C libraries; numbered like this where the others are. */
#if !defined(SO_PASSRIGHTS) && SO_PASSCRED == 16
#define SO_PASSRIGHTS 83
#endif

struct client {
	int stream;
	int64_t deadline;
	struct ucred cred;
};

struct sharer {
	const struct share_options *opts;
	struct unix_listener listener;
	int signals;
	bool accept_paused;                 /* no descriptor is left */
	struct client clients[CLIENTS_MAX]; /* oldest first */
	unsigned int client_count;
};

static void close_client(struct sharer *sharer, unsigned int i)
{
	close(sharer->clients[i].stream);
	sharer->client_count--;
	memmove(&sharer->clients[i], &sharer->clients[i + 1],
		(sharer->client_count - i) * sizeof(sharer->clients[0]));
}

static bool is_allowed(const struct share_options *opts, uid_t uid)
{
	for (unsigned int i = 0; i < opts->allowed.count; i++)
		if (opts->allowed.uids[i] == uid)
			return true;
	return opts->allowed.count == 0;
}

static bool is_shortage(int err)
{
	return err == -EMFILE || err == -ENFILE;
}

/* When descriptors run out, clients that have their socket make way. */
static int send_socket(struct sharer *sharer, int stream, char *error, size_t error_size)
{
	int err = share_send(sharer->opts, stream, 0, error, error_size);

	while (is_shortage(err) && sharer->client_count > 0) {
		close_client(sharer, 0);
		err = share_send(sharer->opts, stream, 0, error, error_size);
	}
	return err;
}

/* Returns whether it was sent. */
static bool serve_client(struct sharer *sharer, const struct client *client)
{
	char error[MNFQ_ERRMSG_SIZE];
	int err;

	if (!is_allowed(sharer->opts, client->cred.uid)) {
		snprintf(error, sizeof(error), "user %u is not allowed to fetch sockets here",
			 client->cred.uid);
		err = -EACCES;
	} else {
		err = send_socket(sharer, client->stream, error, sizeof(error));
	}
	if (err < 0) {
		fail(SHARE_NAME, "refused pid %d, uid %u: %s", (int)client->cred.pid,
		     client->cred.uid, error);
		(void)mnfq_handover_answer(client->stream, NULL, err, error);
		return false;
	}
	fprintf(stderr, "socket sent to pid %d, uid %u\n", (int)client->cred.pid,
		client->cred.uid);
	return true;
}

static void accept_client(struct sharer *sharer, int stream)
{
	struct client client = { .stream = stream, .deadline = clock_ms() + CLIENT_MS };
	socklen_t len = sizeof(client.cred);

	if (getsockopt(stream, SOL_SOCKET, SO_PEERCRED, &client.cred, &len) < 0 ||
	    !serve_client(sharer, &client)) {
		close(stream);
		return;
	}
	if (sharer->client_count == CLIENTS_MAX)
		close_client(sharer, 0);
	sharer->clients[sharer->client_count++] = client;
}

static void accept_clients(struct sharer *sharer)
{
	int stream;

	for (int i = 0; i < ACCEPT_MAX; i++) {
		stream = accept4(sharer->listener.fd, NULL, NULL, SOCK_CLOEXEC);
		if (stream >= 0) {
			accept_client(sharer, stream);
		} else if (is_shortage(-errno) || errno == ENOMEM || errno == ENOBUFS) {
			sharer->accept_paused = sharer->client_count == 0;
			if (sharer->accept_paused)
				return;
			close_client(sharer, 0);
		} else if (errno != ECONNABORTED) {
			return;
		}
	}
}

/* Returns whether the client is done. A program without libmnfq does not answer. */
static bool read_answer(const struct client *client)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	const struct mnfq_handover_options options = { .size = sizeof(options),
						       .error = error,
						       .error_size = sizeof(error) };
	int err = mnfq_handover_wait(client->stream, 0, &options);

	if (err == -EAGAIN)
		return false;
	if (err < 0 && err != -ECONNRESET && err != -EBADMSG)
		fail(SHARE_NAME, "pid %d, uid %u refused the socket: %s", (int)client->cred.pid,
		     client->cred.uid, error);
	return true;
}

/* Backwards, since closing one moves those behind it. */
static void read_answers(struct sharer *sharer, const struct pollfd *fds)
{
	int64_t now = clock_ms();

	for (unsigned int i = sharer->client_count; i-- > 0;)
		if ((fds[i].revents && read_answer(&sharer->clients[i])) ||
		    sharer->clients[i].deadline <= now)
			close_client(sharer, i);
}

static int get_timeout(const struct sharer *sharer)
{
	int64_t left;

	if (sharer->accept_paused)
		return PAUSE_MS;
	if (sharer->client_count == 0)
		return -1;
	left = sharer->clients[0].deadline - clock_ms();
	return left > 0 ? (int)left : 0;
}

static int serve_clients(struct sharer *sharer)
{
	struct pollfd fds[2 + CLIENTS_MAX];

	for (;;) {
		fds[0] = (struct pollfd){ .fd = sharer->signals, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = sharer->listener.fd,
					  .events = sharer->accept_paused ? 0 : POLLIN };
		for (unsigned int i = 0; i < sharer->client_count; i++)
			fds[2 + i] = (struct pollfd){ .fd = sharer->clients[i].stream,
						      .events = POLLIN };
		if (poll(fds, 2 + sharer->client_count, get_timeout(sharer)) < 0 &&
		    errno != EINTR)
			return fail(SHARE_NAME, "cannot poll: %s", strerror(errno));
		if (fds[0].revents)
			return EXIT_SUCCESS;
		sharer->accept_paused = false;
		read_answers(sharer, fds + 2);
		if (fds[1].revents)
			accept_clients(sharer);
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
		status = serve_clients(&sharer);
	}
	while (sharer.client_count > 0)
		close_client(&sharer, 0);
	unix_unlisten(&sharer.listener);
	return status;
}
