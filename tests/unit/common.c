/* SPDX-License-Identifier: MIT */
/* common.c: what the command line takes, and what it refuses. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "common/parse.h"
#include "common/text.h"

static void expect_number(const char *text, int err, uint64_t number)
{
	uint64_t value = 4711;

	cr_expect_eq(parse_number(text, 1, UINT64_MAX, &value), err, "'%s'", text);
	cr_expect_eq(value, err ? 4711 : number, "'%s': %llu", text, (unsigned long long)value);
}

Test(common, numbers)
{
	expect_number("1", 0, 1);
	expect_number("010", 0, 10);
	expect_number("0x1f", 0, 31);
	expect_number("0XFf", 0, 255);
	expect_number("18446744073709551615", 0, UINT64_MAX);
	expect_number("0xffffffffffffffff", 0, UINT64_MAX);
}

Test(common, no_numbers)
{
	static const char *const texts[] = { "",   " 1",  "1 ",  "+1",  "-1",  "1x",
					     "x1", "0x",  "a",   "1.0", "1e3", "0x0x1",
					     "1,", "0xg", "\t1", "/",   ":",   "\xff" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		expect_number(texts[i], -EINVAL, 0);
}

Test(common, numbers_out_of_range)
{
	uint64_t value = 4711;

	expect_number("0", -ERANGE, 0);
	expect_number("18446744073709551616", -ERANGE, 0);
	expect_number("18446744073709551617", -ERANGE, 0);
	expect_number("36893488147419103233", -ERANGE, 0);
	expect_number("0x10000000000000001", -ERANGE, 0);
	expect_number("99999999999999999999999999999999999999999", -ERANGE, 0);
	cr_expect_eq(parse_number("65536", 0, 65535, &value), -ERANGE);
	cr_expect_eq(parse_number("65535", 0, 65535, &value), 0);
}

static void expect_seconds(const char *text, int err, uint32_t expected)
{
	uint32_t ms = 4711;

	cr_expect_eq(parse_seconds(text, 100, 86400000, &ms), err, "'%s'", text);
	cr_expect_eq(ms, err ? 4711 : expected, "'%s': %u", text, ms);
}

Test(common, seconds)
{
	expect_seconds("1", 0, 1000);
	expect_seconds("0.1", 0, 100);
	expect_seconds("2.25", 0, 2250);
	expect_seconds("2.125", 0, 2125);
	expect_seconds("86400", 0, 86400000);
	expect_seconds("0", -ERANGE, 0);
	expect_seconds("0.099", -ERANGE, 0);
	expect_seconds("86400.001", -ERANGE, 0);
	expect_seconds("86401", -ERANGE, 0);
	expect_seconds("18446744073709551617", -ERANGE, 0);
	expect_seconds("4294968", -ERANGE, 0); /* 2^32 ms */
	expect_seconds("0.1234", -EINVAL, 0);
	expect_seconds("", -EINVAL, 0);
	expect_seconds(".5", -EINVAL, 0);
	expect_seconds("5.", -EINVAL, 0);
	expect_seconds("1.2.3", -EINVAL, 0);
	expect_seconds("-1", -EINVAL, 0);
	expect_seconds("1e3", -EINVAL, 0);
	expect_seconds("1 ", -EINVAL, 0);
	expect_seconds("0x1", -EINVAL, 0);
}

static void expect_queues(const char *text, int err, uint16_t first, uint16_t last)
{
	uint16_t from = 0, to = 0;

	cr_expect_eq(parse_queues(text, &from, &to), err, "'%s'", text);
	if (err)
		return;
	cr_expect_eq(from, first, "'%s'", text);
	cr_expect_eq(to, last, "'%s'", text);
}

