/* SPDX-License-Identifier: MIT */
/* A network namespace, with the files of the kernel that list its queues and its netlink sockets. */
#include "stat/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mnfq/mnfq.h>

#include "broker/netns-enter.h"

#define QUEUES_FILE "netfilter/nfnetlink_queue"
#define OWN         "/proc/thread-self/net/"

/* Without its module the kernel has no such file; without /proc there is no file at all. */
static int check_range(struct place *place, char error[PLACE_ERROR_SIZE])
{
	const int err = place->queues < 0 ? place->queues : 0;
	const char *remedy = strerror(-err);

	if (err == -ENOENT && access(OWN "netlink", F_OK) == 0) {
		place->queues = -1;
		return 0;
	}
	if (err == -ENOENT)
		remedy = "mount /proc";
	else if (err == -EACCES || err == -EPERM)
		remedy = "run as root of that namespace";
	if (err < 0)
		snprintf(error, PLACE_ERROR_SIZE, "cannot read the queues of %s: %s", place->name,
			 remedy);
	return err;
}

/* The library's answer takes CAP_NET_ADMIN, which to look at our own namespace does not. */
static void identify(struct place *place, const struct mnfq_socket *sock)
{
	struct stat st;

	if (mnfq_socket_get_netns_inode(sock, &place->inode) < 0 &&
	    stat("/proc/thread-self/ns/net", &st) == 0)
		place->inode = st.st_ino;
	if (mnfq_socket_get_netns_name(sock, place->name, sizeof(place->name)) < 0)
		snprintf(place->name, sizeof(place->name), "net:[%llu]",
			 (unsigned long long)place->inode);
}

static void init(struct place *place, struct mnfq_socket_options *options,
		 char error[PLACE_ERROR_SIZE])
{
	*place = (struct place){ .queues = -1, .netlink = -1 };
	*options = (struct mnfq_socket_options){ .size = sizeof(*options),
						 .batch = 1,
						 .error = error,
						 .error_size = PLACE_ERROR_SIZE };
}

int place_open_own(struct place *place, char error[PLACE_ERROR_SIZE])
{
	struct mnfq_socket_options options;
	struct mnfq_socket *sock;
	int err;

	init(place, &options, error);
	err = mnfq_socket_open(&sock, &options);
	if (err < 0)
		return err;
	identify(place, sock);
	mnfq_socket_close(sock);
	place->queues = open(OWN QUEUES_FILE, O_RDONLY | O_CLOEXEC);
	if (place->queues < 0)
		place->queues = -errno;
	err = check_range(place, error);
	if (err == 0)
		place->netlink = open(OWN "netlink", O_RDONLY | O_CLOEXEC);
	return err;
}

/* By a socket of that namespace, which is closed. */
static int open_files(struct place *place, struct mnfq_socket *sock, int home,
		      char error[PLACE_ERROR_SIZE])
{
	int netns = ioctl(mnfq_socket_get_fd(sock), SIOCGSKNS), err = netns < 0 ? -errno : 0;

	if (err == 0)
		identify(place, sock);
	mnfq_socket_close(sock);
	if (err < 0) {
		snprintf(error, PLACE_ERROR_SIZE, "cannot read the queues of a namespace: %s",
			 err == -EPERM ? "no CAP_NET_ADMIN over it" : strerror(-err));
		return err;
	}
	place->queues = netns_enter_open_file(netns, home, QUEUES_FILE);
	err = check_range(place, error);
	if (err == 0)
		place->netlink = netns_enter_open_file(netns, home, "netlink");
	close(netns);
	return err;
}

int place_open_named(struct place *place, const char *text, int home,
		     char error[PLACE_ERROR_SIZE])
{
	struct mnfq_socket_options options;
	struct mnfq_socket *sock;
	int err;

	init(place, &options, error);
	err = mnfq_socket_open_netns(&sock, text, &options);
	return err < 0 ? err : open_files(place, sock, home, error);
}

int place_open_fd(struct place *place, int netns, int home, char error[PLACE_ERROR_SIZE])
{
	struct mnfq_socket_options options;
	struct mnfq_socket *sock;
	int err;

	init(place, &options, error);
	err = mnfq_socket_open_netns_fd(&sock, netns, &options);
	return err < 0 ? err : open_files(place, sock, home, error);
}

void place_close(struct place *place)
{
	if (place->queues >= 0)
		close(place->queues);
	if (place->netlink >= 0)
		close(place->netlink);
}
