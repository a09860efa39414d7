/* SPDX-License-Identifier: MIT */
/* mnfq doctor: why packets vanish or never come, and what to do. It sends no packet and changes nothing. */
#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <mnfq/mnfq.h>

#include "common/options.h"
#include "common/parse.h"
#include "common/program.h"
#include "common/sys.h"
#include "doctor/sight.h"

#define DOCTOR_NAME  "mnfq doctor"
#define TIME_DEFAULT 1000 /* ms */
#define TIME_MIN     10
#define TIME_MAX     86400000

struct doctor_options {
	bool has_queues, verbose, json;
	uint16_t first, last;
	const char *netns; /* NULL: our own */
	uint32_t time_ms;
};

/* ---- the command line ------------------------------------------------------------------- */

static int set_doctor_queues(void *data, const char *argument)
{
	struct doctor_options *opts = data;

	if (opts->has_queues)
		return fail_usage(DOCTOR_NAME,
				  "-q can be given only once: use FIRST:LAST for a range");
	opts->has_queues = true;
	return parse_queues(argument, &opts->first, &opts->last);
}

static int set_doctor_netns(void *data, const char *argument)
{
	struct doctor_options *opts = data;

	if (opts->netns)
		return fail_usage(DOCTOR_NAME, "-n can be given only once");
	opts->netns = argument;
	return 0;
}

static int set_time(void *data, const char *argument)
{
	return parse_seconds(argument, TIME_MIN, TIME_MAX,
			     &((struct doctor_options *)data)->time_ms);
}

#define DOCTOR_BOOL(field) .kind = OPTION_BOOL, .offset = offsetof(struct doctor_options, field)

static const struct option_row doctor_rows[] = {
	{ "queue", 'q', "NUM[:NUM]", .set = set_doctor_queues,
	  .expected = "a queue number from 0 to 65535, or FIRST:LAST",
	  .help = "queue number, or a range of them (default: all)" },
	{ "netns", 'n', "NETNS", .set = set_doctor_netns, .complete = "NETNS",
	  .help = "network namespace: name, path or process id" },
	{ "time", 't', "SEC", .set = set_time, .expected = "seconds from 0.01 to 86400",
	  .help = "look for SEC seconds for what moves (default: 1)" },
	{ "verbose", 'v', DOCTOR_BOOL(verbose),
	  .help = "also note what the kernel lacks but nobody uses here" },
	{ "json", DOCTOR_BOOL(json), .help = "print one JSON object per line" },
	OPTION_ROW_HELP,
	OPTION_ROW_VERSION,
};

static const struct option_table doctor_table = {
	.command = DOCTOR_NAME,
	.usage = "Usage: mnfq doctor [-q NUM[:NUM]] [-n NETNS] [OPTIONS]",
	.summary =
		"Say why packets of queues vanish or never come, and what to do. Sends no packet\n"
		"and changes nothing; as root it sees most.",
	.rows = doctor_rows,
	.count = sizeof(doctor_rows) / sizeof(doctor_rows[0]),
	.footer = "See mnfq-doctor(1).\n",
};

/* ---- the namespace ---------------------------------------------------------------------- */

/* This question takes CAP_NET_ADMIN over the namespace of the socket, and nothing is sent. */
static bool has_rights(void)
{
	int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int netns = sock < 0 ? -1 : ioctl(sock, SIOCGSKNS);

	if (sock >= 0)
		close(sock);
	if (netns >= 0)
		close(netns);
	return netns >= 0;
}

/* Go there, for good: this process does nothing else. Returns an exit status. */
static int enter(const char *netns)
{
	char error[PLACE_ERROR_SIZE] = "";
	struct mnfq_socket_options options = {
		.size = sizeof(options), .batch = 1, .error = error, .error_size = sizeof(error)
	};
	struct mnfq_socket *sock;
	int fd, status = EXIT_SUCCESS;

	if (mnfq_socket_open_netns(&sock, netns, &options) < 0)
		return fail(DOCTOR_NAME, "%s", error);
	fd = ioctl(mnfq_socket_get_fd(sock), SIOCGSKNS);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		status = fail(DOCTOR_NAME, "cannot enter that namespace: %s",
			      errno == EPERM ? "no CAP_NET_ADMIN or CAP_SYS_ADMIN over it"
					     : strerror(errno));
	if (fd >= 0)
		close(fd);
	mnfq_socket_close(sock);
	return status;
}

/* ---- the report ------------------------------------------------------------------------- */

static int report_findings(const struct doctor_options *opts, const struct sight *sight)
{
	struct findings findings = { 0 };
	int status;

	check_kernel(sight, &findings);
	check_rules(sight, &findings);
	check_queues(sight, &findings);
	check_network(sight, &findings);
	findings_print(stdout, &findings, opts->json);
	if (findings.count == 0 && !opts->json && isatty(STDOUT_FILENO))
		printf("nothing wrong found\n");
	status = finish_stdout(DOCTOR_NAME,
			       findings_are_bad(&findings) ? EXIT_FAILURE : EXIT_SUCCESS);
	if (findings.no_memory)
		status = fail(DOCTOR_NAME, "out of memory");
	findings_free(&findings);
	return status;
}

int run_doctor(int argc, char **argv)
{
	struct doctor_options opts = { .last = UINT16_MAX, .time_ms = TIME_DEFAULT };
	struct sight sight = { 0 };
	int status;

	if (!options_parse(&doctor_table, &opts, argc, argv, &status))
		return status;
	sight.has_queues = opts.has_queues;
	sight.first = opts.first;
	sight.last = opts.last;
	sight.netns = opts.netns;
	sight.verbose = opts.verbose;
	sight_begin(&sight);
	if (opts.netns && support_is_asleep(&sight.support))
		return fail(DOCTOR_NAME,
			    "no program has a queue, as nfnetlink is not loaded; to look into "
			    "another namespace would load it: modprobe nfnetlink");
	if (opts.netns)
		status = enter(opts.netns);
	if (status)
		return status;
	sight.has_rights = has_rights();
	if (sight_take(&sight, opts.time_ms) < 0)
		status = fail(DOCTOR_NAME, "out of memory");
	else
		status = report_findings(&opts, &sight);
	sight_free(&sight);
	return status;
}
