/* SPDX-License-Identifier: MIT */
/* mnfq-bench: what its files share. */
#ifndef MNFQ_TOOLS_BENCH_H
#define MNFQ_TOOLS_BENCH_H

#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define BENCH_NAME       "mnfq-bench"
#define BENCH_ROUNDS_MAX 1000
#define BENCH_MARK       1  /* what `mixed` sets on each tenth packet */
#define BENCH_FIRST      16 /* packets before a connection is marked */
#define BENCH_PORT       9
#define BENCH_AGAINST    3      /* what a scenario is compared with */
#define BENCH_PEER       "peer" /* stands for each candidate's own */
#define BENCH_RATES      16

/** The scenarios, by their index. */
enum bench_scenario_id {
	BENCH_DRAIN,
	BENCH_FLOOD,
	BENCH_LOAD,
	BENCH_LATE,
	BENCH_MIXED,
	BENCH_LATENCY,
	BENCH_TCP,
	BENCH_THREADS,
	BENCH_NAMESPACES,
	BENCH_SCENARIOS
};

/** What is measured. Times are in microseconds. */
enum bench_metric {
	BENCH_RATE,     /* packets a second */
	BENCH_CPU,      /* processor time of the decider, a packet */
	BENCH_USER,     /* of it in user space */
	BENCH_SYSTEM,   /* of it in the kernel */
	BENCH_P50,      /* round trip */
	BENCH_P99,      /* round trip */
	BENCH_GBIT,     /* throughput in Gbit/s */
	BENCH_SYSCALLS, /* system calls a packet */
	BENCH_HEAP,     /* bytes of heap in use more than before the first packet */
	BENCH_MEMORY,   /* KiB of memory more than before the socket was opened */
	BENCH_EACH,     /* KiB of memory for each namespace, beyond the ring */
	BENCH_ATTACH,   /* processor time to open a namespace's socket and bind its queue */
	BENCH_DETACH,   /* the same to close it */
	BENCH_WAKEUPS,  /* of the thread while nothing comes for two seconds */
	BENCH_ALONE,    /* packets a second of a namespace where one waits for the other */
	BENCH_BESIDE,   /* the same beside a namespace that is never empty */
	BENCH_LOST,     /* packets of a hundred that the kernel dropped */
	BENCH_METRICS
};

/** One measurement; negative is what was not measured. */
struct bench_result {
	double value[BENCH_METRICS];
};

struct bench_options {
	uint64_t rounds;
	uint64_t packets;
	uint64_t batch;
	uint64_t size; /* of an IP packet of `drain` and its like */
	uint64_t namespaces;
	uint64_t rates[BENCH_RATES]; /* of `load`, in packets a second; 0: as fast as possible */
	size_t rate_count;
	uint64_t rate; /* the one to measure */
	bool json;
	const char *svg; /* where the chart goes, or NULL */
	bool chosen[BENCH_SCENARIOS];
};

/* ---- signals, the clock, processors ------------------------------------------------------- */

/** A signal that ends the program has come: give up. */
extern volatile sig_atomic_t bench_interrupted;

/** From now on SIGINT, SIGTERM and SIGHUP set it, unless they are ignored. */
void bench_catch_signals(void);

/**
 * In a child process: it ends with @parent, which alone decides what such signals do: a terminal
 * sends them to both.
 */
void bench_bind_to_parent(pid_t parent);

/** Nanoseconds of a clock. */
int64_t bench_now(int clock);
/** The first processor that we may use, and the last: traffic and the decider; -1 if unknown. */
void bench_find_cpus(int *first, int *last);
/** The calling thread runs on these alone. */
void bench_set_affinity(int from, int to);
/** It runs on the first alone, and so does what it starts; or on any that it may use. */
void bench_pin(bool one);

/* ---- the network: sender -- router -- receiver ------------------------------------------ */

struct bench_net {
	int sender, router, receiver; /* descriptors of unnamed namespaces */
	const char *iptables;         /* the command that works here */
	char error[512];              /* why something failed */
};

/** A line of /proc/net/netfilter/nfnetlink_queue. */
struct bench_queue {
	unsigned int waiting, dropped, user_dropped;
	unsigned int ids; /* packets that ever came */
};

