/* SPDX-License-Identifier: MIT */
/* mnfq dump -w: captures that other programs read, whatever becomes of the file. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump-fixture.h"
#include "sandbox/sandbox.h"

static char directory[] = "/tmp/mnfq-test-XXXXXX";

static void capture_begin(void)
{
	netns_require();
	cr_assert(mkdtemp(directory));
}

static void capture_end(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		abort();
}

TestSuite(dump_capture, .timeout = 300, .init = capture_begin, .fini = capture_end);

/* Serves the queue of dump_open() with these arguments; %s: the directory. */
static void capture_start(const char *format)
{
	char arguments[512];

	snprintf(arguments, sizeof(arguments), format, directory, directory);
	dump_start(arguments);
}

/* What a shell command prints, with $D for the directory. */
static const char *output(const char *command)
{
	static char text[16384];
	FILE *pipe;
	size_t len;

	setenv("D", directory, 1);
	pipe = popen(command, "re");
	cr_assert(pipe);
	len = fread(text, 1, sizeof(text) - 1, pipe);
	text[len] = '\0';
	cr_assert_eq(pclose(pipe), 0, "%s: %s", command, text);
	return text;
}

static void expect_output(const char *command, const char *expected)
{
	const char *text = output(command);

	cr_expect(strcmp(text, expected) == 0, "%s:\n%sinstead of\n%s", command, text, expected);
}

static void need(const char *program)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	if (system(command) != 0)
		skip_or_fail("this needs tshark and what comes with it");
}

#define FIELDS                                                                                   \
	"-T fields -e frame.interface_name -e frame.packet_id -e frame.interface_queue "         \
	"-e frame.verdict.ebpf_tc -e frame.packet_flags_direction -e frame.len -e frame.cap_len "

/* ---- what is in it ------------------------------------------------------------------------ */

Test(dump_capture, tshark_lists_what_is_known)
{
	need("tshark");
	dump_open();
	capture_start("-w %s/x --mark 1 --uid-gid --snap 40");
	udp_send_many(&udp, 0, 2);
	dump_expect(2);
	tool_stop(&tool, .packets = 2, .accepted = 2, .marked = 2);
	expect_output("tshark -r $D/x " FIELDS "2>/dev/null",
		      "lo\t1\t1\t0\t0x00000002\t60\t40\n"
		      "lo\t2\t1\t0\t0x00000002\t60\t40\n");
	expect_contains(output("tshark -r $D/x -T fields -e frame.comment 2>/dev/null"),
			"mnfq hook=output out=lo time=mnfq family=2 hw=0x800 skb=0x1 uid=0 gid=0 "
			"verdict=accept verdict_mark=0x1\n");
	expect_output("tshark -r $D/x -Y '_ws.malformed' 2>/dev/null", "");
	expect_contains(output("capinfos -c $D/x"), "2\n");
	expect_contains(output("capinfos $D/x"), "Name = lo");
	expect_contains(output("capinfos $D/x"), ns->name);
}

/* With the same options the lines are the same, those of JSON as well. */
Test(dump_capture, a_capture_prints_the_lines_again)
{
	static char first[4096];

	dump_open();
	capture_start("-v --json --payload hex --uid-gid --mark 7 --print -w %s/x >%s/lines");
	udp_send_many(&udp, 0, 3);
	cr_assert(netns_wait_waiting(ns, 1, 0));
	dump_expect(3);
	dump_end(SIGTERM);
	snprintf(first, sizeof(first), "%s", output("cat $D/lines"));
	cr_assert(strlen(first) > 100);
	expect_output("\"$MNFQ_TOOL\" dump -r $D/x --json --payload hex", first);
	expect_output(
		"\"$MNFQ_TOOL\" dump -r $D/x -w - | \"$MNFQ_TOOL\" dump -r - --json --payload hex",
		first);
	expect_output("\"$MNFQ_TOOL\" dump -r $D/x -c 2 -t | cut -d'|' -f2",
		      " q1 id 1 output lo, uid 0, gid 0, accept with mark 0x7\n"
		      " q1 id 2 output lo, uid 0, gid 0, accept with mark 0x7\n");
}

