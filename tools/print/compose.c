/* SPDX-License-Identifier: MIT */
/* Short texts from numbers and addresses. A packet has many, so no printf() where it matters. */
#include "print/compose.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add_bytes(struct compose *compose, const char *bytes, size_t len)
{
	const size_t room = compose->size - compose->len - 1;

	if (len > room)
		len = room;
	memcpy(compose->text + compose->len, bytes, len);
	compose->len += len;
	compose->text[compose->len] = '\0';
}

void add_text(struct compose *compose, const char *text)
{
	add_bytes(compose, text, strlen(text));
}

void add_number(struct compose *compose, uint64_t number)
{
	char digits[DIGITS_MAX];

	add_bytes(compose, digits, format_digits(digits, number));
}

void add_format(struct compose *compose, const char *format, ...)
{
	char text[160] = "";
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	add_text(compose, text);
}

size_t format_digits(char out[DIGITS_MAX], uint64_t number)
{
	char reversed[DIGITS_MAX];
	size_t len = 0;

	do
		reversed[len++] = (char)('0' + number % 10);
	while (number /= 10);
	for (size_t i = 0; i < len; i++)
		out[i] = reversed[len - 1 - i];
	return len;
}

/* glibc's inet_ntop() of IPv4 is a sprintf(). */
const char *format_address(char out[ADDRESS_SIZE], int family, const uint8_t *address)
{
	size_t len = 0;

	if (family != AF_INET)
		return inet_ntop(AF_INET6, address, out, ADDRESS_SIZE);
	for (size_t i = 0; i < 4; i++) {
		char digits[DIGITS_MAX];
		const size_t more = format_digits(digits, address[i]);

		memcpy(out + len, digits, more);
		len += more;
		out[len++] = '.';
	}
	out[len - 1] = '\0';
	return out;
}