/** Keep a message for the caller that gives up; returns -1. */
int bench_fail(struct bench_net *net, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Make the namespaces, the devices between them, and see which iptables works. 0 or -1. */
int bench_net_open(struct bench_net *net);
void bench_net_close(struct bench_net *net);

/** Make a namespace without a name, and go there: a descriptor, or -1. */
int bench_net_make(struct bench_net *net);

/** Go to a namespace. 0 or -1. */
int bench_net_enter(struct bench_net *net, int ns);

/** Run a shell command in a namespace; 0, or -1 with what it printed. */
int bench_net_run(struct bench_net *net, int ns, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Add a rule to the router's mangle table. 0 or -1. */
int bench_net_rule(struct bench_net *net, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Remove all rules. 0 or -1. */
int bench_net_clear(struct bench_net *net);

/** How many packets rule @rule (1, 2, ...) of the router's @chain has matched. 0 or -1. */
int bench_net_count(struct bench_net *net, const char *chain, unsigned int rule,
		    uint64_t *packets);

/** What the kernel says of a queue in the router. 0, or -1 if it is not bound. */
int bench_net_queue(struct bench_net *net, unsigned int num, struct bench_queue *queue);

/** A socket in a namespace, bound to or connected with the receiver's address. Or -1. */
int bench_net_socket(struct bench_net *net, int ns, int type, uint16_t port, bool receiver);

/* ---- who decides ------------------------------------------------------------------------ */

/**
 * One thread that decides packets, in memory that is shared between it and us. It says that it
 * is ready, waits to go, works, says that it is done, and waits again before it unbinds.
 */
struct bench_worker {
	uint16_t queue;
	uint32_t max_len;
	uint32_t receive_buffer;
	bool gso;
	bool mixed;
	bool once;            /* mark what comes after the first BENCH_FIRST packets */
	uint32_t batch;       /* packets received at once; 0: the default */
	bool spin;            /* look for packets without sleeping */
	uint32_t coalesce_us; /* wait this long to gather packets; 0: do not */
	uint64_t goal;        /* packets; 0: until stopped */
	int cpu;              /* to stay on, or -1 */
	bool alone;           /* no other worker in its process: all of its threads are ours */
	bool counting;        /* system calls, instead of time */
	int calls_fd;         /* their counter */

	sem_t ready, go;
	atomic_bool stop;
	_Atomic uint64_t handled;

	char error[256];
	uint64_t packets;    /* decided */
	uint64_t unexpected; /* of these, those that are no IPv4 */
	int64_t calls;       /* system calls; negative: not counted */
	int64_t wall_ns, cpu_ns, user_ns, system_ns;
	int64_t heap, memory; /* bytes */
	int64_t start_wall, start_cpu, start_user, start_system;
};

struct bench_candidate {
	const char *name;
	unsigned int in;  /* scenarios: a bit for each */
	const char *peer; /* the one that does the same with libnetfilter_queue */
	int (*run)(struct bench_worker *worker); /* NULL: none, the path without a queue */
	bool spin;
	bool gso;
	bool once; /* with rules that let a marked connection past the queue */
	uint32_t coalesce_us;
	unsigned int threads;
};

/** All of them; the last one has no name. */
extern const struct bench_candidate bench_candidates[];

int bench_run_mnfq(struct bench_worker *worker);
int bench_run_mnfq_retain(struct bench_worker *worker);
int bench_run_mnfq_cork(struct bench_worker *worker);
int bench_run_mnfq_ids(struct bench_worker *worker);
int bench_run_mnfq_thread(struct bench_worker *worker);
int bench_run_mnfq_pull(struct bench_worker *worker);
int bench_run_mnfq_feed(struct bench_worker *worker);
int bench_run_mnfq_feed_all(struct bench_worker *worker);
int bench_run_raw(struct bench_worker *worker);
int bench_run_lnq(struct bench_worker *worker);
int bench_run_lnq_batch(struct bench_worker *worker);
int bench_run_lnq_ids(struct bench_worker *worker);
int bench_run_lnq_thread(struct bench_worker *worker);

/** Keep a message with errno's text; returns -1. */
int bench_worker_fail(struct bench_worker *worker, const char *what);

/** Bound: wait until it begins, and take the time; then the same at the end. */
void bench_worker_begin(struct bench_worker *worker);
void bench_worker_end(struct bench_worker *worker);

static inline bool bench_worker_done(const struct bench_worker *worker)
{
	return worker->goal ? worker->packets >= worker->goal
			    : atomic_load_explicit(&worker->stop, memory_order_relaxed);
}

enum bench_decision { BENCH_ACCEPT, BENCH_DROP, BENCH_SET_MARK };

/** What becomes of the next packet: the same look at it and the same rule for all candidates. */
static inline enum bench_decision bench_worker_decide(struct bench_worker *worker,
						      const uint8_t *payload, size_t len)
{
	uint64_t n = worker->packets++;

	atomic_store_explicit(&worker->handled, worker->packets, memory_order_relaxed);
	if (len < 20 || payload[0] != 0x45)
		worker->unexpected++;
	if (worker->once)
		return n < BENCH_FIRST ? BENCH_ACCEPT : BENCH_SET_MARK;
	if (!worker->mixed)
		return BENCH_ACCEPT;
	return n % 10 == 3 ? BENCH_DROP : n % 10 == 7 ? BENCH_SET_MARK : BENCH_ACCEPT;
}

/** The workers of one measurement, in a process of their own. */
#define BENCH_WORKERS 2
struct bench_worker_group {
	const struct bench_candidate *candidate;
	struct bench_worker *workers; /* BENCH_WORKERS of them */
	unsigned int count;
	int pid;
};

/** Start them and wait until all are bound. 0 or -1. */
int bench_group_start(struct bench_net *net, struct bench_worker_group *group);
/** Let them begin. */
void bench_group_go(struct bench_worker_group *group);
/** Stop those without a goal, and wait until all are done; their queues stay bound. */
int bench_group_wait(struct bench_net *net, struct bench_worker_group *group);
/** Let them unbind and end; whatever happened they are gone after this. 0 or -1. */
int bench_group_end(struct bench_net *net, struct bench_worker_group *group);
/** Prepare the workers of a candidate in memory that they share with us. 0 or -1. */
int bench_group_init(struct bench_net *net, struct bench_worker_group *group,
		     const struct bench_candidate *candidate);
/** The system calls that they made for a packet, or -1. */
double bench_group_count_calls(const struct bench_worker_group *group);
/** What all workers together have taken. */
void bench_group_add_up(const struct bench_worker_group *group, struct bench_result *result);
/** Wait until nothing is left in the queue, five seconds at most. 0 or -1. */
int bench_group_settle(struct bench_net *net, const struct bench_worker_group *group);

/** A counter of the system calls of this thread and of those that it starts, or -1. */
int bench_calls_open(void);
/** The begin and the end of what is counted: how many, or -1. */
void bench_calls_begin(int fd);
int64_t bench_calls_end(int fd);

/* ---- traffic ---------------------------------------------------------------------------- */

/** Send @count packets; with @pace, at most 512 more than it says. 0 or -1. */
int bench_send(struct bench_net *net, int fd, size_t size, uint64_t count,
	       const _Atomic uint64_t *pace);
/** What is sent at a steady rate. */
struct bench_paced {
	int fd, sample_fd; /* each BENCH_SAMPLE-th packet leaves with the time, by the second one */
	size_t size;
	uint64_t count;
	uint64_t rate; /* packets a second; 0: as fast as possible */
	int64_t took_ns;
};
#define BENCH_SAMPLE      17
#define BENCH_SAMPLE_PORT (BENCH_PORT + 2)

/** Send them. 0 or -1. */
int bench_send_paced(struct bench_net *net, struct bench_paced *paced);
/**
 * Read the samples that arrived at a socket: how many; the median and the 99th percentile of their
 * time on the way in @result.
 */
uint64_t bench_read_samples(int fd, struct bench_result *result);
/** A socket for them in the receiver's namespace, or -1. */
int bench_sample_socket(struct bench_net *net);
/** Echo requests, one after the other: median and 99th percentile in @result. 0 or -1. */
int bench_ping(struct bench_net *net, uint64_t count, struct bench_result *result);
/** Send up to @bytes in at most @seconds: Gbit/s in @result. 0 or -1. */
int bench_stream(struct bench_net *net, uint64_t bytes, double seconds,
		 struct bench_result *result);

/* ---- scenarios -------------------------------------------------------------------------- */

struct bench_scenario {
	const char *name;
	const char *summary;
	int (*measure)(struct bench_net *net, const struct bench_options *opts,
		       const struct bench_candidate *candidate, struct bench_result *result);
	enum bench_metric metric; /* the one to judge by */
	bool inverse;             /* its ratios are the other's value by one's own */
	bool sized;               /* --size says how large its packets are */
	bool paced;               /* measured for each of --rates */
	bool added;               /* what is reported is more than the first candidate's */
	const char *against[BENCH_AGAINST]; /* NULL: nothing more */
	const enum bench_metric *shown;     /* columns besides, up to BENCH_METRICS */
};

/** In load.c. */
int bench_measure_load(struct bench_net *net, const struct bench_options *opts,
		       const struct bench_candidate *candidate, struct bench_result *result);

/** In namespaces.c. */
int bench_measure_namespaces(struct bench_net *net, const struct bench_options *opts,
			     const struct bench_candidate *candidate,
			     struct bench_result *result);

extern const struct bench_scenario bench_scenarios[BENCH_SCENARIOS];

/* ---- reports ---------------------------------------------------------------------------- */

#define BENCH_CANDIDATES 16
#define BENCH_SERIES     (BENCH_SCENARIOS + BENCH_RATES)

/** All measurements of a scenario. */
struct bench_series {
	const struct bench_scenario *scenario;
	uint64_t rate; /* of a paced one */
	unsigned int count;
	const struct bench_candidate *candidates[BENCH_CANDIDATES];
	struct bench_result *results[BENCH_CANDIDATES]; /* one a round each */
};

struct bench_summary {
	double median, min, max;
	double ratio[BENCH_AGAINST]; /* to what the scenario names; negative: none */
};

extern const char *const bench_metric_names[BENCH_METRICS];

/** @metric of candidate @who over all rounds; false if it was not measured. */
bool bench_summarize(const struct bench_series *series, uint64_t rounds, unsigned int who,
		     enum bench_metric metric, struct bench_summary *summary);
/** A table on @out. */
void bench_report_table(FILE *out, const struct bench_series *series,
			const struct bench_options *opts);
/** One JSON object on @out; 0 or a negative errno. */
int bench_report_json(FILE *out, const struct bench_series *series, unsigned int count,
		      const struct bench_options *opts);
/** A chart of `load` in place of what is in @out; 0 or a negative errno. */
int bench_report_svg(FILE *out, const struct bench_series *series, unsigned int count,
		     const struct bench_options *opts);

#endif
