/* SPDX-License-Identifier: MIT */
/* mnfq stat for programs: any name in an exposition of Prometheus, and as JSON. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exposition.h"
#include "stat/export.h"

static struct row rows[3] = {
	{ .netns = "blue",
	  .queue = { .num = 5,
		     .portid = 4711,
		     .waiting = 12,
		     .copy_mode = MNFQ_COPY_PACKET,
		     .copy_range = 65531,
		     .queue_dropped = UINT32_MAX,
		     .user_dropped = 8,
		     .last_id = 345 },
	  .pid = 17,
	  .command = "mnfq" },
	{ .netns = "blue", .queue = { .num = 6, .copy_mode = MNFQ_COPY_NONE, .portid = 1 } },
	{ .netns = "net:[4026531833]", .queue = { .num = 5 } },
};
static struct reading reading = { .rows = rows, .count = 3, .time_us = 1500000 };
static char *text;

static void export(bool json, bool watched)
{
	static size_t len;
	FILE *out;

	free(text);
	out = open_memstream(&text, &len);
	if (json)
		export_json(out, &reading, watched);
	else
		export_prometheus(out, &reading);
	fclose(out);
}

Test(stat_export, prometheus)
{
	export(false, false);
	exposition_check(text);
	exposition_expect(text, "nfqueue_packets_waiting{netns=\"blue\",queue=\"5\"}", "12");
	exposition_expect(text, "nfqueue_packets_total{netns=\"blue\",queue=\"5\"}", "345");
	exposition_expect(text, "nfqueue_dropped_full_packets_total{netns=\"blue\",queue=\"5\"}",
			  "4294967295");
	exposition_expect(
		text, "nfqueue_dropped_socket_packets_total{netns=\"blue\",queue=\"5\"}", "8");
	exposition_expect(text, "nfqueue_copy_range_bytes{netns=\"blue\",queue=\"5\"}", "65531");
	exposition_expect(text,
			  "nfqueue_info{netns=\"blue\",queue=\"5\",portid=\"4711\",pid=\"17\","
			  "command=\"mnfq\",copy_mode=\"packet\"}",
			  "1");
	exposition_expect(text,
			  "nfqueue_info{netns=\"net:[4026531833]\",queue=\"5\",portid=\"0\","
			  "copy_mode=\"unknown\"}",
			  "1");
}

Test(stat_export, prometheus_without_queues)
{
	reading.count = 0;
	export(false, false);
	exposition_check(text);
	cr_expect(strstr(text, "# TYPE nfqueue_packets_total counter\n") != NULL);
}

/* Each byte, by itself and among others; what looks like the end of a label is none. */
Test(stat_export, hostile_names)
{
	for (int c = 1; c < 256; c++) {
		snprintf(rows[0].netns, sizeof(rows[0].netns), "%c", c);
		snprintf(rows[0].command, sizeof(rows[0].command), "a%c\"} 1\n%c", c, c);
		export(false, false);
		exposition_check(text);
		export(true, false);
		for (const char *at = text; *at; at++)
			cr_assert(*at == '\n' || (*at >= ' ' && *at <= '~'), "%d: %s", c, text);
	}
	memset(rows[0].netns, 0xff, sizeof(rows[0].netns) - 1);
	export(false, false);
	exposition_check(text);
	strcpy(rows[0].netns, "a\"b\\c\nd");
	export(false, false);
	exposition_expect(
		text, "nfqueue_packets_waiting{netns=\"a\\\"b\\\\c\\\\x0ad\",queue=\"5\"}", "12");
}

Test(stat_export, json)
{
	reading.count = 2;
	export(true, false);
	cr_expect_str_eq(
		text,
		"{\"netns\":\"blue\",\"queue\":5,\"portid\":4711,\"pid\":17,\"command\":\"mnfq\","
		"\"waiting\":12,\"copy_mode\":\"packet\",\"copy_range\":65531,"
		"\"dropped_full\":4294967295,\"dropped_socket\":8,\"packets\":345}\n"
		"{\"netns\":\"blue\",\"queue\":6,\"portid\":1,"
		"\"waiting\":0,\"copy_mode\":\"none\",\"copy_range\":0,"
		"\"dropped_full\":0,\"dropped_socket\":0,\"packets\":0}\n");
}

Test(stat_export, json_with_rates)
{
	reading.count = 1;
	reading.elapsed_ms = 2000;
	rows[0].compared = true;
	rows[0].limit = 12;
	rows[0].before = rows[0].queue;
	rows[0].before.last_id = 340;
	rows[0].before.user_dropped = UINT32_MAX;
	export(true, true);
	cr_expect_str_eq(
		text,
		"{\"time\":1.500000,\"netns\":\"blue\",\"queue\":5,\"portid\":4711,\"pid\":17,"
		"\"command\":\"mnfq\",\"waiting\":12,\"limit\":12,\"copy_mode\":\"packet\","
		"\"copy_range\":65531,\"dropped_full\":4294967295,\"dropped_socket\":8,"
		"\"packets\":345,\"packets_per_second\":3,\"dropped_full_per_second\":0,"
		"\"dropped_socket_per_second\":5}\n");
}
