/* SPDX-License-Identifier: MIT */
/* Parsing arguments, reporting failures; the time; what main() does. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/common.h"
#include "common/log.h"

static int get_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* strtoull() would take signs, spaces and octal numbers. */
int parse_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	uint64_t number = 0;
	int overflow = 0;

	if (base == 16)
		text += 2;
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		int digit = get_digit(*text);

		if (digit >= base)
			return -EINVAL;
		overflow |= __builtin_mul_overflow(number, (uint64_t)base, &number);
		overflow |= __builtin_add_overflow(number, (uint64_t)digit, &number);
	}
	if (overflow || number < min || number > max)
		return -ERANGE;
	*value = number;
	return 0;
}

static int parse_queue(const char *text, uint16_t *queue)
{
	uint64_t value;
	int err = parse_number(text, 0, UINT16_MAX, &value);

	if (!err)
		*queue = (uint16_t)value;
	return err;
}

int parse_queues(const char *text, uint16_t *first, uint16_t *last)
{
	const char *colon = strchr(text, ':');
	char number[32];
	int err;

	if (!colon) {
		err = parse_queue(text, first);
		*last = *first;
		return err;
	}
	if ((size_t)(colon - text) >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, (size_t)(colon - text));
	number[colon - text] = '\0';

	err = parse_queue(number, first);
	if (!err)
		err = parse_queue(colon + 1, last);
	if (!err && *last < *first)
		err = -ERANGE;
	return err;
}

static const struct {
	const char *word;
	enum mnfq_verdict verdict;
} verdicts[] = {
	{ "accept", MNFQ_ACCEPT },
	{ "drop", MNFQ_DROP },
	{ "repeat", MNFQ_REPEAT },
	{ "stop", MNFQ_STOP },
};

#define VERDICTS (sizeof(verdicts) / sizeof(verdicts[0]))

int parse_verdict(const char *text, enum mnfq_verdict *verdict)
{
	uint16_t queue;
	int err;

	for (size_t i = 0; i < VERDICTS; i++) {
		if (strcasecmp(text, verdicts[i].word) == 0) {
			*verdict = verdicts[i].verdict;
			return 0;
		}
	}
	if (strncasecmp(text, "queue:", 6) != 0)
		return -EINVAL;
	err = parse_queue(text + 6, &queue);
	if (!err)
		*verdict = mnfq_verdict_queue(queue);
	return err;
}

const char *format_verdict(char out[VERDICT_SIZE], enum mnfq_verdict verdict)
{
	snprintf(out, VERDICT_SIZE, "queue:%u", verdict >> 16);
	for (size_t i = 0; i < VERDICTS; i++)
		if (verdicts[i].verdict == verdict)
			snprintf(out, VERDICT_SIZE, "%s", verdicts[i].word);
	return out;
}

int parse_copy(const char *text, enum mnfq_copy *mode, uint32_t *range)
{
	uint64_t bytes = 0;
	int err;

	if (strcasecmp(text, "none") == 0) {
		*mode = MNFQ_COPY_NONE;
	} else if (strcasecmp(text, "meta") == 0) {
		*mode = MNFQ_COPY_META;
	} else {
		if (strncasecmp(text, "packet", 6) != 0 || (text[6] && text[6] != ':'))
			return -EINVAL;
		if (text[6]) {
			err = parse_number(text + 7, 1, MNFQ_COPY_RANGE_MAX, &bytes);
			if (err)
				return err;
		}
		*mode = MNFQ_COPY_PACKET;
	}
	*range = (uint32_t)bytes;
	return 0;
}

/* A half of MAJOR:MINOR, @len characters; 0 if it is missing. */
static int parse_half(const char *text, size_t len, uint32_t *half)
{
	uint64_t value = 0;
	char number[16];
	int err = 0;

	if (len + 3 > sizeof(number))
		return -ERANGE;
	snprintf(number, sizeof(number), "0x%.*s", (int)len, text);
	if (len > 0)
		err = parse_number(number, 0, UINT16_MAX, &value);
	*half = (uint32_t)value;
	return err;
}

int parse_priority(const char *text, uint32_t *priority)
{
	const char *colon = strchr(text, ':');
	uint32_t major = 0, minor = 0;
	uint64_t value = 0;
	int err;

	if (!colon) {
		err = parse_number(text, 0, UINT32_MAX, &value);
	} else if (!text[1]) {
		err = -EINVAL;
	} else {
		err = parse_half(text, (size_t)(colon - text), &major);
		if (!err)
			err = parse_half(colon + 1, strlen(colon + 1), &minor);
		value = major << 16 | minor;
	}
	if (!err)
		*priority = (uint32_t)value;
	return err;
}

const char *format_priority(char out[PRIORITY_SIZE], uint32_t priority)
{
	if (priority >> 16)
		snprintf(out, PRIORITY_SIZE, "%x:%x", priority >> 16, priority & 0xffff);
	else
		snprintf(out, PRIORITY_SIZE, "%u", priority);
	return out;
}

