/* SPDX-License-Identifier: MIT */
/* What messages of ICMP (RFC 792), ICMPv6 (RFC 4443, 4861, 3810) and IGMP say, in the words of tcpdump. */
#include "print/decode-icmp.h"

#include <netinet/in.h>
#include <string.h>

#include "print/compose.h"

#define MESSAGE(decoded)                                                                         \
	&(struct compose)                                                                        \
	{                                                                                        \
		(decoded)->message, sizeof((decoded)->message), strlen((decoded)->message)       \
	}

/* ---- the packet that an error is about --------------------------------------------------- */

struct inner {
	char src[ADDRESS_SIZE], dst[ADDRESS_SIZE];
	uint8_t protocol;
	bool has_port;
	uint16_t port;
};

/* The length of an extension header of IPv6; 0: it is none, SIZE_MAX: nothing that is there follows it. */
static size_t get_extension(uint8_t number, struct span bytes)
{
	switch (number) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return bytes.len < 8 ? SIZE_MAX : (bytes.at[1] + 1u) * 8;
	case IPPROTO_FRAGMENT:
		return bytes.len < 8 || get16(bytes.at + 2) & 0xfff8u ? SIZE_MAX : 8;
	case IPPROTO_AH:
		return bytes.len < 8 ? SIZE_MAX : (bytes.at[1] + 2u) * 4;
	default:
		return 0;
	}
}

/* Returns what follows them. */
static struct span pass_extensions(uint8_t *number, struct span bytes)
{
	size_t header;

	while ((header = get_extension(*number, bytes)) > 0) {
		if (header > bytes.len)
			return skip(bytes, bytes.len);
		*number = bytes.at[0];
		bytes = skip(bytes, header);
	}
	return bytes;
}

/* Returns whether its addresses are there. */
static bool read_inner(struct decoded *decoded, struct inner *inner, struct span bytes, bool v4)
{
	const size_t fixed = v4 ? 20 : 40;
	size_t header;

	memset(inner, 0, sizeof(*inner));
	if (!has(decoded, bytes, fixed, v4 ? "icmp" : "icmp6"))
		return false;
	format_address(inner->src, v4 ? AF_INET : AF_INET6, bytes.at + (v4 ? 12 : 8));
	format_address(inner->dst, v4 ? AF_INET : AF_INET6, bytes.at + (v4 ? 16 : 24));
	inner->protocol = bytes.at[v4 ? 9 : 6];
	header = v4 ? (bytes.at[0] & 15) * 4u : fixed;
	bytes = skip(bytes, header < bytes.len ? header : bytes.len);
	if (!v4)
		bytes = pass_extensions(&inner->protocol, bytes);
	inner->has_port = bytes.len >= 4;
	if (inner->has_port)
		inner->port = get16(bytes.at + 2);
	return true;
}

static void add_port(struct decoded *decoded, const struct inner *inner, const char *after)
{
	struct compose *message = MESSAGE(decoded);

	if (inner->protocol == IPPROTO_TCP || inner->protocol == IPPROTO_UDP)
		add_format(message, "%s %s port %u%s", inner->dst,
			   inner->protocol == IPPROTO_TCP ? "tcp" : "udp", inner->port, after);
	else
		add_format(message, "%s protocol %u port %u%s", inner->dst, inner->protocol,
			   inner->port, after);
}

/* ---- ICMP --------------------------------------------------------------------------------- */

static void decode_unreachable(struct decoded *decoded, struct span bytes)
{
	static const char *const subjects[] = { "net ",  "host ", "",      "",
						"",      "",      "net ",  "host ",
						"",      "net ",  "host ", "net ",
						"host ", "host ", "host ", "host " };
	static const char *const reasons[] = { "",
					       "",
					       "",
					       "",
					       " - need to frag",
					       " - source route failed",
					       " - unknown",
					       " - unknown",
					       " - source host isolated",
					       " - admin prohibited",
					       " - admin prohibited",
					       " - tos prohibited",
					       " - tos prohibited",
					       " - admin prohibited filter",
					       " - host precedence violation",
					       " - precedence cutoff" };
	struct compose *message = MESSAGE(decoded);
	const uint16_t mtu = get16(bytes.at + 6);
	struct inner inner;

	if (!read_inner(decoded, &inner, skip(bytes, 8), true))
		add_text(message, "unreachable");
	else if (decoded->code == 2)
		add_format(message, "%s protocol %u unreachable", inner.dst, inner.protocol);
	else if (decoded->code == 3 && has(decoded, bytes, inner.has_port ? 8 : SIZE_MAX, "icmp"))
		add_port(decoded, &inner, " unreachable");
	else if (decoded->code < 16)
		add_format(message, "%s%s unreachable%s", subjects[decoded->code], inner.dst,
			   reasons[decoded->code]);
	else
		add_format(message, "%s unreachable - #%u", inner.dst, decoded->code);
	if (decoded->code == 4 && mtu)
		add_format(MESSAGE(decoded), " (mtu %u)", mtu);
}

