/* SPDX-License-Identifier: MIT */
/* mnfq dump: starting the broker. */
#include "dump/broker-start.h"

#include <stdlib.h>
#include <unistd.h>

#include "broker/keeper.h"
#include "common/program.h"

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
					  .allowed_uids = opts->allowed.uids,
					  .allowed_count = opts->allowed.count,
					  .plain = opts->allow_plain,
					  .sandbox = !opts->packets.no_sandbox };
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
