// SPDX-License-Identifier: MIT
/*
 * Messages that arrived while an acknowledgement was awaited: packets, and refused verdicts, because the
 * user, who may do anything then, may be informed. They wait for the next round in the order of their
 * arrival. Those for one queue are linked, too, so that the end of a queue looks at no others.
 */
#include "backlog.h"

#include <errno.h>
#include <stdlib.h>

#include "packet.h"
#include "refs.h"
#include "refused.h"
#include "wire.h"

/* The queue that an entry is for: that of a packet, or of a verdict of ours that was refused. */
static bool get_num(const struct mnfq_socket *sock, struct mnfq_i_backlog *entry, uint16_t *num)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)entry->data;
	struct mnfq_packet packet;
	struct nlmsgerr answer;

	entry->is_packet = nlh->nlmsg_type == MNFQ_I_MSG(NFQNL_MSG_PACKET);
	if (entry->is_packet) {
		(void)mnfq_i_packet_parse(&packet, entry->data, entry->len);
		entry->id = packet.id;
		*num = mnfq_packet_get_queue_num(&packet);
		return mnfq_i_packet_has_id(&packet);
	}
	if (nlh->nlmsg_type != NLMSG_ERROR || entry->len < NLMSG_HDRLEN + sizeof(answer))
		return false;
	memcpy(&answer, entry->data + NLMSG_HDRLEN, sizeof(answer));
	*num = (uint16_t)answer.msg.nlmsg_pid;
	return answer.error < 0 && mnfq_i_is_verdict(answer.msg.nlmsg_type) &&
	       (answer.msg.nlmsg_pid & MNFQ_I_TAG_OWN) == sock->tag;
}

/* The slot of the queue that an entry is for. */
static int find_slot(struct mnfq_socket *sock, struct mnfq_i_backlog *entry)
{
	uint16_t num;

	entry->slot = NULL;
	if (!get_num(sock, entry, &num))
		return 0;
	entry->slot = mnfq_i_slot_get(sock, num);
	return entry->slot ? 0 : -ENOMEM;
}

/* Takes an entry, or else returns -ENOMEM. */
int mnfq_i_backlog_append(struct mnfq_socket *sock, struct mnfq_i_backlog *entry)
{
	int err = find_slot(sock, entry);

	if (err < 0)
		return err;
	if (entry->slot) {
		entry->next_of_queue = NULL;
		*entry->slot->end = entry;
		entry->slot->end = &entry->next_of_queue;
	}
	entry->next = NULL;
	entry->link = sock->backlog_end;
	*sock->backlog_end = entry;
	sock->backlog_end = &entry->next;
	return 0;
}

static struct mnfq_i_backlog *copy_datagram(const uint8_t *data, size_t len)
{
	struct mnfq_i_backlog *entry = malloc(sizeof(*entry) + len);

	if (entry) {
		entry->len = len;
		memcpy(entry->data, data, len);
	}
	return entry;
}

/* Puts a copy of a datagram behind the backlog. */
int mnfq_i_backlog_add(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	struct mnfq_i_backlog *entry = copy_datagram(data, len);
	int err;

	if (!entry)
		return -ENOMEM;
	err = mnfq_i_backlog_append(sock, entry);
	if (err < 0)
		free(entry);
	return err;
}

/* Puts a copy of a datagram before the backlog. */
int mnfq_i_backlog_put_back(struct mnfq_socket *sock, const uint8_t *data, size_t len)
{
	struct mnfq_i_backlog *entry = copy_datagram(data, len);
	int err;

	if (!entry)
		return -ENOMEM;
	err = find_slot(sock, entry);
	if (err < 0) {
		free(entry);
		return err;
	}
	entry->next = sock->backlog;
	entry->link = &sock->backlog;
	if (entry->next)
		entry->next->link = &entry->next;
	else
		sock->backlog_end = &entry->next;
	sock->backlog = entry;
	if (entry->slot) {
		entry->next_of_queue = entry->slot->first;
		if (!entry->next_of_queue)
			entry->slot->end = &entry->next_of_queue;
		entry->slot->first = entry;
	}
	return 0;
}

