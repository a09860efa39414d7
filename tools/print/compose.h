/* SPDX-License-Identifier: MIT */
/* Short texts from numbers and addresses, in a buffer. What does not fit is left out. */
#ifndef MNFQ_TOOLS_PRINT_COMPOSE_H
#define MNFQ_TOOLS_PRINT_COMPOSE_H

#include <stddef.h>
#include <stdint.h>

/** Begins as { buffer, size }, with an empty string in the buffer; it stays terminated. */
struct compose {
	char *text;
	size_t size;
	size_t len;
};

void add_text(struct compose *compose, const char *text);
void add_number(struct compose *compose, uint64_t number);

/** Several at once, as printf(). Slower. */
void add_format(struct compose *compose, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Decimal, not terminated. Returns the number of digits. */
#define DIGITS_MAX 20
size_t format_digits(char out[DIGITS_MAX], uint64_t number);

/** As inet_ntop() does. Returns @out. */
#define ADDRESS_SIZE 46
const char *format_address(char out[ADDRESS_SIZE], int family, const uint8_t *address);

#endif