/* Of IPv6, and through a router: interfaces are those of their direction. */
Test(dump_capture, each_interface_has_its_block)
{
	struct netns *left = netns_new(), *right = netns_new();

	need("tshark");
	ns = netns_new();
	netns_route(left, ns, right);
	netns_rule(ns, 6, "-t mangle -A FORWARD -p udp -j NFQUEUE --queue-num 1");
	netns_rule(ns, 4, "-t mangle -A POSTROUTING -p udp -j NFQUEUE --queue-num 1");
	capture_start("-w %s/x -c 2");
	udp_open(&udp, left, right, "fd00:0:0:2::1", 9);
	udp_send(&udp, 0);
	udp_expect(&udp, 0);
	udp_close(&udp);
	udp_open(&udp, left, right, "10.0.2.1", 9);
	udp_send(&udp, 1);
	cr_assert_eq(tool_finish(&tool), 0);
	expect_output("tshark -r $D/x " FIELDS "2>/dev/null",
		      "left\t1\t1\t0\t0x00000001\t80\t80\n"
		      "right\t2\t1\t0\t0x00000002\t60\t60\n");
}

Test(dump_capture, drops_are_in_the_statistics)
{
	dump_open();
	capture_start("--max-len 2 -w %s/x");
	tool_freeze(&tool);
	udp_send_many(&udp, 0, 5);
	kill(tool.pid, SIGCONT);
	udp_expect(&udp, 0);
	udp_expect(&udp, 1);
	kill(tool.pid, SIGTERM);
	tool_await_err(&tool, "2 packets, 120 bytes, 2 accepted, 0 dropped, 3 queue full");
	cr_assert_eq(tool_finish(&tool), 0);
	expect_contains(output("strings $D/x"), "kernel_dropped=3 ");
}

/* ---- where it goes ------------------------------------------------------------------------ */

/* Each packet is there before the next one is sent. */
Test(dump_capture, it_is_live)
{
	char command[128], line[64];
	FILE *tshark;

	need("tshark");
	dump_open();
	snprintf(command, sizeof(command), "%s/fifo", directory);
	cr_assert(mkfifo(command, 0600) == 0);
	snprintf(command, sizeof(command),
		 "tshark -l -r %s/fifo -T fields -e frame.packet_id 2>/dev/null", directory);
	tshark = popen(command, "re");
	capture_start("-w %s/fifo");
	for (uint32_t seq = 0; seq < 3; seq++) {
		udp_send(&udp, seq);
		udp_expect(&udp, seq);
		cr_assert(fgets(line, sizeof(line), tshark));
		cr_expect_eq(strtoul(line, NULL, 10), seq + 1);
	}
	tool_stop(&tool, .packets = 3, .accepted = 3);
	cr_expect_eq(pclose(tshark), 0);
}

Test(dump_capture, it_is_live_on_stdout)
{
	need("tshark");
	dump_open_and_start(
		"-c 3 -w - | tshark -l -r - -T fields -e frame.packet_id 2>/dev/null");
	for (uint32_t seq = 0; seq < 3; seq++) {
		udp_send(&udp, seq);
		udp_expect(&udp, seq);
		cr_expect_eq(strtoul(tool_out(&tool), NULL, 10), seq + 1);
	}
	cr_expect_eq(tool_finish(&tool), 0);
}

Test(dump_capture, it_ends_when_its_reader_does)
{
	dump_open_and_start("-w -");
	cr_assert_eq(fgetc(tool.out), '\n', "the section begins");
	cr_assert(freopen("/dev/null", "re", tool.out));
	udp_send(&udp, 0);
	tool_expect_end(&tool, .packets = 1, .accepted = 1);
	dump_expect(1);
}

static bool opens_a_file(void)
{
	char command[64];

	snprintf(command, sizeof(command), "cut -d' ' -f1 /proc/%d/syscall", tool.pid);
	return strtol(output(command), NULL, 10) == SYS_openat;
}

/* Nobody waits for a verdict meanwhile, and a signal ends it. */
Test(dump_capture, it_waits_for_a_reader_before_packets_do)
{
	struct netns_queue queue;

	dump_open();
	cr_assert(*output("mkfifo $D/fifo; echo") == '\n');
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -w %s/fifo", ns->name, directory);
	cr_assert(wait_until(opens_a_file()));
	cr_expect(!netns_get_queue(ns, 1, &queue));
	kill(tool.pid, SIGTERM);
	cr_expect_str_empty(tool_err(&tool));
	cr_expect_eq(tool_finish(&tool), -SIGTERM);
}

static char summary[512]; /* of expect_that_packets_go_on() */

