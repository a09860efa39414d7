// SPDX-License-Identifier: MIT
/*
 * Where the headers of a packet are. Nothing is believed before it was compared with the bytes
 * that are there: RFC 791 (IPv4), RFC 8200 (IPv6), RFC 9293 (TCP), RFC 768 (UDP), RFC 3828
 * (UDP-Lite), RFC 792 and 4443 (ICMP), RFC 9260 (SCTP). Nothing here does I/O.
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <sys/socket.h>

#include "edit.h"

#define TAGS_MAX 2

/* More than any sender has a use for; what is behind is as unknown as a new header. */
#define EXTENSIONS_MAX 16

/* What lies beyond the bytes that are there: was it cut off, or was it never there? */
static int missing(bool cut)
{
	return cut ? -EMSGSIZE : -EBADMSG;
}

/* The end according to the network header. */
static int set_end(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes, size_t total)
{
	size_t network = l->at.network;

	if (total > bytes->true_len - network)
		return -EBADMSG;
	l->cut = total > bytes->len - network;
	l->whole = network + total;
	l->at.end = l->cut ? bytes->len : l->whole;
	return 0;
}

/* A source route that is not at its end knows where the packet goes (RFC 791, section 3.1). */
static int ipv4_options(struct mnfq_i_layers *l, const uint8_t *options, size_t len)
{
	size_t i = 0;

	while (i < len && options[i] != IPOPT_EOL) {
		const uint8_t *option = options + i;

		if (option[0] == IPOPT_NOP) {
			i++;
			continue;
		}
		if (len - i < 2 || option[1] < 2 || option[1] > len - i)
			return -EBADMSG;
		if ((option[0] == IPOPT_LSRR || option[0] == IPOPT_SSRR) && option[1] >= 7 &&
		    option[2] + 3 <= option[1])
			memcpy(l->destination, option + option[1] - 4, 4);
		i += option[1];
	}
	return 0;
}

static int ipv4(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes)
{
	const uint8_t *ip = bytes->p + l->at.network;
	size_t header, total;
	int err;

	if (bytes->len - l->at.network < 20)
		return missing(bytes->true_len > bytes->len);
	header = (size_t)(ip[0] & 15) * 4;
	total = mnfq_i_get16(ip + 2);
	if (ip[0] >> 4 != 4 || header < 20)
		return -EBADMSG;
	if (total == 0) /* a large packet on its way inside of this machine (BIG TCP) */
		return -EOPNOTSUPP;
	err = set_end(l, bytes, total);
	if (err < 0)
		return err;
	if (header > l->at.end - l->at.network)
		return missing(l->cut);

	l->at.family = AF_INET;
	l->at.protocol = ip[9];
	l->at.fragment_offset = (mnfq_i_get16(ip + 6) & 0x1fffu) * 8;
	l->at.more_fragments = ip[6] >> 5 & 1;
	l->at.transport = l->at.network + header;
	l->address_len = 4;
	memcpy(l->source, ip + 12, 4);
	memcpy(l->destination, ip + 16, 4);
	return ipv4_options(l, ip + 20, header - 20);
}

/*
 * The final destination behind a routing header with segments left (RFC 8200, 8.1). -ENOENT: this
 * type is not known, so this is unknown.
 */
static int routing(struct mnfq_i_layers *l, const uint8_t *header, size_t len)
{
	size_t segments = (len - 8) / 16, left = header[3], last;

	if (left == 0)
		return 0;
	switch (header[2]) {
	case 0: /* RFC 2460, section 4.4 */
	case 2: /* RFC 6275, section 6.4 */
		if (len % 16 != 8 || left > segments)
			return -EBADMSG;
		last = segments - 1;
		break;
	case 4: /* RFC 8754: the list is in reverse order */
		if (segments < 1)
			return -EBADMSG;
		last = 0;
		break;
	default:
		return -ENOENT;
	}
	memcpy(l->destination, header + 8 + 16 * last, 16);
	return 0;
}

/* The sender's home address takes the place of the source (RFC 6275, section 6.3 and 11.3.1). */
static void home_address(struct mnfq_i_layers *l, const uint8_t *header, size_t len)
{
	size_t i = 2;

	while (i < len) {
		if (header[i] == 0) { /* Pad1 */
			i++;
			continue;
		}
		if (len - i < 2 || header[i + 1] > len - i - 2)
			return;
		if (header[i] == 201 && header[i + 1] == 16)
			memcpy(l->source, header + i + 2, 16);
		i += 2u + header[i + 1];
	}
}

/* A fragment that is the whole datagram (RFC 6946) is none. */
static void fragment(struct mnfq_i_layers *l, const uint8_t *header)
{
	l->at.fragment_offset = mnfq_i_get16(header + 2) & 0xfff8u;
	l->at.more_fragments = header[3] & 1;
}

/*
 * Those that can be passed over. Headers of mobility (RFC 6275), HIP (RFC 7401), Shim6 (RFC 5533)
 * are no such: they have checksums of their own, which cover addresses, and nothing behind them.
 */
static bool is_extension(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
		return true;
	default:
		return false;
	}
}

static int extensions(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes)
{
	bool fragmented = false;
	unsigned int n;

	for (n = 0; n < EXTENSIONS_MAX && is_extension(l->at.protocol); n++) {
		const uint8_t *header = bytes->p + l->at.transport;
		size_t left = l->at.end - l->at.transport, len = 8;
		int err = 0;

		if (l->at.protocol == IPPROTO_FRAGMENT && fragmented)
			break;
		if (left >= 8 && l->at.protocol != IPPROTO_FRAGMENT)
			len += (size_t)header[1] * 8;
		if (len > left)
			return missing(l->cut);
		if (l->at.protocol == IPPROTO_ROUTING)
			err = routing(l, header, len);
		else if (l->at.protocol == IPPROTO_DSTOPTS)
			home_address(l, header, len);
		else if (l->at.protocol == IPPROTO_FRAGMENT)
			fragmented = true, fragment(l, header);
		if (err == -ENOENT)
			break;
		if (err < 0)
			return err;
		l->at.protocol = header[0];
		l->at.transport += len;
		if (l->at.fragment_offset > 0)
			break;
	}
	return 0;
}