int parse_masked(const char *text, uint32_t *value, uint32_t *mask)
{
	const char *slash = strchrnul(text, '/');
	uint64_t bits, in = UINT32_MAX;
	char number[32];
	int err;

	if ((size_t)(slash - text) >= sizeof(number))
		return -EINVAL;
	memcpy(number, text, (size_t)(slash - text));
	number[slash - text] = '\0';
	err = parse_number(number, 0, UINT32_MAX, &bits);
	if (!err && *slash)
		err = parse_number(slash + 1, 0, UINT32_MAX, &in);
	if (!err && (bits & ~in || !in))
		err = -EDOM;
	if (err)
		return err;
	*value = (uint32_t)bits;
	*mask = (uint32_t)in;
	return 0;
}

const char *format_masked(char out[MASKED_SIZE], uint32_t value, uint32_t mask)
{
	if (mask == UINT32_MAX)
		snprintf(out, MASKED_SIZE, "0x%x", value);
	else
		snprintf(out, MASKED_SIZE, "0x%x/0x%x", value, mask);
	return out;
}

int parse_mode(const char *text, mode_t *mode)
{
	mode_t value = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (get_digit(*text) >= 8)
			return -EINVAL;
		value = value << 3 | (mode_t)get_digit(*text);
		if (value > 0777)
			return -ERANGE;
	}
	*mode = value;
	return 0;
}

/* Also with a backslash before each character of @special. */
static const char *escape(char *out, size_t size, const char *bytes, size_t len,
			  const char *special)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];
		char piece[5] = { '\\', (char)c };
		size_t more = 2;

		if (!c || !strchr(special, c))
			more = (size_t)snprintf(piece, sizeof(piece),
						c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
		if (used + more >= size)
			break;
		memcpy(out + used, piece, more);
		used += more;
	}
	out[used] = '\0';
	return out;
}

const char *clean_bytes(char *out, size_t size, const char *bytes, size_t len)
{
	return escape(out, size, bytes, len, "");
}

const char *clean_text(char *out, size_t size, const char *text)
{
	return clean_bytes(out, size, text, strlen(text));
}

const char *quote_text(char *out, size_t size, const char *text)
{
	out[0] = '"';
	escape(out + 1, size - 2, text, strlen(text), "\"\\");
	strcat(out, "\"");
	return out;
}

bool is_word(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] <= ' ' || bytes[i] > '~' || strchr("\"\\", bytes[i]))
			return false;
	return len > 0;
}

const char *quote_word(char *out, size_t size, const char *text)
{
	if (!is_word(text, strlen(text)))
		return quote_text(out, size, text);
	snprintf(out, size, "%s", text);
	return out;
}

const char *plural(uint64_t count, const char *one, const char *many)
{
	return count == 1 ? one : many;
}

/* Sentences may quote names that others chose: of namespaces, of processes. */
static void common_tell(const char *command, const char *hint, const char *format, va_list args)
{
	char raw[1024], line[1024];
	FILE *out = log_begin();

	vsnprintf(raw, sizeof(raw), format, args);
	clean_text(line, sizeof(line), raw);
	if (hint)
		fprintf(out, "%s: %s (see '%s %s')\n", command, line, command, hint);
	else
		fprintf(out, "%s: %s\n", command, line);
	log_end();
}

static void close_from_to(unsigned int first, unsigned int last)
{
	if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
		return;
	/* Before Linux 5.9. Higher ones are improbable. */
	for (; first <= last && first < 65536; first++)
		close((int)first);
}

static int by_value(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void close_all_but(int *fds, unsigned int count)
{
	unsigned int i, first = 3;

	qsort(fds, count, sizeof(fds[0]), by_value);
	for (i = 0; i < count; i++) {
		close_from_to(first, (unsigned int)fds[i] - 1);
		first = (unsigned int)fds[i] + 1;
	}
	close_from_to(first, ~0u);
}

void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max; /* more takes CAP_SYS_RESOURCE */
	(void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool is_ignored(int signal)
{
	struct sigaction action;

	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int fail(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	common_tell(command, NULL, format, args);
	va_end(args);
	return EXIT_FAILURE;
}

int fail_usage(const char *command, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	common_tell(command, "--help", format, args);
	va_end(args);
	return EXIT_USAGE;
}

int fail_option(const char *command, int result, char **argv)
{
	/* musl is one further where the last word lacks its argument: at the NULL behind it. */
	const char *argument = argv[optind - 1] ? argv[optind - 1] : argv[optind - 2];
	int is_long = strncmp(argument, "--", 2) == 0;

	if (result == ':' && is_long)
		return fail_usage(command, "%s needs an argument", argument);
	if (result == ':')
		return fail_usage(command, "-%c needs an argument", optopt);
	if (is_long && optopt)
		return fail_usage(command, "%s: this option takes no argument", argument);
	if (optopt)
		return fail_usage(command, "unknown option -%c", optopt);
	return fail_usage(command, "unknown option %s", argument);
}

/*
 * If we were started without stdin, stdout or stderr, the next descriptor that we open would take
 * its place, and packets would be printed into a netlink socket. A read-only stand-in makes
 * writing fail as it should.
 */
static void fill_standard_descriptors(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int run_program(const char *name, int (*run)(int argc, char **argv), int argc, char **argv)
{
	int status;

	fill_standard_descriptors();
	status = run(argc, argv);
	if (fflush(stdout) && errno != EPIPE && status == EXIT_SUCCESS)
		return fail(name, "cannot write to stdout: %s", strerror(errno));
	return status;
}