static void decode_redirect(struct decoded *decoded, struct span bytes)
{
	static const char *const words[] = { "", "", "-tos", "-tos" };
	static const char *const kinds[] = { "net ", "host ", "net ", "host " };
	struct compose *message = MESSAGE(decoded);
	char gateway[ADDRESS_SIZE];
	struct inner inner;

	add_text(message, "redirect");
	if (!read_inner(decoded, &inner, skip(bytes, 8), true))
		return;
	format_address(gateway, AF_INET, bytes.at + 4);
	if (decoded->code < 4)
		add_format(message, "%s %s to %s%s", words[decoded->code], inner.dst,
			   kinds[decoded->code], gateway);
	else
		add_format(message, "-#%u %s to %s", decoded->code, inner.dst, gateway);
}

/* Those that have a word for each code that has a meaning. */
static void decode_code(struct decoded *decoded, struct span bytes)
{
	struct compose *message = MESSAGE(decoded);

	if (decoded->type == 11 && decoded->code == 0)
		add_text(message, "time exceeded in-transit");
	else if (decoded->type == 11 && decoded->code == 1)
		add_text(message, "ip reassembly time exceeded");
	else if (decoded->type == 11)
		add_format(message, "time exceeded-#%u", decoded->code);
	else if (decoded->code == 0)
		add_format(message, "parameter problem - octet %u", bytes.at[4]);
	else
		add_format(message, "parameter problem - code %u", decoded->code);
}

/* Type and code, if the header is there; the length is that of all of it. */
static bool decode_type(struct decoded *decoded, struct span bytes, const char *header)
{
	if (!has(decoded, bytes, 2, header))
		return false;
	decoded->has_type = true;
	decoded->type = bytes.at[0];
	decoded->code = bytes.at[1];
	decoded->has_data_length = true;
	decoded->data_length = bytes.total;
	return has(decoded, bytes, 8, header);
}

static void decode_echo(struct decoded *decoded, struct span bytes)
{
	decoded->has_echo = true;
	decoded->echo_id = get16(bytes.at + 4);
	decoded->echo_seq = get16(bytes.at + 6);
}

void decode_icmp(struct decoded *decoded, struct span bytes)
{
	static const struct word types[] = {
		{ 0, "echo reply" },         { 4, "source quench" },
		{ 8, "echo request" },       { 9, "router advertisement" },
		{ 13, "time stamp query" },  { 10, "router solicitation" },
		{ 14, "time stamp reply" },  { 15, "information request" },
		{ 16, "information reply" }, { 17, "address mask request" },
		{ 18, "address mask" },      { 0, NULL },
	};
	const char *word;

	if (!decode_type(decoded, bytes, "icmp"))
		return;
	word = find_word(types, decoded->type);
	if (word)
		add_text(MESSAGE(decoded), word);
	if (decoded->type == 0 || decoded->type == 8)
		decode_echo(decoded, bytes);
	else if (decoded->type == 3)
		decode_unreachable(decoded, bytes);
	else if (decoded->type == 5)
		decode_redirect(decoded, bytes);
	else if (decoded->type == 11 || decoded->type == 12)
		decode_code(decoded, bytes);
	else if (decoded->type == 13 || decoded->type == 14)
		add_format(MESSAGE(decoded), " id %u seq %u", get16(bytes.at + 4),
			   get16(bytes.at + 6));
	else if (decoded->type == 18 && has(decoded, bytes, 12, "icmp"))
		add_format(MESSAGE(decoded), " is 0x%08x", get32(bytes.at + 8));
	else if (!word)
		add_format(MESSAGE(decoded), "type-#%u", decoded->type);
}

/* ---- ICMPv6 ------------------------------------------------------------------------------- */

static void decode_unreachable_v6(struct decoded *decoded, struct span bytes)
{
	static const char *const words[] = { "unreachable route", "unreachable prohibited",
					     "beyond scope", "unreachable address" };
	struct compose *message = MESSAGE(decoded);
	struct inner inner;

	add_text(message, "destination unreachable, ");
	if (decoded->code > 4)
		add_format(message, "unknown unreach code (%u)", decoded->code);
	else if (decoded->code == 4)
		add_text(message, "unreachable port");
	else
		add_text(message, words[decoded->code]);
	if (decoded->code > 4 || !read_inner(decoded, &inner, skip(bytes, 8), false))
		return;
	if (decoded->code < 4)
		add_format(message, " %s", inner.dst);
	if (decoded->code == 2)
		add_format(message, ", source address %s", inner.src);
	if (decoded->code == 4 && has(decoded, bytes, inner.has_port ? 8 : SIZE_MAX, "icmp6")) {
		add_text(message, ", ");
		add_port(decoded, &inner, "");
	}
}

