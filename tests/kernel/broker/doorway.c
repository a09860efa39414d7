/* SPDX-License-Identifier: MIT */
/* A broker, with the test as its server on the one side and as its peers on the other. */
#include "doorway.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
static void start_listening(struct doorway *door)
{
	struct sockaddr_un file = path_address("/tmp/mnfq-doorway-%d", (int)getpid(), 0);

	door->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	cr_assert(bind(door->listener, (struct sockaddr *)&file, sizeof(file)) == 0, "%s: %s",
		  file.sun_path, strerror(errno));
	door->file = open(file.sun_path, O_PATH | O_CLOEXEC);
	cr_assert(chmod(file.sun_path, 0777) == 0);
	cr_assert(door->file >= 0 && unlink(file.sun_path) == 0);
	cr_assert(listen(door->listener, 4096) == 0);
	door->address = path_address("/proc/%d/fd/%d", (int)getpid(), door->file);
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

void doorway_open(struct doorway *door, struct broker_options options)
{
	char error[256] = "";

	*door = (struct doorway){ .descriptors = open_descriptors() };
	start_listening(door);
	options.listeners = &door->listener;
	options.listener_count = 1;
	options.sandbox = true;
	door->link = broker_start(&options, &door->keeper, error, sizeof(error));
	cr_assert(door->link >= 0, "%s", error);
	cr_assert(wait_until((door->broker = child_named(door->keeper, "mnfq-broker")) > 0));
	if (!options.all_netns)
		cr_assert(doorway_refused(door) == 0);
}

void doorway_close(struct doorway *door)
{
	int status = -1;

	close(door->link);
	cr_assert(wait_until(waitpid(door->keeper, &status, WNOHANG) == door->keeper),
		  "the keeper does not end");
	cr_assert(status == 0, "the keeper ended with 0x%x", (unsigned int)status);
	close(door->listener);
	close(door->file);
	cr_assert(open_descriptors() == door->descriptors, "%u open, not %u", open_descriptors(),
		  door->descriptors);
}

/* ---- its peers ---- */

int doorway_connect_as(const struct doorway *door, uid_t uid)
{
	int stream;

	cr_assert(seteuid(uid) == 0, "%s", strerror(errno));
	stream = doorway_connect(door);
	cr_assert(seteuid(0) == 0);
	return stream;
}

int doorway_connect(const struct doorway *door)
{
	int stream = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert(stream >= 0, "%s", strerror(errno));
	cr_assert(connect(stream, (const struct sockaddr *)&door->address,
			  sizeof(door->address)) == 0,
		  "%s", strerror(errno));
	return stream;
}

void doorway_offer_on(int stream, uint32_t flags, const char *label)
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

int doorway_offer(const struct doorway *door, uint32_t flags, const char *label)
{
	int stream = doorway_connect(door);

	doorway_offer_on(stream, flags, label);
	return stream;
}

int doorway_answer(int stream, char *sentence, size_t size)
{
	return mnfq_handover_wait(
		stream, DEADLINE_MS,
		&(struct mnfq_handover_options){ .size = sizeof(struct mnfq_handover_options),
						 .error = sentence,
						 .error_size = size });
}

void doorway_expect_end(int stream)
{
	char byte;

	cr_assert(wait_readable(stream), "the stream does not end");
	cr_assert(recv(stream, &byte, 1, 0) <= 0, "something else comes");
	close(stream);
}

/* ---- its server ---- */

static void take_note(struct doorway *door, const struct ipc_msg *message)
{
	if (message->type != IPC_NOTE)
		return;
	door->notes++;
	snprintf(door->note, sizeof(door->note), "%s", message->text);
}

struct ipc_msg doorway_receive_any(struct doorway *door, int *fd)
{
	struct ipc_msg message;
	int n;

	do {
		cr_assert(wait_readable(door->link), "the broker says nothing, but %u notes: %s",
			  door->notes, door->note);
		n = ipc_receive(door->link, &message, fd);
		cr_assert(n == 1, "%s", n < 0 ? strerror(-n) : "nothing came");
		take_note(door, &message);
	} while (message.type == IPC_NOTE);
	return message;
}

struct ipc_msg doorway_receive(struct doorway *door, int *fd)
{
	int got;
	struct ipc_msg message = doorway_receive_any(door, &got);

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

uint32_t doorway_attach(struct doorway *door)
{
	int fd;
	struct ipc_msg message = doorway_receive(door, &fd);

	cr_assert(message.type == IPC_ATTACH && message.id & IPC_BROKER_ID);
	check_netfilter(fd);
	close(fd);
	return message.id;
}

void doorway_expect_detach(struct doorway *door, uint32_t id)
{
	struct ipc_msg message = doorway_receive(door, NULL);

	cr_assert(message.type == IPC_DETACH && message.id == id, "type %u, id 0x%x, not 0x%x",
		  message.type, message.id, id);
}

static void send_message(const struct doorway *door, const struct ipc_msg *message)
{
	int err;

	cr_assert(wait_until((err = ipc_send(door->link, message, -1)) != -EAGAIN));
	cr_assert(err == 0, "%s", strerror(-err));
}

void doorway_send(const struct doorway *door, enum ipc_type type, uint32_t id, uint64_t inode)
{
	send_message(door, &(struct ipc_msg){ .type = type, .id = id, .inode = inode });
}

void doorway_tell(const struct doorway *door, uint32_t id, int error, const char *text)
{
	struct ipc_msg message = { .type = IPC_ANSWER, .id = id, .error = error };

	snprintf(message.text, sizeof(message.text), "%s", text ? text : "");
	send_message(door, &message);
}

static unsigned int ask_refused(struct doorway *door)
{
	struct ipc_msg message;
	int fd = -1;

	doorway_send(door, IPC_COUNT, 0, 0);
	do {
		if (fd >= 0)
			close(fd);
		cr_assert(wait_readable(door->link), "the broker says nothing");
		cr_assert(ipc_receive(door->link, &message, &fd) == 1, "the broker is gone");
		take_note(door, &message);
	} while (message.type == IPC_NOTE);
	cr_assert(message.type == IPC_COUNT, "message %u", message.type);
	return message.id;
}

/*
 * The broker may meet the first question before what was there earlier, as its loop takes its events
 * by turns; not the second.
 */
unsigned int doorway_refused(struct doorway *door)
{
	(void)ask_refused(door);
	return ask_refused(door);
}

void doorway_expect_restart(struct doorway *door)
{
	pid_t before = door->broker;
	struct ipc_msg message = doorway_receive(door, NULL);

	cr_assert(message.type == IPC_RESTART, "type %u", message.type);
	cr_assert(wait_until((door->broker = child_named(door->keeper, "mnfq-broker")) > 0 &&
			     door->broker != before));
}

unsigned int doorway_descriptors(const struct doorway *door)
{
	char path[64];
	unsigned int count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)door->broker);
	dir = opendir(path);
	cr_assert(dir, "%s: %s", path, strerror(errno));
	for (struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}