static int ipv6(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes)
{
	const uint8_t *ip = bytes->p + l->at.network;
	size_t payload;
	int err;

	if (bytes->len - l->at.network < 40)
		return missing(bytes->true_len > bytes->len);
	payload = mnfq_i_get16(ip + 4);
	if (ip[0] >> 4 != 6)
		return -EBADMSG;
	/* A jumbogram (RFC 2675), or a large packet on its way inside of this machine. */
	if (payload == 0 && ip[6] != IPPROTO_NONE && bytes->true_len - l->at.network > 40)
		return -EOPNOTSUPP;
	err = set_end(l, bytes, 40 + payload);
	if (err < 0)
		return err;

	l->at.family = AF_INET6;
	l->at.protocol = ip[6];
	l->at.transport = l->at.network + 40;
	l->address_len = 16;
	memcpy(l->source, ip + 8, 16);
	memcpy(l->destination, ip + 24, 16);
	return extensions(l, bytes);
}

/* Bridges see the tags that their packets carry: two bytes of the tag, then another EtherType. */
int mnfq_i_layers_tags(const struct mnfq_i_raw *bytes, size_t *network, uint16_t *ethertype)
{
	unsigned int n;

	*network = 0;
	*ethertype = bytes->ethertype;
	for (n = 0; n < TAGS_MAX; n++) {
		if (*ethertype != ETH_P_8021Q && *ethertype != ETH_P_8021AD)
			break;
		if (bytes->len - *network < 4)
			return missing(bytes->true_len > bytes->len);
		*ethertype = mnfq_i_get16(bytes->p + *network + 2);
		*network += 4;
	}
	return 0;
}

/* All up to the transport header. */
int mnfq_i_layers_network(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes)
{
	uint16_t ethertype;
	int err;

	memset(l, 0, sizeof(*l));
	err = mnfq_i_layers_tags(bytes, &l->at.network, &ethertype);
	if (err < 0)
		return err;
	if (ethertype == ETH_P_IP)
		err = ipv4(l, bytes);
	else if (ethertype == ETH_P_IPV6)
		err = ipv6(l, bytes);
	else
		err = -EPROTONOSUPPORT;
	l->at.fragment = l->at.more_fragments || l->at.fragment_offset > 0;
	l->at.data = l->at.transport;
	l->covered = l->at.end;
	return err;
}

/* The length that UDP and UDP-Lite carry: of the datagram, or of what the checksum covers. */
static int set_covered(struct mnfq_i_layers *l, size_t covered)
{
	size_t left = l->at.end - l->at.transport;

	if (covered == 0 && l->at.protocol == IPPROTO_UDPLITE)
		return 0; /* all of it (RFC 3828, section 3.1) */
	if (covered == 0 && l->at.family == AF_INET6)
		return -EOPNOTSUPP; /* a jumbogram (RFC 2675, section 4) */
	if (covered < 8)
		return -EBADMSG;
	if (covered <= left)
		l->covered = l->at.transport + covered;
	else if (!l->cut && !l->at.more_fragments)
		return -EBADMSG;
	return 0;
}

/* The least length of a transport header, and where the checksum is in it. */
static bool known(const struct mnfq_i_layers *l, size_t *len, size_t *check)
{
	static const struct {
		uint8_t family, protocol, len, check;
	} headers[] = {
		{ 0, IPPROTO_TCP, 20, 16 },      { 0, IPPROTO_UDP, 8, 6 },
		{ 0, IPPROTO_UDPLITE, 8, 6 },    { 0, IPPROTO_SCTP, 12, 8 },
		{ AF_INET, IPPROTO_ICMP, 8, 2 }, { AF_INET6, IPPROTO_ICMPV6, 8, 2 },
	};
	size_t i;

	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		if (headers[i].protocol != l->at.protocol)
			continue;
		*len = headers[i].len;
		*check = headers[i].check;
		return headers[i].family == 0 || headers[i].family == l->at.family;
	}
	return false;
}

/* The transport header itself, after mnfq_i_layers_network(). */
int mnfq_i_layers_transport(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes)
{
	const uint8_t *header = bytes->p + l->at.transport;
	size_t len, check, left = l->at.end - l->at.transport;

	l->known = known(l, &len, &check);
	if (l->at.fragment_offset > 0 || !l->known)
		return 0;
	if (left >= len && l->at.protocol == IPPROTO_TCP) {
		size_t offset = (size_t)(header[12] >> 4) * 4;

		if (offset < len)
			return -EBADMSG;
		len = offset;
	}
	if (left < len) /* a fragment may end within the header */
		return l->cut || l->at.more_fragments ? 0 : -EBADMSG;
	l->at.data = l->at.transport + len;
	l->check = l->at.transport + check;
	if (l->at.protocol == IPPROTO_UDP || l->at.protocol == IPPROTO_UDPLITE)
		return set_covered(l, mnfq_i_get16(header + 4));
	return 0;
}

int mnfq_i_layers_find(struct mnfq_i_layers *l, const struct mnfq_i_raw *bytes)
{
	int err = mnfq_i_layers_network(l, bytes);

	return err < 0 ? err : mnfq_i_layers_transport(l, bytes);
}
