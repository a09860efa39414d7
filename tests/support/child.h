/* SPDX-License-Identifier: MIT */
/* Child processes of a test, which never outlive it. */
#ifndef TEST_CHILD_H
#define TEST_CHILD_H

#include <sys/types.h>

struct child {
	pid_t pid;
	int fd; /* a stream to the child, which has the other end */
};

/*
 * Forks a child that exits with what @function returns. It is killed when the test ends; end of
 * file on its @fd tells it that we closed ours. Assertions do not work in there.
 */
struct child child_start(int (*function)(int fd, void *arg), void *arg);

/* One byte to the other side, and waiting for one; fails the test if the other is gone. */
void child_tell(const struct child *child);
void child_await(const struct child *child);

/* Closes our end and waits for the exit status; minus the signal number if one ended it. */
int child_finish(struct child *child);

/* Kills it in the middle of what it does, and waits until it is gone. */
void child_kill(struct child *child);

/* A living child of any process by its name (comm), the last one that it started; 0: none. */
pid_t child_named(pid_t parent, const char *name);

/* The same; waits until there is one. A child has its name a moment after it has begun. */
pid_t child_await_named(pid_t parent, const char *name);

/* So many, living or not. */
unsigned int count_children(pid_t parent, const char *name);

/* As ps(1) shows it: S for one that sleeps, T for one that was stopped, 0 for one that is gone. */
char process_state(pid_t pid);

/* How many entries a folder of /proc/PID has: fd, task. */
unsigned int process_count(pid_t pid, const char *folder);

/* A number of /proc/PID/status, such as CapEff; fails the test if it is not there. */
unsigned long long process_status(pid_t pid, const char *key, int base);

/* Hands a descriptor over a stream, by SCM_RIGHTS. Returns 0 or a negative errno. */
int send_descriptor(int stream, int fd);

/* The descriptor that comes, or a negative errno. */
int receive_descriptor(int stream);

#endif
