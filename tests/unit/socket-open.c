// SPDX-License-Identifier: MIT
/* socket.c: why a socket cannot be opened, as an errno and as a message. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "support/fixture.h"

TestSuite(opening, .init = setup, .fini = teardown);

static char errmsg[256];
static struct mnfq_socket *const untouched = (struct mnfq_socket *)&untouched;

#define OPTIONS(...)                                                                             \
	(&(struct mnfq_socket_options){ .size = sizeof(struct mnfq_socket_options),              \
					.error = errmsg,                                         \
					.error_size = sizeof(errmsg),                            \
					__VA_ARGS__ })

static void expect(int err, int expected, const char *part)
{
	cr_expect(eq(int, err, expected), "%s", part);
	cr_expect(strstr(errmsg, part) != NULL, "'%s' lacks '%s'", errmsg, part);
	strcpy(errmsg, "left as it was");
}

/* Each by an errno that the system can give, with what to do about it. */
Test(opening, a_system_that_refuses)
{
	static const struct {
		int error;
		const char *part;
	} refusals[] = {
		{ EPROTONOSUPPORT, "load nfnetlink" },
		{ EMFILE, "ulimit -n" },
		{ ENFILE, "fs.file-max" },
		{ EAFNOSUPPORT, "AF_NETLINK" },
		{ EACCES, "AF_NETLINK" },
		{ EPERM, "AF_NETLINK" },
		{ ENOMEM, "Cannot allocate memory" },
	};
	struct mnfq_socket *new = untouched;

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		fake.socket_error = refusals[i].error;
		expect(mnfq_socket_open(&new, OPTIONS()), -refusals[i].error, refusals[i].part);
		cr_expect(new == untouched);
	}
}

/* A buffer for the message that is left as it was would be printed as it is. */
Test(opening, what_is_missing_is_reported)
{
	struct mnfq_socket_options unsized = { .error = errmsg, .error_size = sizeof(errmsg) };
	struct mnfq_socket *new = untouched;
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	expect(mnfq_socket_open(NULL, OPTIONS()), -EINVAL, "no place");
	expect(mnfq_socket_open_netns(NULL, "1", OPTIONS()), -EINVAL, "no place");
	expect(mnfq_socket_open_netns_fd(NULL, 0, OPTIONS()), -EINVAL, "no place");
	expect(mnfq_socket_open(&new, &unsized), -EINVAL, "set .size");
	expect(mnfq_socket_adopt(NULL, fd, OPTIONS()), -EINVAL, "no place");
	expect(mnfq_socket_open_netns(&new, NULL, OPTIONS()), -EINVAL, "ip netns");
	expect(mnfq_socket_open_netns_fd(&new, -1, OPTIONS()), -EBADF, "not open");
	cr_expect(new == untouched);
	cr_expect(eq(int, mnfq_socket_open(NULL, NULL), -EINVAL));
	cr_expect(eq(int, mnfq_socket_adopt(NULL, fd, NULL), -EINVAL));
}

/* Advice that does not fit is not given. */
Test(opening, a_file_that_cannot_be_opened)
{
	struct mnfq_socket *new = untouched;
	int err = mnfq_socket_open_netns(&new, "/dev/null/x", OPTIONS());

	cr_expect(strstr(errmsg, "run as root") == NULL, "%s", errmsg);
	expect(err, -ENOTDIR, "Not a directory");
}

/* Between our look and our bind(2), which the kernel refuses then. */
Test(opening, a_port_id_that_another_process_chose)
{
	struct mnfq_socket *new = untouched;
	struct mnfq_queue *eight;

	fake.portid_taken = 4711;
	cr_assert(eq(int,
		     mnfq_socket_adopt(&new, socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER),
				       OPTIONS()),
		     0),
		  "%s", errmsg);
	cr_expect(eq(u32, mnfq_socket_get_portid(new), 4711));
	cr_assert(eq(int, mnfq_queue_bind(&eight, new, 8, NULL, accept_all, NULL), 0));
	cr_expect(eq(u32, fake.membarriers, 1), "who knows what it was used for");
	mnfq_socket_close(new);
}