/* Takes the entry that @at points to off both lists. */
static struct mnfq_i_backlog *backlog_remove(struct mnfq_socket *sock, struct mnfq_i_backlog **at)
{
	struct mnfq_i_backlog *entry = *at;

	*at = entry->next_of_queue;
	if (!entry->next_of_queue)
		entry->slot->end = at;
	*entry->link = entry->next;
	if (entry->next)
		entry->next->link = entry->link;
	else
		sock->backlog_end = entry->link;
	return entry;
}

/* Takes the first entry, which the caller frees; NULL: there is none. */
struct mnfq_i_backlog *mnfq_i_backlog_pop(struct mnfq_socket *sock)
{
	struct mnfq_i_backlog *none = sock->backlog;

	if (!sock->backlog)
		return NULL;
	if (sock->backlog->slot) /* of its queue it is the first, too */
		return backlog_remove(sock, &sock->backlog->slot->first);
	sock->backlog = none->next;
	if (none->next)
		none->next->link = &sock->backlog;
	else
		sock->backlog_end = &sock->backlog;
	return none;
}

static struct mnfq_i_backlog *first_of(const struct mnfq_socket *sock, uint16_t num)
{
	const struct mnfq_i_slot *slot = mnfq_i_slot_find(sock, num);

	return slot ? slot->first : NULL;
}

/* The id of the first packet of queue @num in the backlog. */
bool mnfq_i_backlog_find(const struct mnfq_socket *sock, uint16_t num, uint32_t *id)
{
	const struct mnfq_i_backlog *entry = first_of(sock, num);

	while (entry && !entry->is_packet)
		entry = entry->next_of_queue;
	if (entry)
		*id = entry->id;
	return entry;
}

/* How many packets of queue @num up to @last are in the backlog. */
unsigned int mnfq_i_backlog_count(const struct mnfq_socket *sock, uint16_t num, uint32_t last)
{
	const struct mnfq_i_backlog *entry;
	unsigned int count = 0;

	for (entry = first_of(sock, num); entry; entry = entry->next_of_queue)
		count += entry->is_packet && !mnfq_i_after(entry->id, last);
	return count;
}

/* Takes up to @max packets of queue @num, and returns their ids. Returns how many. */
unsigned int mnfq_i_backlog_take(struct mnfq_socket *sock, uint16_t num, uint32_t *ids,
				 unsigned int max)
{
	struct mnfq_i_slot *slot = mnfq_i_slot_find(sock, num);
	struct mnfq_i_backlog **at = slot ? &slot->first : NULL;
	unsigned int count = 0;

	while (at && *at && count < max) {
		if (!(*at)->is_packet) {
			at = &(*at)->next_of_queue;
			continue;
		}
		ids[count++] = (*at)->id;
		free(backlog_remove(sock, at));
	}
	return count;
}

/*
 * Packets and refusals of a queue that is gone must not be taken for those of its successor. What
 * a refusal means for the other queues it means nevertheless. Returns how many packets there were.
 */
unsigned int mnfq_i_backlog_purge(struct mnfq_socket *sock, uint16_t num)
{
	struct mnfq_i_slot *slot = mnfq_i_slot_find(sock, num);
	struct mnfq_i_backlog *entry;
	struct nlmsgerr answer;
	unsigned int packets = 0;

	while (slot && slot->first) {
		entry = backlog_remove(sock, &slot->first);
		packets += entry->is_packet;
		if (!entry->is_packet) {
			memcpy(&answer, entry->data + NLMSG_HDRLEN, sizeof(answer));
			mnfq_i_answered(sock, NULL, &answer.msg, answer.error);
		}
		free(entry);
	}
	return packets;
}
