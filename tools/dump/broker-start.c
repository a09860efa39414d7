/* SPDX-License-Identifier: MIT */
/* mnfq dump: starting the broker, and what it has to say to who serves one namespace with threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/ipc.h"
#include "broker/keeper.h"
#include "common/log.h"
#include "common/program.h"
#include "dump/dump.h"

/* A path may lead elsewhere for others, as /dev/fd does, or to what nobody else knows of. */
bool is_name(const struct place *place)
{
	return place->kind == PLACE_NETNS && !strchr(place->text, '/');
}

bool has_name(const struct dump_options *opts)
{
	for (size_t i = 0; i < opts->place_count; i++)
		if (is_name(&opts->places[i]))
			return true;
	return false;
}

int start_broker(const struct dump *dump, const int *listeners, unsigned int count,
		 struct unix_listener *own)
{
	const struct dump_options *opts = dump->opts;
	struct broker_options options = { .listeners = listeners,
					  .listener_count = count,
					  .own = own,
					  .all_netns = opts->all_netns,
					  .excluded = opts->excluded,
					  .excluded_count = opts->excluded_count,
					  .again = dump->many && has_name(opts),
					  .allowed_uids = opts->allowed_uids,
					  .allowed_count = opts->allowed_count,
					  .plain = opts->allow_plain,
					  .sandbox = !opts->no_sandbox };
	const char **netns = calloc(opts->place_count + 1, sizeof(*netns));
	char error[256] = "out of memory";
	int link = -1;
	pid_t pid;

	options.netns = netns;
	for (size_t i = 0; netns && i < opts->place_count; i++)
		if (opts->places[i].kind == PLACE_NETNS)
			netns[options.netns_count++] = opts->places[i].text;
	if (netns)
		link = broker_start(&options, &pid, error, sizeof(error));
	free(netns);
	for (unsigned int i = 0; i < count; i++)
		close(listeners[i]);
	if (link < 0)
		fail(DUMP_NAME, "%s", error);
	return link < 0 ? -1 : link;
}

void watch_workers(const struct dump *dump)
{
	struct ipc_msg message = { .type = IPC_ANSWER,
				   .id = 1,
				   .flags = has_name(dump->opts) ? IPC_SEEN : IPC_HIDDEN };

	if (mnfq_socket_get_netns_inode(dump->workers[0].source.sock, &message.inode) == 0)
		(void)ipc_send(dump->link, &message, -1);
}

int hear_workers_broker(struct dump *dump)
{
	char name[SOURCE_NAME_SIZE];
	struct ipc_msg message;
	int fd, n = ipc_receive(dump->link, &message, &fd);

	if (n == -ECONNRESET) {
		close(dump->link);
		dump->link = -1;
		return fail(DUMP_NAME,
			    "the process that watches the namespace has ended: its end "
			    "will not be noticed");
	}
	if (n == 1 && fd >= 0)
		close(fd);
	if (n == 1 && message.type == IPC_NOTE)
		tell("%s", message.text);
	if (n == 1 && message.type == IPC_RESTART)
		watch_workers(dump);
	if (n == 1 && message.type == IPC_DETACH) {
		tell("namespace %s: gone", name_source(name, &dump->workers[0].source));
		stop_workers(dump);
	}
	return 0;
}
