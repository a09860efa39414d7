/* SPDX-License-Identifier: MIT */
/* What the doctor found: each with a level, a line of cause and a line of remedy. */
#ifndef MNFQ_TOOLS_DOCTOR_FINDINGS_H
#define MNFQ_TOOLS_DOCTOR_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum level {
	LEVEL_ERROR,   /* packets vanish, or never come */
	LEVEL_WARNING, /* it happened before, or may happen */
	LEVEL_UNSEEN,  /* what could not be looked at */
	LEVEL_NOTE,    /* nothing wrong by itself, but an explanation */
};

#define FINDING_SIZE 2048
struct finding {
	enum level level;
	const char *name;                               /* for programs: "unbound-queue" */
	int queue;                                      /* -1: none in particular */
	char cause[FINDING_SIZE], remedy[FINDING_SIZE]; /* printable ASCII */
};

struct findings {
	struct finding *list;
	size_t count, room;
	bool no_memory;
};

/** Add one without its texts, which the next two set. Returns NULL without memory, which they take. */
struct finding *findings_add(struct findings *findings, enum level level, const char *name,
			     int queue);

/** Untrusted text in the arguments is escaped by the caller: see common/text.h. Both return @finding. */
struct finding *finding_cause(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
struct finding *finding_remedy(struct finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Is anything wrong, or unseen? Notes do not count. */
bool findings_are_bad(const struct findings *findings);

/** The worst first. */
void findings_print(FILE *out, const struct findings *findings, bool json);

void findings_free(struct findings *findings);

#endif
