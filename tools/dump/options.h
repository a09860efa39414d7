/* SPDX-License-Identifier: MIT */
/* mnfq dump: its command line. */
#ifndef MNFQ_TOOLS_DUMP_OPTIONS_H
#define MNFQ_TOOLS_DUMP_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mnfq/mnfq.h>

#include "common/options.h"
#include "common/parse.h"
#include "packets/options.h"

#define DUMP_NAME "mnfq dump"

/** Where a socket comes from. */
struct socket_spec {
	enum { SPEC_HERE, SPEC_NETNS, SPEC_FD, SPEC_FROM } kind;
	const char *text; /* as given on the command line, or NULL */
	int fd;
	bool lend; /* serve it with our rights, even if its opener had none */
};

#define SPECS_MAX 1024
struct dump_options {
	struct packet_options packets;
	const char *read; /* a capture in place of queues; NULL: none */
	const struct option_row
		*of_queues;   /* an option that was given and is for queues alone, or NULL */
	uint16_t first, last; /* queues */
	bool has_queues;
	uint16_t threads;
	struct socket_spec *specs; /* to be freed; none: this namespace, or what is handed over */
	size_t spec_count;
	const char *listen;      /* path, or NULL */
	mode_t mode;             /* or MODE_UNSET */
	struct uid_list allowed; /* none: every user who can connect */
	bool allow_plain;
	uint32_t max_per_uid; /* namespaces handed over by one user */
	bool lend_rights;
	bool all_netns;
	const char *excluded[SPECS_MAX];
	unsigned int excluded_count;
	bool keep;
	uint32_t busy_poll_us, coalesce_us;
	uint32_t receive_buffer; /* bytes; 0: the library's default */
	struct mnfq_queue_options queue;
};

/**
 * Parse and check the command line. Returns whether to go on; otherwise *status is the exit status: help was
 * printed, or an error was reported.
 */
bool dump_parse_options(struct dump_options *opts, int argc, char **argv, int *status);

size_t options_queue_count(const struct dump_options *opts);

/** Did we open the socket ourselves, so that no other process has a copy? */
bool spec_is_private(const struct socket_spec *spec);

/**
 * Is it a namespace by name or process id, as opposed to a path? The broker can see those, and serve a name
 * again once it is re-created.
 */
bool spec_is_name(const struct socket_spec *spec);
bool options_have_name(const struct dump_options *opts);

#endif
