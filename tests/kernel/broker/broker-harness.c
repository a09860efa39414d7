/* SPDX-License-Identifier: MIT */
/* A broker, with the test as its server on the one side and as its clients on the other. */
#include "broker-harness.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/netlink.h>
#include <mnfq/handover.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_un path_address(const char *format, int a, int b)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), format, a, b);
	return address;
}

/*
 * Reached from all network namespaces, other than an abstract name. No file is left behind by a
 * test that fails, since the descriptor leads there, too.
 */
static void start_listening(struct broker_harness *harness)
{
	struct sockaddr_un file = path_address("/tmp/mnfq-broker-%d", (int)getpid(), 0);

	harness->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert(bind(harness->listener, (struct sockaddr *)&file, sizeof(file)) == 0, "%s: %s",
		  file.sun_path, strerror(errno));
	harness->file = open(file.sun_path, O_PATH | O_CLOEXEC);
	cr_assert(chmod(file.sun_path, 0777) == 0);
	cr_assert(harness->file >= 0 && unlink(file.sun_path) == 0);
	cr_assert(listen(harness->listener, 4096) == 0);
	harness->address = path_address("/proc/%d/fd/%d", (int)getpid(), harness->file);
}

/* Their number: a namespace that loses its name gets another one in the list. */
static unsigned int open_descriptors(void)
{
	char *list = descriptors(), *at;
	unsigned int count = 0;

	for (at = list; (at = strchr(at, '\n')); at++)
		count++;
	free(list);
	return count;
}

void harness_open(struct broker_harness *harness, struct broker_options options)
{
	char error[256] = "";

	*harness = (struct broker_harness){ .descriptors = open_descriptors() };
	start_listening(harness);
	options.listeners = &harness->listener;
	options.listener_count = 1;
	options.sandbox = true;
	harness->ipc = broker_start(&options, &harness->keeper, error, sizeof(error));
	cr_assert(harness->ipc >= 0, "%s", error);
	cr_assert(
		wait_until((harness->broker = child_named(harness->keeper, "mnfq-broker")) > 0));
	if (!options.all_netns)
		cr_assert(harness_refused(harness) == 0);
}

void harness_close(struct broker_harness *harness)
{
	int status = -1;

	close(harness->ipc);
	cr_assert(wait_until(waitpid(harness->keeper, &status, WNOHANG) == harness->keeper),
		  "the keeper does not end");
	cr_assert(status == 0, "the keeper ended with 0x%x", (unsigned int)status);
	close(harness->listener);
	close(harness->file);
	cr_assert(open_descriptors() == harness->descriptors, "%u open, not %u",
		  open_descriptors(), harness->descriptors);
}

/* ---- its clients ---- */

int harness_connect_as(const struct broker_harness *harness, uid_t uid)
{
	int stream;

	cr_assert(seteuid(uid) == 0, "%s", strerror(errno));
	stream = harness_connect(harness);
	cr_assert(seteuid(0) == 0);
	return stream;
}

int harness_connect(const struct broker_harness *harness)
{
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(stream >= 0, "%s", strerror(errno));
	cr_assert(connect(stream, (const struct sockaddr *)&harness->address,
			  sizeof(harness->address)) == 0,
		  "%s", strerror(errno));
	return stream;
}

void harness_offer_on(int stream, uint32_t flags, const char *label)
{
	char error[256] = "";
	struct mnfq_handover_options options = { .size = sizeof(options),
						 .flags = flags,
						 .label = label,
						 .error = error,
						 .error_size = sizeof(error) };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	cr_assert(mnfq_handover_send(stream, fd, DEADLINE_MS, &options) == 0, "%s", error);
	close(fd);
}

int harness_offer(const struct broker_harness *harness, uint32_t flags, const char *label)
{
	int stream = harness_connect(harness);

	harness_offer_on(stream, flags, label);
	return stream;
}

int harness_await_reply(int stream, char *errmsg, size_t size)
{
	return mnfq_handover_wait(
		stream, DEADLINE_MS,
		&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),
						 .error = errmsg,
						 .error_size = size });
}

void harness_expect_end(int stream)
{
	char byte;

	cr_assert(wait_readable(stream), "the stream does not end");
	cr_assert(recv(stream, &byte, 1, 0) <= 0, "something else comes");
	close(stream);
}

/* ---- its server ---- */