static void expect_that_packets_go_on(void)
{
	udp_send_many(&udp, 1000, 5);
	for (uint32_t seq = 1000; seq < 1005; seq++)
		udp_expect(&udp, seq);
	kill(tool.pid, SIGTERM);
	do /* that it listens may be said later */
		tool_err(&tool);
	while (strncmp(tool.line, "listening", 9) == 0);
	expect_contains(tool.line, " packets, ");
	expect_contains(tool.line, " not written");
	snprintf(summary, sizeof(summary), "%.500s", tool.line);
	cr_expect(strcmp(tool_err(&tool), "") == 0, "%s", tool.line);
	cr_expect_eq(tool_finish(&tool), 1);
}

Test(dump_capture, a_device_that_is_full_ends_it_alone)
{
	dump_open();
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -w /dev/full", ns->name);
	tool_await_err(&tool, "mnfq dump: the capture has ended, and packets are still decided: "
			      "cannot write to /dev/full: No space left");
	udp_send(&udp, 0);
	udp_expect(&udp, 0);
	expect_that_packets_go_on();
}

Test(dump_capture, a_disk_that_gets_full_ends_it_alone)
{
	unsigned long written;
	uint32_t seq = 0;

	cr_assert(unshare(CLONE_NEWNS) == 0);
	cr_assert(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	cr_assert(mount("none", directory, "tmpfs", 0, "size=64k") == 0);
	dump_open();
	capture_start("-w %s/x");
	for (; seq < 600; seq++) {
		udp_send(&udp, seq);
		udp_expect(&udp, seq);
	}
	expect_contains(tool_err(&tool), "the capture has ended");
	expect_contains(tool.line, "/x: No space left on device");
	expect_that_packets_go_on();
	/* What fitted is a capture, in which the others are that were seen. */
	written = strtoul(output("\"$MNFQ_TOOL\" dump -r $D/x >/dev/null && "
				 "\"$MNFQ_TOOL\" dump -r $D/x | wc -l"),
			  NULL, 10);
	cr_expect(written > 0 && written + tool_counted(summary, "not written") ==
					 strtoul(summary, NULL, 10),
		  "%lu of: %s", written, summary);
	cr_assert(umount(directory) == 0);
}

Test(dump_capture, a_file_that_cannot_be_made_is_an_error)
{
	dump_open();
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -w %s/none/x", ns->name, directory);
	expect_contains(tool_err(&tool), "mnfq dump: cannot create ");
	expect_contains(tool.line, "/none/x: No such file or directory");
	cr_expect(strcmp(tool_err(&tool), "") == 0);
	cr_expect_eq(tool_finish(&tool), 1);
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -C 1 -w %s/none/x", ns->name, directory);
	expect_contains(tool_err(&tool), "mnfq dump: cannot open the directory of ");
	cr_expect_eq(tool_finish(&tool), 1);
	/* A date in which there is a slash. */
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -G 1 -w %s/%%D", ns->name, directory);
	expect_contains(tool_err(&tool), "mnfq dump: cannot create ");
	expect_contains(tool.line, ": No such file or directory");
	cr_expect_eq(tool_finish(&tool), 1);
}

/* One that was there is not emptied by a program that cannot serve. */
Test(dump_capture, an_older_one_is_kept_until_the_queue_is_ours)
{
	struct tool second;

	dump_open_and_start("");
	cr_assert(*output("echo old >$D/x; echo") == '\n');
	tool_start(&second, NULL, -1, "dump -q 1 -n %s -w %s/x", ns->name, directory);
	expect_contains(tool_err(&second), "is owned by");
	cr_expect_eq(tool_finish(&second), 1);
	expect_output("cat $D/x", "old\n");
	dump_end(SIGTERM);
}

/* ---- several files ------------------------------------------------------------------------ */

static void send_and_take(uint32_t from, uint32_t to, size_t size)
{
	for (uint32_t seq = from; seq < to; seq++) {
		udp_send_sized(&udp, seq, size);
		udp_expect(&udp, seq);
	}
}

/* All packets are in them, and each is a capture by itself. */
Test(dump_capture, files_change_by_size)
{
	need("capinfos");
	dump_open();
	capture_start("-C 1k -w %s/x");
	send_and_take(0, 10, 600);
	dump_end(SIGTERM);
	expect_output("cd $D; echo *", "x x1 x2 x3 x4\n");
	expect_output("cd $D; capinfos -TrcM *", "x\t2\nx1\t2\nx2\t2\nx3\t2\nx4\t2\n");
	expect_contains(output("capinfos $D/x4"), "Name = lo");
	expect_output(
		"for i in x x1 x2 x3 x4; do \"$MNFQ_TOOL\" dump -t -r $D/$i | grep -o 'id [0-9]*'; done | xargs",
		"id 1 id 2 id 3 id 4 id 5 id 6 id 7 id 8 id 9 id 10\n");
}

Test(dump_capture, files_of_a_ring_are_used_again)
{
	dump_open();
	capture_start("-C 1k -W 3 -w %s/x");
	send_and_take(0, 10, 600);
	dump_end(SIGTERM);
	expect_output("cd $D; echo *", "x0 x1 x2\n");
	expect_output(
		"for i in x0 x1 x2; do \"$MNFQ_TOOL\" dump -t -r $D/$i | grep -o 'id [0-9]*'; done | xargs",
		"id 7 id 8 id 9 id 10 id 5 id 6\n");
}

/* Of each namespace there is an interface of its own, also in a file that has begun since. */
Test(dump_capture, files_have_the_interfaces_of_all_namespaces)
{
	struct udp udps[2];
	struct netns *all[2] = { queued_ns_open(&udps[0]), queued_ns_open(&udps[1]) };

	need("tshark");
	tool_start(&tool, NULL, -1, "dump -q 1 -n %s -n %s -C 1k -w %s/x", all[0]->name,
		   all[1]->name, directory);
	tool_await_err(&tool, "listening on ");
	for (uint32_t seq = 0; seq < 6; seq++)
		for (int i = 0; i < 2; i++) {
			udp_send_sized(&udps[i], seq, 600);
			udp_expect(&udps[i], seq);
		}
	dump_end(SIGTERM);
	expect_output("test $(ls $D | wc -l) -gt 5 && echo many", "many\n");
	expect_output("for i in $D/x[2-9]*; do capinfos $i | grep -c 'Name = lo'; done | uniq",
		      "2\n");
	for (int i = 0; i < 2; i++) {
		setenv("N", all[i]->name, 1);
		expect_output(
			"for i in $D/x*; do capinfos $i; done | grep \"Description = .*$N\" | "
			"sed 's/.*= .*/it/' | sort -u",
			"it\n");
		expect_output("for i in $(ls -v $D); do tshark -r $D/$i -T fields "
			      "-e frame.interface_description -e frame.packet_id 2>/dev/null; "
			      "done | grep $N | cut -f2 | xargs",
			      "1 2 3 4 5 6\n");
		udp_close(&udps[i]);
	}
}

static unsigned int count_files(void)
{
	DIR *dir = opendir(directory);
	unsigned int count = 0;

	cr_assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static bool has_sent_and_files(uint32_t *seq, unsigned int files)
{
	udp_send(&udp, *seq);
	udp_expect(&udp, (*seq)++);
	return count_files() >= files;
}

static bool has_sent_and_ended(uint32_t *seq)
{
	siginfo_t info = { .si_pid = 0 };

	udp_send(&udp, (*seq)++);
	return waitid(P_PID, (id_t)tool.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == tool.pid;
}

Test(dump_capture, files_change_by_time)
{
	uint32_t seq = 0;

	dump_open();
	capture_start("-G 1 -W 2 -w %s/%%s");
	cr_assert(wait_until(has_sent_and_files(&seq, 2)));
	/* The third one would be one too many: it ends by itself. */
	cr_assert(wait_until(has_sent_and_ended(&seq)));
	expect_contains(tool_err(&tool), " accepted, 0 dropped");
	cr_expect(!strstr(tool.line, "not written"), "that was not wanted: %s", tool.line);
	cr_expect_eq(tool_finish(&tool), 0);
	cr_expect_eq(count_files(), 2);
}

/* What makes the files cannot do anything else: it has no right but that of writing there. */
Test(dump_capture, another_process_makes_the_files)
{
	char command[160];
	const char *status;

	dump_open();
	capture_start("-C 1 -w %s/x");
	snprintf(command, sizeof(command),
		 "for p in $(cat /proc/%d/task/*/children); do cat /proc/$p/status; done",
		 tool.pid);
	status = output(command);
	expect_contains(status, "CapEff:\t0000000000000002\n");
	expect_contains(status, "CapBnd:\t0000000000000002\n");
	expect_contains(status, "NoNewPrivs:\t1\n");
	if (sandbox_has_seccomp)
		expect_contains(status, "Seccomp:\t2\n");
	dump_end(SIGTERM);
}
