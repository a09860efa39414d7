/* SPDX-License-Identifier: MIT */
/* What the bytes of a packet say: in text with the words of tcpdump, in their order. */
#include "print/fields.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "print/compose.h"
#include "print/span.h"

#define TH_SYN_FIN_RST 0x07u
#define TH_SYN         0x02u
#define TH_ACK         0x10u
#define TH_URG         0x20u

/* ---- the IP header ------------------------------------------------------------------------ */

/* What follows the IP header, which may be the header of an extension. */
static void put_ip_protocol(struct writer *w, const struct decoded *decoded, const char *before)
{
	static const struct word others[] = {
		{ IPPROTO_HOPOPTS, "Options" },
		{ IPPROTO_ROUTING, "Routing" },
		{ IPPROTO_FRAGMENT, "Fragment" },
		{ IPPROTO_AH, "AH" },
		{ IPPROTO_ICMPV6, "ICMPv6" },
		{ IPPROTO_DSTOPTS, "DSTOPT" },
		{ 0, NULL },
	};
	const char *other = find_word(others, decoded->ip_protocol);
	char name[sizeof(decoded->protocol)];
	size_t i = 0;

	do
		name[i] = (char)toupper((unsigned char)decoded->protocol[i]);
	while (decoded->protocol[i++]);
	put_text(w, NULL, before, other ? other : name);
	put_number(w, "ip_protocol", before ? " (" : NULL, decoded->ip_protocol);
}

static void put_ipv4(struct writer *w, const struct decoded *decoded, bool verbose)
{
	static const char *const ecn[] = { NULL, ",ECT(1)", ",ECT(0)", ",CE" };
	const bool more = decoded->more_fragments;

	put_mark(w, "tos", verbose ? " (tos " : NULL, decoded->tos);
	if (verbose && ecn[decoded->tos & 3])
		put_word(w, ecn[decoded->tos & 3]);
	put_number(w, "ttl", verbose ? ", ttl " : NULL, decoded->ttl);
	put_number(w, "ip_id", verbose ? ", id " : NULL, decoded->ip_id);
	put_number(w, NULL, verbose ? ", offset " : NULL, decoded->fragment_offset);
	put_word(w, verbose ? ", flags [" : NULL);
	put_flag(w, "dont_fragment", NULL, decoded->dont_fragment);
	if (verbose)
		put_word(w, decoded->dont_fragment ? more ? "+, DF" : "DF" : more ? "+" : "none");
	put_ip_protocol(w, decoded, verbose ? "], proto " : NULL);
	put_number(w, NULL, verbose ? "), length " : NULL, decoded->ip_length);
	put_word(w, verbose ? ")\n   " : NULL);
}

static void put_ipv6(struct writer *w, const struct decoded *decoded, bool verbose)
{
	char class[24] = "", label[24] = "";

	if (decoded->tos)
		snprintf(class, sizeof(class), "class 0x%02x, ", decoded->tos);
	if (decoded->flow_label)
		snprintf(label, sizeof(label), "flowlabel 0x%05x, ", decoded->flow_label);
	put_text(w, NULL, verbose ? " (" : NULL, class);
	put_mark(w, "tos", NULL, decoded->tos);
	put_text(w, NULL, verbose ? "" : NULL, label);
	put_number(w, "flow_label", NULL, decoded->flow_label);
	put_number(w, "ttl", verbose ? "hlim " : NULL, decoded->ttl);
	put_ip_protocol(w, decoded, verbose ? ", next-header " : NULL);
	put_number(w, NULL, verbose ? ") payload length: " : NULL, decoded->ip_length);
	put_word(w, verbose ? ")" : NULL);
}

/* ---- addresses ---------------------------------------------------------------------------- */

/* A name in text, if there is one. */
static void put_port(struct writer *w, const char *key, const char *before,
		     const struct decoded *decoded, uint16_t port,
		     const struct print_options *options)
{
	const uint8_t protocol = strcmp(decoded->protocol, "tcp") == 0   ? IPPROTO_TCP
				 : strcmp(decoded->protocol, "udp") == 0 ? IPPROTO_UDP
									 : 0;
	const char *name = w->json ? NULL : services_find(options->services, protocol, port);

	if (name)
		put_text(w, key, before, name);
	else
		put_number(w, key, before, port);
}

