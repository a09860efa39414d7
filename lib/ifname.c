// SPDX-License-Identifier: MIT
/* Names of interfaces, remembered so that asking for each packet costs no system call. */
#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "internal.h"

#define IFNAME_MS 1000

/* The place for what is known of @ifindex: where it is, or the oldest where it may be. */
static struct mnfq_i_ifname *find_ifname(struct mnfq_socket *sock, uint32_t ifindex)
{
	struct mnfq_i_ifname *set = sock->ifnames[ifindex % MNFQ_I_IFNAME_SETS], *place = set;
	unsigned int i;

	for (i = 0; i < MNFQ_I_IFNAME_WAYS; i++) {
		if (set[i].index == ifindex)
			return &set[i];
		if (set[i].until_ms < place->until_ms)
			place = &set[i];
	}
	return place;
}

/*
 * Any socket answers SIOCGIFNAME for its own namespace, so ours does for the packets'. That there
 * is no such interface is remembered as well, as an empty name.
 */
int mnfq_socket_get_ifname(struct mnfq_socket *sock, uint32_t ifindex, char *name)
{
	struct ifreq req = { .ifr_ifindex = (int)ifindex };
	struct mnfq_i_ifname *known;
	int64_t now;

	if (!sock || !name || ifindex == 0)
		return -EINVAL;
	now = mnfq_i_now_ms();
	known = find_ifname(sock, ifindex);
	if (known->index != ifindex || known->until_ms <= now) {
		if (ioctl(sock->fd, SIOCGIFNAME, &req) < 0) {
			if (errno != ENODEV)
				return -errno;
			req.ifr_name[0] = '\0';
		}
		memcpy(known->name, req.ifr_name, sizeof(known->name));
		known->name[sizeof(known->name) - 1] = '\0';
		known->index = ifindex;
		known->until_ms = now + IFNAME_MS;
	}
	if (!known->name[0])
		return -ENODEV;
	memcpy(name, known->name, sizeof(known->name));
	return 0;
}
