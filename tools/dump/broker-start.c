/* SPDX-License-Identifier: MIT */
/* mnfq dump: starting the broker, and what it has to say to who serves one namespace with threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"
#include "broker/ipc.h"
#include "common/log.h"
#include "common/program.h"
#include "dump/dump.h"

/* A path may lead elsewhere for others, as /dev/fd does, or to what nobody else knows of. */
bool spec_is_name(const struct socket_spec *spec)
{
	return spec->kind == SPEC_NETNS && !strchr(spec->text, '/');
}

bool options_have_name(const struct dump_options *opts)
{
	for (size_t i = 0; i < opts->spec_count; i++)
		if (spec_is_name(&opts->specs[i]))
			return true;
	return false;
}

int dump_start_broker(const struct dump *dump, const int *listeners, unsigned int count,
		      struct unix_listener *own)
{
	const struct dump_options *opts = dump->opts;
	struct broker_options options = { .listeners = listeners,
					  .listener_count = count,
					  .own = own,
					  .all_netns = opts->all_netns,
					  .excluded = opts->excluded,
					  .excluded_count = opts->excluded_count,
					  .again = dump->multi && options_have_name(opts),
					  .allowed_uids = opts->allowed_uids,
					  .allowed_count = opts->allowed_count,
					  .plain = opts->allow_plain,
					  .sandbox = !opts->no_sandbox };
	const char **netns = calloc(opts->spec_count + 1, sizeof(*netns));
	char error[256] = "out of memory";
	int ipc = -1;
	pid_t pid;

	options.netns = netns;
	for (size_t i = 0; netns && i < opts->spec_count; i++)
		if (opts->specs[i].kind == SPEC_NETNS)
			netns[options.netns_count++] = opts->specs[i].text;
	if (netns)
		ipc = broker_start(&options, &pid, error, sizeof(error));
	free(netns);
	for (unsigned int i = 0; i < count; i++)
		close(listeners[i]);
	if (ipc < 0)
		fail(DUMP_NAME, "%s", error);
	return ipc < 0 ? -1 : ipc;
}

void watch_workers(const struct dump *dump)
{
	struct ipc_msg message = { .type = IPC_WATCH,
				   .id = 1,
				   .flags = options_have_name(dump->opts) ? IPC_SEEN
									  : IPC_HIDDEN };

	if (mnfq_socket_get_netns_inode(dump->workers[0].handle.sock, &message.inode) == 0)
		(void)ipc_send(dump->ipc, &message, -1);
}

int read_workers_broker(struct dump *dump)
{
	char name[HANDLE_NAME_SIZE];
	struct ipc_msg message;
	int fd, n = ipc_receive(dump->ipc, &message, &fd);

	if (n == -ECONNRESET) {
		close(dump->ipc);
		dump->ipc = -1;
		return fail(DUMP_NAME,
			    "the process that watches the namespace has ended: its end "
			    "will not be noticed");
	}
	if (n == 1 && fd >= 0)
		close(fd);
	if (n == 1 && message.type == IPC_NOTE)
		log_line("%s", message.text);
	if (n == 1 && message.type == IPC_RESTART)
		watch_workers(dump);
	if (n == 1 && message.type == IPC_DETACH) {
		log_line("namespace %s: gone",
			 handle_format_name(name, &dump->workers[0].handle));
		dump_stop(dump);
	}
	return 0;
}