Test(common, queues)
{
	expect_queues("0", 0, 0, 0);
	expect_queues("65535", 0, 65535, 65535);
	expect_queues("0:65535", 0, 0, 65535);
	expect_queues("3:3", 0, 3, 3);
	expect_queues("0x10:0x11", 0, 16, 17);
	expect_queues("65536", -ERANGE, 0, 0);
	expect_queues("3:2", -ERANGE, 0, 0);
	expect_queues("0:65536", -ERANGE, 0, 0);
	expect_queues("", -EINVAL, 0, 0);
	expect_queues(":", -EINVAL, 0, 0);
	expect_queues("1:", -EINVAL, 0, 0);
	expect_queues(":1", -EINVAL, 0, 0);
	expect_queues("1:2:3", -EINVAL, 0, 0);
	expect_queues("1-2", -EINVAL, 0, 0);
	expect_queues("00000000000000000000000000000000000001:2", -EINVAL, 0, 0);
}

static void expect_verdict(const char *text, int err, enum mnfq_verdict expected)
{
	enum mnfq_verdict verdict = MNFQ_DEFER;

	cr_expect_eq(parse_verdict(text, &verdict), err, "'%s'", text);
	cr_expect_eq(verdict, err ? MNFQ_DEFER : expected, "'%s'", text);
}

Test(common, verdicts)
{
	expect_verdict("accept", 0, MNFQ_ACCEPT);
	expect_verdict("drop", 0, MNFQ_DROP);
	expect_verdict("repeat", 0, MNFQ_REPEAT);
	expect_verdict("stop", 0, MNFQ_STOP);
	expect_verdict("queue:7", 0, mnfq_verdict_queue(7));
	expect_verdict("queue:65536", -ERANGE, 0);
	expect_verdict("queue:", -EINVAL, 0);
	expect_verdict("queue", -EINVAL, 0);
	expect_verdict("ACCEPT", 0, MNFQ_ACCEPT);
	expect_verdict("Drop", 0, MNFQ_DROP);
	expect_verdict("QUEUE:0x10", 0, mnfq_verdict_queue(16));
	expect_verdict("accept ", -EINVAL, 0);
	expect_verdict("stolen", -EINVAL, 0);
	expect_verdict("1", -EINVAL, 0);
	expect_verdict("", -EINVAL, 0);
}

Test(common, verdicts_are_written_as_they_are_read)
{
	static const char *const texts[] = { "accept", "drop",    "repeat",
					     "stop",   "queue:0", "queue:65535" };
	enum mnfq_verdict verdict;
	char text[VERDICT_SIZE];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		cr_assert_eq(parse_verdict(texts[i], &verdict), 0);
		cr_expect_str_eq(format_verdict(text, verdict), texts[i]);
	}
}

static void expect_copy(const char *text, int err, enum mnfq_copy expected, uint32_t bytes)
{
	enum mnfq_copy mode = MNFQ_COPY_DEFAULT;
	uint32_t range = 0;

	cr_expect_eq(parse_copy(text, &mode, &range), err, "'%s'", text);
	cr_expect_eq(mode, err ? MNFQ_COPY_DEFAULT : expected, "'%s'", text);
	cr_expect_eq(range, bytes, "'%s'", text);
}

Test(common, copy_modes)
{
	expect_copy("none", 0, MNFQ_COPY_NONE, 0);
	expect_copy("meta", 0, MNFQ_COPY_META, 0);
	expect_copy("packet", 0, MNFQ_COPY_PACKET, 0);
	expect_copy("packet:1", 0, MNFQ_COPY_PACKET, 1);
	expect_copy("packet:65531", 0, MNFQ_COPY_PACKET, 65531);
	expect_copy("META", 0, MNFQ_COPY_META, 0);
	expect_copy("Packet:7", 0, MNFQ_COPY_PACKET, 7);
	expect_copy("packet:0", -ERANGE, 0, 0);
	expect_copy("packet:65532", -ERANGE, 0, 0);
	expect_copy("packet:", -EINVAL, 0, 0);
	expect_copy("packets", -EINVAL, 0, 0);
	expect_copy("packet-5", -EINVAL, 0, 0);
	expect_copy("meta:1", -EINVAL, 0, 0);
	expect_copy("", -EINVAL, 0, 0);
}

