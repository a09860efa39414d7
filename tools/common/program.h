/* SPDX-License-Identifier: MIT */
/* What a program is made of: its sub-commands, and how they report failures. */
#ifndef MNFQ_TOOLS_PROGRAM_H
#define MNFQ_TOOLS_PROGRAM_H

#define EXIT_USAGE 2

/* The sub-commands; argv[0] is the name of the sub-command. Each returns an exit status. */
int run_dump(int argc, char **argv);
int run_replay(int argc, char **argv);
int run_share(int argc, char **argv);
int run_stat(int argc, char **argv);
int run_doctor(int argc, char **argv);

/**
 * What main() of a program does: run @run with descriptors 0, 1 and 2 in place, and report if it returns success
 * though what it printed could not be written. Returns the exit status.
 */
int run_program(const char *name, int (*run)(int argc, char **argv), int argc, char **argv);

/**
 * Write out what was printed. Returns @status, or EXIT_FAILURE after a message if that is impossible; whoever closes
 * the pipe has seen enough.
 */
int finish_stdout(const char *command, int status);

/** Write "mnfq COMMAND: …" as one line to stderr; returns EXIT_FAILURE. */
int fail(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** As fail(), names --help, and returns EXIT_USAGE. */
int fail_usage(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
