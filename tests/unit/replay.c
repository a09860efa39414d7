/* SPDX-License-Identifier: MIT */
/* replay/play.c: a packet that cannot be made is not passed over. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "capture/view.h"
#include "replay/play.h"

static unsigned int calls, failing_call;

int __real_record_packet(struct mnfq_packet **ret, const struct record *record);
int __wrap_record_packet(struct mnfq_packet **ret, const struct record *record);

int __wrap_record_packet(struct mnfq_packet **ret, const struct record *record)
{
	return ++calls == failing_call ? -ENOMEM : __real_record_packet(ret, record);
}

/* Its words differ from one C library to another. */
static const char *after(const char *packets, const char *rest)
{
	static char text[256];

	snprintf(text, sizeof(text), "mnfq replay: -: after %s: %s\n%s", packets,
		 strerror(ENOMEM), rest);
	return text;
}

/* Three packets of IPv4 without a payload, on stdin. */
static void set_input(void)
{
	const uint32_t file_head[] = { 0xa1b2c3d4, 4 << 16 | 2, 0, 0, 65536, 101 };
	const uint32_t head[] = { 1, 0, 20, 20 };
	const uint8_t packet[20] = { 0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17 };
	FILE *file = tmpfile();

	cr_assert(file);
	fwrite(file_head, sizeof(file_head), 1, file);
	for (int i = 0; i < 3; i++) {
		fwrite(head, sizeof(head), 1, file);
		fwrite(packet, sizeof(packet), 1, file);
	}
	cr_assert(fflush(file) == 0 && lseek(fileno(file), 0, SEEK_SET) == 0);
	cr_assert(dup2(fileno(file), STDIN_FILENO) == STDIN_FILENO);
	fclose(file);
}

static void expect_play(bool decide, int status, const char *messages)
{
	struct packet_options opts;
	char text[512] = "";
	FILE *errors = tmpfile();

	set_input();
	cr_assert(errors && dup2(fileno(errors), STDERR_FILENO) == STDERR_FILENO);
	packet_options_init(&opts, "mnfq replay");
	opts.quiet = opts.no_sandbox = true;
	cr_expect_eq(play_capture(&opts, "-", decide), status);
	packet_options_free(&opts);
	rewind(errors);
	(void)!fread(text, 1, sizeof(text) - 1, errors);
	fclose(errors);
	cr_expect_str_eq(text, messages);
}

Test(replay, all_packets_are_played)
{
	expect_play(true, 0, "3 packets, 60 bytes, 3 accepted, 0 dropped\n");
}

Test(replay, a_packet_that_cannot_be_made_is_an_error)
{
	failing_call = 2;
	expect_play(true, 1, after("1 packet", "1 packet, 20 bytes, 1 accepted, 0 dropped\n"));
	cr_expect_eq(calls, 2);
}

Test(replay, a_packet_that_cannot_be_printed_is_an_error)
{
	failing_call = 3;
	expect_play(false, 1, after("2 packets", ""));
}