static void expect_priority(const char *text, int err, uint32_t expected)
{
	uint32_t priority = 4711;

	cr_expect_eq(parse_priority(text, &priority), err, "'%s'", text);
	cr_expect_eq(priority, err ? 4711 : expected, "'%s': 0x%x", text, priority);
}

Test(common, priorities)
{
	expect_priority("0", 0, 0);
	expect_priority("10", 0, 10);
	expect_priority("0xffffffff", 0, 0xffffffff);
	expect_priority("1:10", 0, 0x10010);
	expect_priority("ffff:FFFF", 0, 0xffffffff);
	expect_priority("00001:0002", 0, 0x10002);
	expect_priority("1:", 0, 0x10000);
	expect_priority(":2", 0, 2);
	expect_priority("4294967296", -ERANGE, 0);
	expect_priority("10000:0", -ERANGE, 0);
	expect_priority("0:10000", -ERANGE, 0);
	expect_priority("00000000000000000000000000000000001:0", -ERANGE, 0);
	expect_priority("", -EINVAL, 0);
	expect_priority(":", -EINVAL, 0);
	expect_priority("1:2:3", -EINVAL, 0);
	expect_priority("1:0x2", -EINVAL, 0);
	expect_priority("g:1", -EINVAL, 0);
	expect_priority("-1:1", -EINVAL, 0);
	expect_priority("ff", -EINVAL, 0);
	expect_priority("1 :1", -EINVAL, 0);
}

Test(common, priorities_are_written_as_they_are_read)
{
	static const uint32_t numbers[] = { 0, 6, 0xffff, 0x10000, 0x10010, 0xffffffff };
	char text[PRIORITY_SIZE];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		expect_priority(format_priority(text, numbers[i]), 0, numbers[i]);
	cr_expect_str_eq(format_priority(text, 0x10010), "1:10");
	cr_expect_str_eq(format_priority(text, 16), "16");
}

static void expect_masked(const char *text, int err, uint32_t value, uint32_t mask)
{
	uint32_t bits = 0, in = 0;

	cr_expect_eq(parse_masked(text, &bits, &in), err, "'%s'", text);
	cr_expect_eq(bits, value, "'%s'", text);
	cr_expect_eq(in, mask, "'%s'", text);
}

Test(common, masked_marks)
{
	expect_masked("5", 0, 5, 0xffffffff);
	expect_masked("0", 0, 0, 0xffffffff);
	expect_masked("0x10/0xff", 0, 0x10, 0xff);
	expect_masked("0/1", 0, 0, 1);
	expect_masked("4294967295/4294967295", 0, 0xffffffff, 0xffffffff);
	expect_masked("3/1", -EDOM, 0, 0);
	expect_masked("0/0", -EDOM, 0, 0);
	expect_masked("4294967296", -ERANGE, 0, 0);
	expect_masked("1/4294967296", -ERANGE, 0, 0);
	expect_masked("", -EINVAL, 0, 0);
	expect_masked("/", -EINVAL, 0, 0);
	expect_masked("/1", -EINVAL, 0, 0);
	expect_masked("1/", -EINVAL, 0, 0);
	expect_masked("1/1/1", -EINVAL, 0, 0);
	expect_masked("00000000000000000000000000000000000001/1", -EINVAL, 0, 0);
}

Test(common, text_of_others_is_made_safe)
{
	char out[16];

	cr_expect_str_eq(clean_text(out, sizeof(out), "eth0"), "eth0");
	cr_expect_str_eq(clean_text(out, sizeof(out), "\033[2J"), "\\x1b[2J");
	cr_expect_str_eq(clean_text(out, sizeof(out), "a\n\x7f\xff"), "a\\x0a\\x7f\\xff");
	cr_expect_str_eq(clean_text(out, 5, "abcdef"), "abcd");
	cr_expect_str_eq(clean_text(out, 5, "ab\n"), "ab", "an escape is never cut");
	cr_expect_str_eq(clean_text(out, 1, "abc"), "");
	cr_expect_str_eq(clean_bytes(out, sizeof(out), "a\0b\n", 3), "a\\x00b");
}