/* Those of extensions, without the space at their end; the id of a fragment, "0x0000abcd:", is for -v. */
static void put_headers(struct writer *w, const struct decoded *decoded, bool verbose)
{
	char headers[sizeof(decoded->headers)], *id = headers, *end;
	const size_t len = strlen(decoded->headers);

	strcpy(headers, decoded->headers);
	if (len > 0 && headers[len - 1] == ' ')
		headers[len - 1] = '\0';
	while (!verbose && (id = strstr(id, "(0x")) && (end = strchr(id, ':')))
		memmove(id + 1, end + 1, strlen(end)); /* with the zero at the end */
	put_text(w, NULL, " ", headers);
}

/* Ports follow extension headers, if there are any. */
static void put_addresses(struct writer *w, const struct decoded *decoded,
			  const struct print_options *options)
{
	const bool apart = decoded->headers[0], show = !decoded->unusable_ip;
	char address[ADDRESS_SIZE];

	put_text(w, "src", show ? " " : NULL,
		 format_address(address, decoded->family, decoded->src));
	if (decoded->has_ports && !apart)
		put_port(w, "sport", ".", decoded, decoded->sport, options);
	put_text(w, "dst", show ? " > " : NULL,
		 format_address(address, decoded->family, decoded->dst));
	if (decoded->has_ports && !apart)
		put_port(w, "dport", ".", decoded, decoded->dport, options);
	put_word(w, show ? ":" : NULL);
	if (apart)
		put_headers(w, decoded, options->verbose);
	if (decoded->has_ports && apart) {
		put_port(w, "sport", " ", decoded, decoded->sport, options);
		put_port(w, "dport", " > ", decoded, decoded->dport, options);
		put_word(w, ":");
	}
}

/* ---- ARP ---------------------------------------------------------------------------------- */

static void put_arp(struct writer *w, const struct decoded *decoded)
{
	static const uint8_t unknown[6];
	const bool request = strcmp(decoded->message, "request") == 0;
	const bool reply = strcmp(decoded->message, "reply") == 0;
	const bool sender = decoded->has_arp;
	char src[ADDRESS_SIZE], dst[ADDRESS_SIZE];

	put_text(w, "message", request || reply ? NULL : ", ", decoded->message);
	put_word(w, request ? ", Request" : reply ? ", Reply" : NULL);
	if (decoded->family) {
		format_address(src, AF_INET, decoded->src);
		format_address(dst, AF_INET, decoded->dst);
		put_text(w, "dst", request ? " who-has " : NULL, dst);
		if (sender)
			put_hex(w, "target_hwaddr",
				request && memcmp(decoded->target, unknown, 6) != 0 ? " (" : NULL,
				decoded->target, 6, ':');
		if (sender && request && memcmp(decoded->target, unknown, 6) != 0)
			put_word(w, ")");
		put_text(w, "src", request ? " tell " : " ", src);
		if (!request && !reply)
			put_text(w, NULL, " > ", dst);
		if (sender)
			put_hex(w, "sender_hwaddr", reply ? " is-at " : NULL, decoded->sender, 6,
				':');
	}
}

/* ---- on top of IP ------------------------------------------------------------------------- */

/*
 * The sequence number is shown where tcpdump shows it. Options that each segment of a connection has, which tcpdump
 * does show, take half of a line.
 */