static void decode_code_v6(struct decoded *decoded, struct span bytes)
{
	static const char *const parts[] = { "erroneous", "next header", "option",
					     "incomplete header chain" };
	struct compose *message = MESSAGE(decoded);
	struct inner inner;

	if (decoded->type == 4 && decoded->code < 4)
		add_format(message, "parameter problem, %s - octet %u", parts[decoded->code],
			   get32(bytes.at + 4));
	else if (decoded->type == 4)
		add_format(message, "parameter problem, code-#%u", decoded->code);
	else if (decoded->code == 1)
		add_text(message, "time exceeded in-transit (reassembly)");
	else if (decoded->code > 1)
		add_format(message, "time exceeded in-transit, unknown code (%u)", decoded->code);
	else if (read_inner(decoded, &inner, skip(bytes, 8), false))
		add_format(message, "time exceeded in-transit for %s", inner.dst);
	else
		add_text(message, "time exceeded in-transit");
}

/* Neighbours and groups: one address follows the first 8 bytes. */
static void add_target(struct decoded *decoded, struct span bytes, const char *before)
{
	char address[ADDRESS_SIZE];

	if (has(decoded, bytes, 24, "icmp6"))
		add_format(MESSAGE(decoded), "%s%s", before,
			   format_address(address, AF_INET6, bytes.at + 8));
}

static void decode_redirect_v6(struct decoded *decoded, struct span bytes)
{
	char target[ADDRESS_SIZE], dst[ADDRESS_SIZE];

	if (has(decoded, bytes, 40, "icmp6"))
		add_format(MESSAGE(decoded), ", %s to %s",
			   format_address(dst, AF_INET6, bytes.at + 24),
			   format_address(target, AF_INET6, bytes.at + 8));
}

/* Queries are of version 2 if they are longer (RFC 3810 section 8.1). */
static void decode_listener(struct decoded *decoded, struct span bytes)
{
	struct compose *message = MESSAGE(decoded);

	if (decoded->type == 143) {
		add_format(message, ", %u group record(s)", get16(bytes.at + 6));
	} else if (decoded->type == 130 && bytes.total >= 28) {
		add_text(message, " v2");
		add_target(decoded, bytes, " [gaddr ");
		if (!decoded->problem)
			add_text(MESSAGE(decoded), "]");
	} else {
		add_format(message, " max resp delay: %u", get16(bytes.at + 4));
		add_target(decoded, bytes, " addr: ");
	}
}

void decode_icmpv6(struct decoded *decoded, struct span bytes)
{
	static const struct word types[] = {
		{ 2, "packet too big, mtu " },
		{ 128, "echo request" },
		{ 129, "echo reply" },
		{ 130, "multicast listener query" },
		{ 131, "multicast listener report" },
		{ 132, "multicast listener done" },
		{ 133, "router solicitation" },
		{ 134, "router advertisement" },
		{ 135, "neighbor solicitation" },
		{ 136, "neighbor advertisement" },
		{ 137, "redirect" },
		{ 143, "multicast listener report v2" },
		{ 0, NULL },
	};
	const char *word;

	if (!decode_type(decoded, bytes, "icmp6"))
		return;
	word = find_word(types, decoded->type);
	if (word)
		add_text(MESSAGE(decoded), word);
	if (decoded->type == 1)
		decode_unreachable_v6(decoded, bytes);
	else if (decoded->type == 2)
		add_number(MESSAGE(decoded), get32(bytes.at + 4));
	else if (decoded->type == 3 || decoded->type == 4)
		decode_code_v6(decoded, bytes);
	else if (decoded->type == 128 || decoded->type == 129)
		decode_echo(decoded, bytes);
	else if ((decoded->type >= 130 && decoded->type <= 132) || decoded->type == 143)
		decode_listener(decoded, bytes);
	else if (decoded->type == 135 || decoded->type == 136)
		add_target(decoded, bytes, decoded->type == 135 ? ", who has " : ", tgt is ");
	else if (decoded->type == 137)
		decode_redirect_v6(decoded, bytes);
	else if (!word)
		add_format(MESSAGE(decoded), "unknown icmp6 type (%u)", decoded->type);
}

/* ---- IGMP --------------------------------------------------------------------------------- */

/* RFC 1112, 2236, 3376. */
void decode_igmp(struct decoded *decoded, struct span bytes)
{
	struct compose *message = MESSAGE(decoded);
	char group[ADDRESS_SIZE];

	if (!has(decoded, bytes, 8, "igmp"))
		return;
	format_address(group, AF_INET, bytes.at + 4);
	switch (bytes.at[0]) {
	case 0x11:
		add_format(message, "query v%u", bytes.total >= 12 ? 3 : bytes.at[1] ? 2 : 1);
		if (get32(bytes.at + 4))
			add_format(message, " [gaddr %s]", group);
		break;
	case 0x12:
		add_format(message, "v1 report %s", group);
		break;
	case 0x16:
		add_format(message, "v2 report %s", group);
		break;
	case 0x17:
		add_format(message, "leave %s", group);
		break;
	case 0x22:
		add_format(message, "v3 report, %u group record(s)", get16(bytes.at + 6));
		break;
	default:
		add_format(message, "type-#%u", bytes.at[0]);
	}
}
