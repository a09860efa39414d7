// SPDX-License-Identifier: MIT
/* Names and MTUs of interfaces, remembered so that asking for each packet costs no system call. */
#include <errno.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "memory.h"
#include "packet.h"
#include "refs.h"

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
 * Any socket answers SIOCGIFNAME for its own namespace, so ours does for the packets'. An empty
 * name means that there is no such interface.
 */
static int ask_name(int fd, uint32_t ifindex, char name[IF_NAMESIZE])
{
	struct ifreq req = { .ifr_ifindex = (int)ifindex };

	if (ioctl(fd, SIOCGIFNAME, &req) < 0) {
		if (errno != ENODEV)
			return -errno;
		req.ifr_name[0] = '\0';
	}
	memcpy(name, req.ifr_name, IF_NAMESIZE);
	name[IF_NAMESIZE - 1] = '\0';
	return 0;
}

/* Likewise, but by the name. */
static int ask_mtu(int fd, const char name[IF_NAMESIZE], uint32_t *mtu)
{
	struct ifreq req;

	if (!name[0])
		return -ENODEV;
	memcpy(req.ifr_name, name, IF_NAMESIZE);
	if (ioctl(fd, SIOCGIFMTU, &req) < 0)
		return -errno;
	*mtu = (uint32_t)req.ifr_mtu;
	return 0;
}

static int look_up(struct mnfq_socket *sock, uint32_t ifindex, struct mnfq_i_ifname **ret)
{
	struct mnfq_i_ifname *known = find_ifname(sock, ifindex);
	int64_t now = mnfq_i_now_ms();
	char name[IF_NAMESIZE];
	int err;

	if (known->index != ifindex || known->until_ms <= now) {
		err = ask_name(sock->fd, ifindex, name);
		if (err < 0)
			return err;
		memcpy(known->name, name, sizeof(name));
		known->mtu = 0;
		known->index = ifindex;
		known->until_ms = now + IFNAME_MS;
	}
	*ret = known;
	return known->name[0] ? 0 : -ENODEV;
}

int mnfq_socket_get_ifname(struct mnfq_socket *sock, uint32_t ifindex, char *name)
{
	struct mnfq_i_ifname *known;
	int err = sock && name && ifindex ? look_up(sock, ifindex, &known) : -EINVAL;

	if (err == 0)
		memcpy(name, known->name, sizeof(known->name));
	return err;
}

/*
 * Any thread may ask for a retained packet, so what the socket's thread remembers is not for it. While the
 * lock is held the descriptor stays open. @mtu: NULL if not wanted.
 */
static int ask_for_retained(const struct mnfq_packet *packet, uint32_t ifindex,
			    char name[IF_NAMESIZE], uint32_t *mtu)
{
	struct mnfq_queue *queue = packet->queue;
	int err = -ENODEV;

	pthread_mutex_lock(&queue->sock->lock);
	if (queue->bound) /* else the descriptor may be closed */
		err = ask_name(queue->sock->fd, ifindex, name);
	if (err == 0 && mtu)
		err = ask_mtu(queue->sock->fd, name, mtu);
	pthread_mutex_unlock(&queue->sock->lock);
	return err == 0 && !name[0] ? -ENODEV : err;
}

int mnfq_packet_get_ifname(const struct mnfq_packet *packet, uint32_t ifindex, char *name)
{
	char found[IF_NAMESIZE];
	int err;

	if (!packet || !name || !ifindex)
		return -EINVAL;
	if (packet->memory)
		return mnfq_i_memory_interface(packet, ifindex, name, NULL);
	if (!packet->queue)
		return -ENODEV;
	if (!packet->retained)
		return mnfq_socket_get_ifname(packet->queue->sock, ifindex, name);
	err = ask_for_retained(packet, ifindex, found, NULL);
	if (err == 0)
		memcpy(name, found, sizeof(found));
	return err;
}

int mnfq_packet_get_mtu(const struct mnfq_packet *packet, uint32_t *mtu)
{
	uint32_t ifindex = mnfq_packet_get_physoutdev(packet);
	struct mnfq_i_ifname *known;
	char name[IF_NAMESIZE];
	int err;

	if (!packet || !mtu)
		return -EINVAL;
	if (ifindex == 0)
		ifindex = mnfq_packet_get_outdev(packet);
	if (ifindex == 0)
		return -ENODATA;
	if (packet->memory)
		return mnfq_i_memory_interface(packet, ifindex, name, mtu);
	if (packet->retained)
		return ask_for_retained(packet, ifindex, name, mtu);
	err = look_up(packet->queue->sock, ifindex, &known);
	if (err == 0 && known->mtu == 0)
		err = ask_mtu(packet->queue->sock->fd, known->name, &known->mtu);
	if (err == 0)
		*mtu = known->mtu;
	return err;
}
