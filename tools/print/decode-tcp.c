/* SPDX-License-Identifier: MIT */
/* TCP (RFC 9293), with its options (RFC 7323, 2018, 7413, …) in the words of tcpdump. */
#include "print/decode-tcp.h"

#include <stdio.h>
#include <string.h>

#include "print/compose.h"

enum {
	EOL = 0,
	NOP = 1,
	MSS = 2,
	WSCALE = 3,
	SACK_OK = 4,
	SACK = 5,
	TIMESTAMP = 8,
	MPTCP = 30,
	TFO = 34
};

static void add_hex(struct compose *out, const char *before, const uint8_t *at, size_t len)
{
	if (len > 0)
		add_text(out, before);
	for (size_t i = 0; i < len; i++)
		add_format(out, "%02x", at[i]);
}

static void add_sack(struct compose *out, const uint8_t *at, size_t len)
{
	if (len % 8) {
		add_text(out, " invalid sack");
		return;
	}
	add_text(out, " ");
	add_number(out, len / 8);
	add_text(out, " ");
	for (size_t i = 0; i < len; i += 8) {
		add_text(out, "{");
		add_number(out, get32(at + i));
		add_text(out, ":");
		add_number(out, get32(at + i + 4));
		add_text(out, "}");
	}
}

/* What follows the name; any length is possible where a number of bytes is expected. */
static bool add_value(struct compose *out, uint8_t kind, const uint8_t *at, size_t len)
{
	const size_t need = kind == MSS ? 2 : kind == WSCALE ? 1 : kind == TIMESTAMP ? 8 : len;

	if (len < need)
		return false;
	add_text(out, kind == TIMESTAMP ? " val " : kind == MSS || kind == WSCALE ? " " : "");
	if (kind == MSS) {
		add_number(out, get16(at));
	} else if (kind == WSCALE) {
		add_number(out, at[0]);
	} else if (kind == TIMESTAMP) {
		add_number(out, get32(at));
		add_text(out, " ecr ");
		add_number(out, get32(at + 4));
	} else if (kind == SACK) {
		add_sack(out, at, len);
	} else if (kind == TFO) {
		add_text(out, len ? "" : " cookiereq");
		add_hex(out, " cookie ", at, len);
	} else if (kind != SACK_OK) {
		add_hex(out, " 0x", at, len);
	}
	if (kind == SACK_OK ? len > 0 : len > need)
		add_format(out, "[len %zu]", len + 2);
	return true;
}

static void add_kind(struct compose *out, uint8_t kind)
{
	static const struct word kinds[] = {
		{ EOL, "eol" },       { NOP, "nop" },        { MSS, "mss" },
		{ WSCALE, "wscale" }, { SACK_OK, "sackOK" }, { SACK, "sack" },
		{ TIMESTAMP, "TS" },  { 19, "md5" },         { 28, "uto" },
		{ 29, "tcp-ao" },     { MPTCP, "mptcp" },    { TFO, "tfo" },
		{ 254, "exp" },       { 0, NULL },
	};
	const char *name = find_word(kinds, kind);

	if (name)
		add_text(out, name);
	else
		add_format(out, "unknown-%u", kind);
}

/* @bytes: the options alone. */
static void decode_options(struct decoded *decoded, struct span bytes)
{
	struct compose out = { decoded->tcp_options, sizeof(decoded->tcp_options), 0 };
	uint8_t kind = NOP;

	decoded->has_tcp_options = true;
	decoded->plain_options = true;
	while (bytes.total > 0 && kind != EOL) {
		size_t len = 1;

		if (!has(decoded, bytes, 1, "tcp"))
			return;
		kind = bytes.at[0];
		if (kind > NOP) {
			if (bytes.total > 1 && !has(decoded, bytes, 2, "tcp"))
				return;
			len = bytes.total > 1 ? bytes.at[1] : 0;
		}
		if (kind > NOP && (len < 2 || len > bytes.total))
			goto bad;
		if (!has(decoded, bytes, len, "tcp"))
			return;
		if (out.len > 0)
			add_text(&out, ",");
		add_kind(&out, kind);
		if (kind > NOP && !add_value(&out, kind, bytes.at + 2, len - 2))
			goto bad;
		decoded->plain_options &= kind <= NOP || kind == TIMESTAMP;
		bytes = skip(bytes, len);
	}
	return;
bad:
	decoded->problem = "bad TCP option";
	decoded->plain_options = false;
	add_text(&out, "[bad opt]");
}

/* The part of the header that is always there. */
static void decode_fixed(struct decoded *decoded, struct span bytes)
{
	decoded->has_tcp = true;
	decoded->seq = get32(bytes.at + 4);
	decoded->ack = get32(bytes.at + 8);
	decoded->window = get16(bytes.at + 14);
	decoded->urgent = get16(bytes.at + 18);
}

void decode_tcp(struct decoded *decoded, struct span bytes)
{
	size_t header;

	if (!has(decoded, bytes, 20, "tcp"))
		return;
	header = (bytes.at[12] >> 4) * 4u;
	if (header < 20) {
		decoded->problem = "bad TCP header length";
		snprintf(decoded->bad, sizeof(decoded->bad),
			 "tcp %zu [bad hdr length %zu - too short, < 20]", bytes.total - header,
			 header);
		return;
	}
	decoded->has_tcp_flags = true;
	decoded->tcp_flags = bytes.at[13];
	if (header > bytes.total) {
		decoded->problem = "bad TCP header length";
		snprintf(decoded->bad, sizeof(decoded->bad),
			 "[bad hdr length %zu - too long, > %zu]", header, bytes.total);
		return;
	}
	decode_fixed(decoded, bytes);
	decoded->has_data_length = true;
	decoded->data_length = bytes.total - header;
	if (header > 20) {
		struct span options = { bytes.at + 20, header - 20, header - 20 };

		if (header > bytes.len)
			options.len = bytes.len - 20;
		decode_options(decoded, options);
	}
}

void decode_tcp_flags(uint8_t flags, char text[9])
{
	static const struct {
		uint8_t bit;
		char letter;
	} letters[] = {
		{ 0x01, 'F' }, { 0x02, 'S' }, { 0x04, 'R' }, { 0x08, 'P' },
		{ 0x10, '.' }, { 0x20, 'U' }, { 0x40, 'E' }, { 0x80, 'W' },
	};
	size_t used = 0;

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (flags & letters[i].bit)
			text[used++] = letters[i].letter;
	text[used] = '\0';
	if (used == 0)
		strcpy(text, "none");
}