Test(common, text_of_others_is_quoted)
{
	char out[32];

	cr_expect_str_eq(quote_text(out, sizeof(out), "web"), "\"web\"");
	cr_expect_str_eq(quote_text(out, sizeof(out), ""), "\"\"");
	cr_expect_str_eq(quote_text(out, sizeof(out), "a\", uid 0"), "\"a\\\", uid 0\"");
	cr_expect_str_eq(quote_text(out, sizeof(out), "\\x41\n"), "\"\\\\x41\\x0a\"");
	cr_expect_str_eq(quote_text(out, 6, "abcdef"), "\"abc\"");
	cr_expect_str_eq(quote_text(out, 6, "ab\"\""), "\"ab\"", "an escape is never cut");
	cr_expect_str_eq(quote_text(out, 3, "abc"), "\"\"");
}

/* What is one word needs no quotes, unless it has what looks like an escape. */
Test(common, text_of_others_stays_one_word)
{
	char out[32];

	cr_expect_str_eq(quote_word(out, sizeof(out), "net:[4026531840]"), "net:[4026531840]");
	cr_expect_str_eq(quote_word(out, sizeof(out), "s0:c1,c2"), "s0:c1,c2");
	cr_expect_str_eq(quote_word(out, sizeof(out), ""), "\"\"");
	cr_expect_str_eq(quote_word(out, sizeof(out), "a queue 7"), "\"a queue 7\"");
	cr_expect_str_eq(quote_word(out, sizeof(out), "\\x41"), "\"\\\\x41\"");
	cr_expect_str_eq(quote_word(out, sizeof(out), "a\"b"), "\"a\\\"b\"");
	cr_expect_str_eq(quote_word(out, sizeof(out), "\xc3\xa9\n"), "\"\\xc3\\xa9\\x0a\"");
	cr_expect_str_eq(quote_word(out, 6, "\n\n"), "\"\"");
	cr_expect_str_eq(quote_word(out, 3, "abc"), "ab");
}

Test(common, marks_are_written_as_they_are_read)
{
	char text[MASKED_SIZE];

	cr_expect_str_eq(format_masked(text, 5, UINT32_MAX), "0x5");
	cr_expect_str_eq(format_masked(text, 0x10, 0xff), "0x10/0xff");
	cr_expect_str_eq(format_masked(text, 0xfffffffe, 0xfffffffe), "0xfffffffe/0xfffffffe");
}

static void expect_mode(const char *text, int err, mode_t mode)
{
	mode_t value = 04711;

	cr_expect_eq(parse_mode(text, &value), err, "'%s'", text);
	cr_expect_eq(value, err ? 04711 : mode, "'%s': 0%o", text, value);
}

Test(common, modes)
{
	expect_mode("0660", 0, 0660);
	expect_mode("777", 0, 0777);
	expect_mode("0", 0, 0);
	expect_mode("000000000000000000000000600", 0, 0600);
	expect_mode("1000", -ERANGE, 0);
	expect_mode("40000000000600", -ERANGE, 0);
	expect_mode("", -EINVAL, 0);
	expect_mode("0668", -EINVAL, 0);
	expect_mode("0x1ff", -EINVAL, 0);
	expect_mode("-1", -EINVAL, 0);
	expect_mode("u+rw", -EINVAL, 0);
	expect_mode(" 600", -EINVAL, 0);
}

Test(common, plural_forms)
{
	cr_expect_str_eq(plural(0, "packet", "packets"), "packets");
	cr_expect_str_eq(plural(1, "packet", "packets"), "packet");
	cr_expect_str_eq(plural(2, "packet", "packets"), "packets");
	cr_expect_str_eq(plural(UINT64_C(1) << 32 | 1, "packet", "packets"), "packets");
}
