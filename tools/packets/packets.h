/* SPDX-License-Identifier: MIT */
/* What is done with packets, wherever they come from: filtered, decided, printed, written to a capture. */
#ifndef MNFQ_TOOLS_PACKETS_H
#define MNFQ_TOOLS_PACKETS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "capture/capture.h"
#include "capture/filter.h"
#include "common/output.h"
#include "packets/options.h"
#include "print/print.h"

/** Begins as zeros. All threads use it. */
struct packets {
	const struct packet_options *opts;
	bool live; /* they wait for a verdict: they go on when the capture cannot */

	struct output *out;        /* stdout */
	struct services *services; /* of --names */
	struct printer printer;    /* between output_begin() and output_end() */
	uint64_t seen;           /* packets that match; between output_begin() and output_end() */
	struct filter *filter;   /* NULL: all match */
	struct capture *capture; /* NULL: none */
	struct opener_input input;
	int fifo;                 /* that the capture goes to; negative: none is open */
	atomic_int capture_error; /* why the capture has ended: an errno */
	atomic_bool reported;     /* that, already */

	pthread_mutex_t stop_lock;
	void (*stop)(void *data);
	void *stop_data;
};

/** Of a thread, or a socket. */
struct packet_counts {
	uint64_t untracked; /* packets without a connection that --ct-mark could mark */
	uint64_t matched;   /* by the filter */
	uint64_t cut;       /* that the filter could not decide, for want of bytes */
};

/** Open the output, compile the filter. Before the sandbox is entered. Returns an exit status. */
int packets_open(struct packets *packets, const struct packet_options *opts, bool live);

/** If the capture goes to a FIFO, wait for its reader. Before packets wait for us. Returns an exit status. */
int packets_await_reader(struct packets *packets);

/**
 * Create the capture, if there is to be one. Likewise, and while there is one thread; once nothing else can fail, since
 * it may take the place of an older one.
 */
int packets_open_capture(struct packets *packets);

/** Start the threads that write. Returns 0 or a negative errno. */
int packets_start(struct packets *packets);

/** Call @stop when output fails, or all that was wanted was written. NULL: no more after this returns. */
void packets_on_stop(struct packets *packets, void (*stop)(void *data), void *data);

/** Whether packets_show() is of use. */
bool packets_are_shown(const struct packets *packets);

/** Filter a packet, and set on it what is to be set. Returns whether it matches; otherwise it has --else. */
bool packets_decide(struct packets *packets, struct mnfq_packet *packet,
		    struct packet_counts *counts, enum mnfq_verdict *verdict);

/**
 * Print and write a packet that matches. @line has what print_line() takes; its verdict and @verdict are the same,
 * NULL: unknown. Returns whether more are to come.
 */
bool packets_show(struct packets *packets, const struct line *line,
		  const enum mnfq_verdict *verdict);

/** Packets that are missing in the capture. Who reads it from stdout may have had enough, and -G -W as well. */
uint64_t packets_unwritten(const struct packets *packets);

/** Lines that are missing, since their reader was too slow. After an error of writing the reason is reported. */
uint64_t packets_lines_dropped(const struct packets *packets);

/** What was printed and written appears. */
void packets_flush(struct packets *packets);

/** From now on wait for readers only as long as they make progress. Safe in signal handlers. */
void packets_give_up(struct packets *packets);

/** Write all that is buffered. Returns an exit status, with the reason reported. */
int packets_finish(struct packets *packets);

void packets_close(struct packets *packets);

#endif
