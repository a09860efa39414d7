/* SPDX-License-Identifier: MIT */
/* mnfq dump: what the command line says, and what its files share. */
#ifndef MNFQ_TOOLS_DUMP_H
#define MNFQ_TOOLS_DUMP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <mnfq/handover.h>
#include <mnfq/mnfq.h>

#include "dump/counters.h"

#include "common/output.h"
#include "common/parse.h"

struct systemd_fd;
struct unix_listener;

#define DUMP_NAME "mnfq dump"

/** Where a socket comes from. */
struct place {
	enum { PLACE_HERE, PLACE_NETNS, PLACE_FD, PLACE_FROM } kind;
	const char *text; /* as the command line gives it; NULL if it does not */
	int fd;
	bool lend; /* our rights, although whoever opened the socket may have had none */
};

/** Was it opened by us, so that nobody else has it? */
bool is_private(const struct place *place);

#define PLACES_MAX 1024
#define UIDS_MAX   64

struct dump_options {
	uint16_t first; /* the queues */
	uint16_t last;
	bool has_queues;
	uint16_t threads;
	struct place *places; /* opts' own; none: here, or wherever they come from later */
	size_t place_count;
	const char *listen; /* path where sockets are handed over, or NULL */
	bool has_mode;
	mode_t mode;
	uint32_t allowed_uids[UIDS_MAX]; /* of those who may; none: whoever can connect */
	unsigned int allowed_count;
	bool allow_plain;
	uint32_t max_per_uid; /* namespaces that one user hands over */
	bool lend_rights;     /* to those who hand over, or give away */
	bool all_netns;
	const char *excluded[PLACES_MAX]; /* of all these not */
	unsigned int excluded_count;
	bool keep;      /* leave the queues to the service manager at the end */
	uint64_t count; /* 0: no end */
	uint32_t busy_poll_us, coalesce_us;
	uint32_t receive_buffer; /* bytes; 0: the library's default */
	bool quiet;
	enum output_blocked when_blocked;
	bool json;
	bool no_sandbox;
	char verdict_text[VERDICT_SIZE];
	enum mnfq_verdict verdict;
	bool has_mark;
	uint32_t mark;
	uint32_t mark_mask;
	bool has_priority;
	uint32_t priority;
	bool has_ct_mark;
	uint32_t ct_mark;
	uint32_t ct_mark_mask;
	struct mnfq_queue_options queue;
};

/** A socket with its queues. */
struct source {
	struct dump *dump;
	struct mnfq_socket *sock;
	struct mnfq_queue **queues;
	size_t queue_count;
	uint64_t untracked;          /* packets without a connection that --ct-mark could mark */
	struct place place;          /* where it comes from */
	char netns[256];             /* "" if nobody knows */
	char label[MNFQ_LABEL_SIZE]; /* as whoever handed it over calls it */
	unsigned int reported;       /* the last report that it saw wanted: report_worker() */
	struct counters counters;    /* as they were then, or when it was closed */
};

/** A source, and the thread that serves it. */
struct worker {
	struct source source;
	pthread_t thread;
	int status;
};

struct dump {
	const struct dump_options *opts;
	struct worker *workers;
	size_t worker_count;
	int (*serve)(struct source *source); /* until it is stopped; returns the exit status */
	bool many;                           /* namespaces, or one that may come and go */
	bool alone;                          /* many: but there is only one at a time */
	bool served;                         /* there is something to sum up */
	struct systemd_fd *fds;              /* passed by the service manager */
	size_t fd_count;
	atomic_bool failed;     /* and the reason was told */
	atomic_bool ending;     /* a worker has ended, or all of them are to end */
	atomic_uint wanted;     /* reports of the counters so far: one a SIGUSR1 */
	unsigned int reported;  /* of them, the last one that was told */
	int wake;               /* what wakes who waits for that */
	int link;               /* workers: to the porter; -1: none */
	struct counters totals; /* of the sources that are closed: the main thread's */
	size_t unclosed;        /* of them, those that could not be closed in time */
	bool abandoned;         /* threads are left that use all of this */

	struct output *out; /* stdout */
	uint64_t seen;      /* packets so far; between output_begin() and output_end() */
};

/**
 * Take the command line apart, and check that it makes sense.
 * Returns whether there is something to run; otherwise *status is the exit status: help was asked
 * for, or something is wrong and was told.
 */
