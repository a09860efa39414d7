/* SPDX-License-Identifier: MIT */
/* mnfq dump with system calls that fail when a test wants them to. */
#include "failing-tool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <mnfq/handover.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "child.h"
#include "wait.h"

const int reasons[REASONS] = { EMFILE, ENFILE, ENOMEM, EINTR };

#define NAME(name) #name,
static const char *const call_names[CALLS] = { FAILING_CALLS(NAME) };
static const char *const process_names[PROCESSES] = { "server", "keeper", "broker", "receiver" };

struct failing_plan *plan;
struct sockaddr_un address = { .sun_family = AF_UNIX };
static char directory[64];
static int plan_file;

/* ---- the tool --------------------------------------------------------------------------- */

void make_plan(void)
{
	if (!getenv("MNFQ_FAILING"))
		skip_or_fail("MNFQ_FAILING does not name what is preloaded");
	strcpy(directory, "/tmp/mnfq-test-XXXXXX");
	cr_assert(mkdtemp(directory) && chmod(directory, 0711) == 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/sock", directory);
	plan_file = memfd_create("mnfq-plan", MFD_CLOEXEC);
	cr_assert(plan_file >= 0 && ftruncate(plan_file, sizeof(*plan)) == 0);
	plan = mmap(NULL, sizeof(*plan), PROT_READ | PROT_WRITE, MAP_SHARED, plan_file, 0);
	cr_assert(plan != MAP_FAILED);
}

void remove_plan(void)
{
	if (!plan) /* the test was skipped */
		return;
	(void)unlink(address.sun_path); /* of a tool that was killed */
	cr_expect(rmdir(directory) == 0, "%s: %s", directory, strerror(errno));
}

/* A sanitizer's runtime wants to be the first object, and does not have to be. */
void launch(struct tool *tool, const char *options)
{
	tool_start_shell(
		tool, NULL, -1,
		"ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0\n"
		"exec env ASAN_OPTIONS=$ASAN_OPTIONS LD_PRELOAD=$MNFQ_FAILING " FAILING_PLAN
		"=/proc/%d/fd/%d \"$MNFQ_TOOL\" dump %s",
		(int)getpid(), plan_file, options);
}

/* ---- calls that fail -------------------------------------------------------------------- */

void arm(enum failing_process process, enum failing_call call, int error, unsigned int first,
	 unsigned int last)
{
	plan->process = process;
	plan->call = call;
	plan->error = error;
	plan->first = first;
	plan->last = last;
	atomic_store(&plan->seen, 0);
	atomic_store(&plan->armed, true);
}

void disarm(void)
{
	atomic_store(&plan->armed, false);
}

const char *describe(void)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s of the %s fails with %s (%u to %u)",
		 call_names[plan->call], process_names[plan->process], strerror(plan->error),
		 plan->first, plan->last);
	return text;
}

/* ---- what is asked of it ---------------------------------------------------------------- */

/* Hands @fd over. Returns the stream, or a negative errno. */
int offer(int fd, uint32_t flags, const char *label)
{
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = flags,
						 .label = label };
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	if (connect(stream, (struct sockaddr *)&address, sizeof(address)) < 0)
		err = -errno;
	if (err == 0)
		err = mnfq_handover_send(stream, fd, DEADLINE_MS, &options);
	if (err < 0)
		close(stream);
	return err < 0 ? err : stream;
}

pid_t find_broker(const struct tool *tool)
{
	pid_t keeper = child_named(tool->pid, "mnfq-keeper");

	return keeper > 0 ? child_named(keeper, "mnfq-broker") : 0;
}

bool has_ended(const struct tool *tool)
{
	return process_state(tool->pid) == 'Z';
}
