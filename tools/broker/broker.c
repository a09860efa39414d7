/* SPDX-License-Identifier: MIT */
/*
 * The broker: its parts, its main loop, and the messages of the server. It never has a descriptor of a
 * client, and never closes the last copy of a stream in which one may be: that may take as long as the
 * client likes. So it never waits.
 */
#include "broker/broker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "broker/clients.h"
#include "broker/ipc.h"
#include "broker/loop.h"
#include "broker/netns-track.h"
#include "broker/outbox.h"
#include "broker/policy.h"
#include "broker/receivers.h"
#include "common/sys.h"
#include "sandbox/sandbox.h"

struct broker {
	struct loop loop;
	struct event_source ipc;     /* to the server */
	struct event_source channel; /* to the keeper */
	struct outbox *outbox;
	struct peer_users users;
	struct netns_track *track;
	struct receivers *receivers;
	struct clients *clients;
};

/* ---- messages ---- */

/* Ids that are not known any more are normal: messages cross on their way. */
static void handle_answer(struct broker *broker, const struct ipc_msg *answer)
{
	if (outbox_is_own_id(broker->outbox, answer->id)) {
		if (!clients_answer(broker->clients, answer))
			netns_track_answer(broker->track, answer);
	} else if (answer->error < 0) {
		return;
	} else if (answer->flags & IPC_FOUND) {
		netns_track_take_over(broker->track, answer);
	} else if (answer->id & IPC_BROKER_ID && !(answer->flags & IPC_AGAIN)) {
		/* The client lost its connection with the broker before, and does not know that it is served. */
		outbox_detach(broker->outbox, answer->id);
	} else {
		netns_track_watch(broker->track, answer, 0);
	}
}

static void send_count(struct broker *broker)
{
	const struct ipc_msg count = { .type = IPC_COUNT,
				       .count = clients_count_refused(broker->clients) +
						netns_track_count_refused(broker->track) };

	(void)outbox_send(broker->outbox, &count, -1);
}

static void handle_message(struct broker *broker, const struct ipc_msg *message)
{
	switch (message->type) {
	case IPC_ANSWER:
		handle_answer(broker, message);
		break;
	case IPC_FORGET:
		if (!clients_forget(broker->clients, message->id))
			netns_track_forget(broker->track, message->id);
		break;
	case IPC_COUNT:
		send_count(broker);
		break;
	case IPC_PING:
		(void)outbox_send(broker->outbox, message, -1);
		break;
	default:
		break;
	}
}

static void ipc_ready(struct event_source *source, uint32_t events)
{
	struct broker *broker = source->owner;
	struct ipc_msg message;
	int fd, n = ipc_receive(source->fd, &message, &fd);

	if (fd >= 0)
		close(fd);
	if (n == 1)
		handle_message(broker, &message);
	else if (n == -ECONNRESET)
		loop_end(&broker->loop, BROKER_DONE);
	else if (n < 0 && n != -EBADMSG)
		loop_end(&broker->loop, BROKER_FAILED);
	if (events & EPOLLOUT)
		outbox_flush(broker->outbox);
}

static void channel_ready(struct event_source *source, uint32_t events)
{
	struct broker *broker = source->owner;
	struct ipc_msg message;
	int fd, n = ipc_receive(source->fd, &message, &fd);

	(void)events;
	if (fd >= 0)
		close(fd);
	if (n == 1 && message.type == IPC_PING)
		(void)ipc_send(source->fd, &message, -1);
	else if (n < 0 && n != -EBADMSG)
		loop_end(&broker->loop, BROKER_FAILED);
}

/* ---- the main loop ---- */

static int64_t run_timers(struct broker *broker)
{
	const int64_t now = clock_ms();
	int64_t due = netns_track_run_timers(broker->track, now);

	due = earlier(due, receivers_run_timers(broker->receivers, now));
	due = earlier(due, clients_run_timers(broker->clients, now));
	return earlier(due, outbox_run_timers(broker->outbox, now));
}

static void run_loop(struct broker *broker)
{
	while (!broker->loop.ended) {
		int64_t due = run_timers(broker);

		if (!broker->loop.ended)
			loop_wait(&broker->loop, due);
	}
}

/* ---- the start ---- */

static int start_parts(struct broker *broker, const struct broker_setup *setup)
{
	const struct broker_options *options = setup->options;
	struct loop *loop = &broker->loop;
	int err = netns_track_new(&broker->track, loop, broker->outbox, options);

	if (err == 0)
		err = receivers_new(&broker->receivers, loop, broker->outbox, &broker->users,
				    options);
	if (err < 0)
		return err;
	return clients_new(&broker->clients,
			   &(struct clients_setup){ .loop = loop,
						    .outbox = broker->outbox,
						    .track = broker->track,
						    .receivers = broker->receivers,
						    .users = &broker->users,
						    .options = options,
						    .listeners = setup->listeners });
}

static int set_up(struct broker *broker, const struct broker_setup *setup)
{
	int err = loop_add(&broker->loop, &broker->ipc, EPOLLIN);

	if (err == 0)
		err = loop_add(&broker->loop, &broker->channel, EPOLLIN);
	return err == 0 ? start_parts(broker, setup) : err;
}

bool broker_enters_netns(const struct broker_options *options)
{
	return options->all_netns || options->again;
}

static int give_up_rights(const struct broker_setup *setup, char *error, size_t error_size)
{
	if (!setup->options->sandbox)
		return 0;
	return sandbox_enter(broker_enters_netns(setup->options) ? SANDBOX_NETNS : SANDBOX_BROKER,
			     setup->keep, false, NULL, error, error_size);
}

_Noreturn void broker_main(const struct broker_setup *setup)
{
	struct broker broker = { .ipc = { ipc_ready, &broker, setup->ipc },
				 .channel = { channel_ready, &broker, setup->channel } };
	char error[IPC_TEXT_SIZE] = "";
	int err = loop_init(&broker.loop);

	if (err == 0)
		err = outbox_new(&broker.outbox, &broker.loop, &broker.ipc, setup->generation);
	if (err < 0)
		_exit(BROKER_FAILED);
	err = set_up(&broker, setup);
	if (err == 0)
		err = give_up_rights(setup, error, sizeof(error));
	if (err == 0)
		run_loop(&broker);
	else if (setup->generation > 0 && is_transient(-err))
		_exit(BROKER_FAILED); /* another one may succeed */
	else
		outbox_give_up(broker.outbox, err, "cannot take sockets or watch namespaces: %s",
			       error[0] ? error : strerror(-err));
	_exit((int)broker.loop.status);
}