bool take_dump_options(struct dump_options *opts, int argc, char **argv, int *status);

/* ---- handle.c ---------------------------------------------------------------------- */

/**
 * Open, fetch or adopt the socket of a place, with what @socket_options says besides. Returns 0 or a
 * negative errno with a sentence in the options' error.
 */
int open_source(struct source *source, struct dump *dump, const struct place *place,
		struct mnfq_socket_options *socket_options);

/**
 * Bind @count queues from @first on, in little more than @patience_ms unless that is 0. Returns 0 or a
 * negative errno, with its sentence as the socket's if there is one.
 */
int bind_source(struct source *source, unsigned int first, size_t count, int patience_ms);

/**
 * Unbind its queues, count, and close the socket, in little more than @patience_ms unless that is 0: then
 * nobody waits for us. Its counters are final afterwards. @leave_queues: they stay bound for whoever has
 * another copy of the descriptor. Also for a source of zeros, and in any thread.
 */
void close_source(struct source *source, int patience_ms, bool leave_queues);

/** Add what a closed source has counted to the totals; tell it on stderr with @why unless that is NULL. */
void count_source(struct source *source, const char *why);

/** Its name, with its label if it has one, clean for a terminal. Returns @out. */
#define SOURCE_NAME_SIZE 1400
const char *name_source(char out[SOURCE_NAME_SIZE], const struct source *source);

/**
 * What the socket says about its last failure, @err, for a person: behind the name of its namespace
 * unless that is where we were started.
 */
void explain_source(char *out, size_t size, const struct source *source, int err);

/** How many queues there are to bind. */
size_t count_queues(const struct dump_options *opts);

/** The queues, as the beginning of the line that says where we listen. */
void print_queues(FILE *out, const struct dump_options *opts);

/**
 * The settings in force, or those that will be if there is no @source yet, as the end of the line that
 * says where we listen. @each: there are more like it.
 */
void print_settings(FILE *out, const struct dump *dump, const struct source *source, bool each);

/** What it has counted so far. */
void read_counters(struct counters *counters, const struct source *source);

/** Those of all sources as a line on stderr, with what has been dropped of stdout. */
void print_counters(const struct dump *dump, const struct counters *counters);

/** The same at the end, and on a line each what would help against the losses. */
void print_summary(const struct dump *dump);

/* ---- single.c: one namespace ------------------------------------------------------ */

/**
 * Have SIGINT, SIGTERM and SIGHUP stop all workers and give up the output if nobody reads it, SIGUSR1 print
 * the counters, and a failure of the output stop all workers, too. NULL: no more of that.
 */
void catch_signals(struct dump *dump, struct output *out);

/** All of them end with the batch that they are at. Safe in signal handlers and in callbacks. */
void stop_workers(struct dump *dump);

/** A worker was woken, but not to end: its counters, with those of all others, as a line on stderr. */
void report_worker(struct source *source);

/**
 * Have each worker serve its socket, in a thread of its own if there are several. Once one of them
 * has ended, the others are stopped, and waited for. Returns the exit status of all.
 */
int run_workers(struct dump *dump);

/* ---- multi.c: any number of namespaces ---------------------------------------------- */

/** Serve them all until stopped; returns the exit status. */
int run_many(struct dump *dump);

/* ---- broker-start.c ---------------------------------------------------------------------- */

/**
 * Is it a namespace by name (or by process), which the porter is sure to see, and can serve again when it
 * was made anew? And is there one in the command line?
 */
bool is_name(const struct place *place);
bool has_name(const struct dump_options *opts);

/**
 * Start the porter with these listeners, which are closed here. Returns our end of the link, or -1 after
 * it was told why not.
 */
int start_porter(const struct dump *dump, const int *listeners, unsigned int count,
		 struct unix_listener *own);

/** Workers: have the porter say when their namespace is gone, and what it says. 0 or an exit status. */
void watch_workers(const struct dump *dump);
int hear_workers_porter(struct dump *dump);

/* ---- dump.c ----------------------------------------------------------------------------- */

/** Receive a batch, and wait for one; as mnfq_socket_dispatch(). Output is written before it waits. */
int dispatch_source(struct source *source);

/**
 * Give up what is not needed any more, once everything is set up. @need_net_admin: the right over the
 * namespaces comes from a capability. 0 or an exit status.
 */
int sandbox_dump(const struct dump *dump, bool need_net_admin);

#endif