static void take_note(struct broker_harness *harness, const struct ipc_msg *message)
{
	if (message->type != IPC_NOTE)
		return;
	harness->notes++;
	snprintf(harness->note, sizeof(harness->note), "%s", message->text);
}

struct ipc_msg harness_receive_any(struct broker_harness *harness, int *fd)
{
	struct ipc_msg message;
	int n;

	do {
		cr_assert(wait_readable(harness->ipc),
			  "the broker sends nothing, but %u notes: %s", harness->notes,
			  harness->note);
		n = ipc_receive(harness->ipc, &message, fd);
		cr_assert(n == 1, "%s", n < 0 ? strerror(-n) : "nothing came");
		take_note(harness, &message);
	} while (message.type == IPC_NOTE);
	return message;
}

struct ipc_msg harness_receive(struct broker_harness *harness, int *fd)
{
	int got;
	struct ipc_msg message = harness_receive_any(harness, &got);

	cr_assert((got >= 0) == (fd != NULL), "message %u, descriptor %d", message.type, got);
	if (fd)
		*fd = got;
	return message;
}

void check_netfilter(int fd)
{
	int domain = 0, protocol = 0;
	socklen_t len = sizeof(int);

	cr_assert(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0);
	cr_assert(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0);
	cr_assert(domain == AF_NETLINK && protocol == NETLINK_NETFILTER);
	cr_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

uint64_t harness_attach(struct broker_harness *harness)
{
	int fd;
	struct ipc_msg message = harness_receive(harness, &fd);

	cr_assert(message.type == IPC_ATTACH && message.id & IPC_BROKER_ID);
	check_netfilter(fd);
	close(fd);
	return message.id;
}

void harness_expect_detach(struct broker_harness *harness, uint64_t id)
{
	struct ipc_msg message = harness_receive(harness, NULL);

	cr_assert(message.type == IPC_DETACH && message.id == id,
		  "type %u, id 0x%" PRIx64 ", not 0x%" PRIx64, message.type, message.id, id);
}

static void send_message(const struct broker_harness *harness, const struct ipc_msg *message)
{
	int err;

	cr_assert(wait_until((err = ipc_send(harness->ipc, message, -1)) != -EAGAIN));
	cr_assert(err == 0, "%s", strerror(-err));
}

void harness_forget(const struct broker_harness *harness, uint64_t id)
{
	send_message(harness, &(struct ipc_msg){ .type = IPC_FORGET, .id = id });
}

void harness_watch(const struct broker_harness *harness, uint64_t id, uint64_t inode)
{
	send_message(harness, &(struct ipc_msg){ .type = IPC_ANSWER, .id = id, .inode = inode });
}

void harness_answer(const struct broker_harness *harness, uint64_t id, int error,
		    const char *text)
{
	struct ipc_msg message = { .type = IPC_ANSWER, .id = id, .error = error };

	snprintf(message.text, sizeof(message.text), "%s", text ? text : "");
	send_message(harness, &message);
}

static unsigned int ask_refused(struct broker_harness *harness)
{
	struct ipc_msg message;
	int fd = -1;

	send_message(harness, &(struct ipc_msg){ .type = IPC_COUNT });
	do {
		if (fd >= 0)
			close(fd);
		cr_assert(wait_readable(harness->ipc), "the broker sends nothing");
		cr_assert(ipc_receive(harness->ipc, &message, &fd) == 1, "the broker is gone");
		take_note(harness, &message);
	} while (message.type == IPC_NOTE);
	cr_assert(message.type == IPC_COUNT, "message %u, note %s", message.type, harness->note);
	return message.count;
}

/*
 * The broker takes its events by turns, so it may answer the first question before it handles what came
 * earlier; not so the second one.
 */
unsigned int harness_refused(struct broker_harness *harness)
{
	(void)ask_refused(harness);
	return ask_refused(harness);
}

void harness_expect_restart(struct broker_harness *harness)
{
	pid_t before = harness->broker;
	struct ipc_msg message = harness_receive(harness, NULL);

	cr_assert(message.type == IPC_RESTART, "type %u", message.type);
	cr_assert(
		wait_until((harness->broker = child_named(harness->keeper, "mnfq-broker")) > 0 &&
			   harness->broker != before));
}

unsigned int harness_descriptors(const struct broker_harness *harness)
{
	char path[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)harness->broker);
	dir = opendir(path);
	cr_assert(dir, "%s: %s", path, strerror(errno));
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}
