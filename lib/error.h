/* SPDX-License-Identifier: MIT */
/* The last failure as a sentence. */
#ifndef MNFQ_ERROR_H
#define MNFQ_ERROR_H

#include <mnfq/mnfq.h>
#include <stddef.h>

struct mnfq_i_sentence {
	char text[MNFQ_SENTENCE_SIZE];
};

/* Keeps a sentence and returns @err. */
int mnfq_i_fail(struct mnfq_i_sentence *error, int err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The caller's buffer gets the sentence, as far as there is one. Returns @err. */
int mnfq_i_tell(char *to, size_t size, const struct mnfq_i_sentence *error, int err);

#endif