static void put_tcp(struct writer *w, const struct decoded *decoded, bool verbose)
{
	const uint8_t flags = decoded->tcp_flags;
	const bool show_seq = decoded->data_length > 0 || flags & TH_SYN_FIN_RST;
	char text[9];

	decode_tcp_flags(flags, text);
	put_text(w, "tcp_flags", " Flags [", text);
	put_word(w, "]");
	if (!decoded->has_tcp)
		return;
	put_number(w, "seq", show_seq ? ", seq " : NULL, decoded->seq);
	if (decoded->data_length > 0)
		put_number(w, NULL, ":", (uint32_t)(decoded->seq + decoded->data_length));
	if (flags & TH_ACK)
		put_number(w, "ack", ", ack ", decoded->ack);
	put_number(w, "window", ", win ", decoded->window);
	if (flags & TH_URG)
		put_number(w, "urgent", ", urg ", decoded->urgent);
	if (decoded->has_tcp_options) {
		const bool show =
			verbose || flags & TH_SYN || !decoded->plain_options || decoded->cut;

		put_text(w, "tcp_options", show ? ", options [" : NULL, decoded->tcp_options);
		put_word(w, show && !decoded->problem ? "]" : NULL);
	}
}

/* tcpdump has a comma only after what it has decoded. */
static void put_other(struct writer *w, const struct decoded *decoded)
{
	const char *title = decoded->title ? decoded->title : decoded->protocol;
	const bool v6_fragment = decoded->family == AF_INET6 && decoded->fragment_offset;

	if (decoded->bad[0] || (decoded->cut && !decoded->message[0]) || v6_fragment)
		title = NULL;
	put_word(w, title && decoded->family ? " " : NULL);
	if (title && decoded->family)
		put_word(w, title);
	if (decoded->has_type) {
		put_number(w, "icmp_type", NULL, decoded->type);
		put_number(w, "icmp_code", NULL, decoded->code);
	}
	if (decoded->message[0])
		put_text(w, "message", strcmp(decoded->protocol, "esp") == 0 ? "" : " ",
			 decoded->message);
	if (decoded->has_echo) {
		put_number(w, "icmp_id", ", id ", decoded->echo_id);
		put_number(w, "icmp_seq", ", seq ", decoded->echo_seq);
	}
}

static void put_data_length(struct writer *w, const struct decoded *decoded)
{
	const bool named = decoded->title || decoded->has_tcp || !decoded->has_ip;

	if (!decoded->has_data_length || decoded->unusable_ip)
		return;
	put_number(w, "data_length",
		   decoded->cut ? NULL
		   : named      ? ", length "
				: " ",
		   decoded->data_length);
}

/* IPv6 has it among the extension headers, and tcpdump's -v in the IP header. */
static void put_fragment(struct writer *w, const struct decoded *decoded, bool verbose)
{
	const bool show = decoded->family == AF_INET && !verbose;

	put_number(w, "fragment_id", show ? " (frag " : NULL, decoded->fragment_id);
	put_number(w, NULL, show ? ":" : NULL, decoded->fragment_size);
	put_number(w, "fragment_offset", show ? "@" : NULL, decoded->fragment_offset);
	put_flag(w, "more_fragments", show ? "+" : NULL, decoded->more_fragments);
	put_word(w, show ? ")" : NULL);
}

static void put_problem(struct writer *w, const struct decoded *decoded)
{
	if (decoded->bad[0])
		put_text(w, NULL, " ", decoded->bad);
	if (decoded->cut) {
		put_text(w, NULL, " [|", decoded->cut);
		put_word(w, "]");
	}
	if (decoded->problem)
		put_text(w, "problem", NULL, decoded->problem);
}

void put_decoded(struct writer *w, const struct decoded *decoded,
		 const struct print_options *options)
{
	put_text(w, "protocol", NULL, decoded->protocol);
	put_word(w, decoded->link);
	if (decoded->bad_ip[0])
		put_text(w, NULL, " ", decoded->bad_ip);
	if (decoded->has_ip && decoded->family == AF_INET)
		put_ipv4(w, decoded, options->verbose);
	else if (decoded->has_ip)
		put_ipv6(w, decoded, options->verbose);
	if (decoded->has_ip)
		put_addresses(w, decoded, options);
	if (!decoded->has_ip && decoded->message[0])
		put_arp(w, decoded);
	else if (decoded->has_tcp_flags)
		put_tcp(w, decoded, options->verbose);
	else if (!decoded->unusable_ip)
		put_other(w, decoded);
	put_problem(w, decoded);
	put_data_length(w, decoded);
	if (decoded->fragment)
		put_fragment(w, decoded, options->verbose);
}
