// SPDX-License-Identifier: MIT
/* The message that accompanies a socket: writes it, and parses it from untrusted peers. No I/O. */
#include "handover-msg.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "error.h"

static const char magic[4] = { 'M', 'N', 'F', 'Q' };

_Static_assert(sizeof(struct mnfq_i_handover_msg) == MNFQ_I_HANDOVER_MSG_SIZE, "no padding");

/* The bytes of the UTF-8 character that begins with @first; 0 if none does. */
static size_t char_len(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/*
 * The length of the character at the beginning of a text, if it is one that does nothing to a
 * terminal: well-formed UTF-8 and no control character. Otherwise 0.
 */
static size_t harmless(const char *text)
{
	/* The smallest character of so many bytes: longer forms of it are forgeries. */
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint8_t first = (uint8_t)*text;
	size_t i, len = char_len(first);
	uint32_t c = len < 2 ? first : first & (0x7fu >> len);

	for (i = 1; i < len; i++) {
		if (((uint8_t)text[i] & 0xc0) != 0x80) /* also the end of the text */
			return 0;
		c = c << 6 | ((uint8_t)text[i] & 0x3f);
	}
	if (len == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0) || c < smallest[len] ||
	    (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	/* Line ends, and what turns the direction of writing around. */
	if ((c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069))
		return 0;
	return len;
}

int mnfq_i_label_check(const char *label, struct mnfq_i_errmsg *error)
{
	size_t len, at = 0;

	if (!memchr(label, '\0', MNFQ_LABEL_SIZE))
		return mnfq_i_fail(error, -EMSGSIZE, "the label is longer than %u bytes",
				   MNFQ_LABEL_SIZE - 1);
	while (label[at]) {
		len = harmless(label + at);
		if (len == 0)
			return mnfq_i_fail(error, -EINVAL,
					   "the label has a control character, or is not UTF-8, "
					   "at byte %zu",
					   at);
		at += len;
	}
	return 0;
}

static void msg_begin(struct mnfq_i_handover_msg *message, uint16_t type)
{
	memset(message, 0, sizeof(*message));
	memcpy(message->magic, magic, sizeof(magic));
	message->version = MNFQ_I_HANDOVER_MSG_VERSION;
	message->type = type;
}

/* The label was checked. */
void mnfq_i_handover_msg_offer(struct mnfq_i_handover_msg *message, uint32_t flags,
			       uint64_t cookie, const char *label)
{
	msg_begin(message, MNFQ_I_HANDOVER_MSG_SOCKET);
	message->flags = flags;
	message->netns_cookie = cookie;
	memcpy(message->label, label, strlen(label));
}

void mnfq_i_handover_msg_answer(struct mnfq_i_handover_msg *message, int err, const char *text)
{
	msg_begin(message, MNFQ_I_HANDOVER_MSG_ANSWER);
	message->error = err;
	memcpy(message->text, text, strnlen(text, sizeof(message->text) - 1));
}

bool mnfq_i_handover_msg_is(const void *bytes, size_t len)
{
	return len >= sizeof(magic) && memcmp(bytes, magic, sizeof(magic)) == 0;
}

bool mnfq_i_handover_msg_is_answer(const void *bytes, size_t len)
{
	const struct mnfq_i_handover_msg *message = bytes;
	uint16_t type;

	if (!mnfq_i_handover_msg_is(bytes, len) || len != sizeof(*message))
		return false;
	memcpy(&type, &message->type, sizeof(type));
	return type == MNFQ_I_HANDOVER_MSG_ANSWER;
}

/* What both kinds of message have in common. A longer one has more than there is room for. */
static int read_msg(struct mnfq_i_handover_msg *message, const void *bytes, size_t len,
		    uint16_t type, struct mnfq_i_errmsg *error)
{
	static const uint8_t zero[sizeof(message->reserved)];

	memset(message, 0, sizeof(*message));
	memcpy(message, bytes, len < sizeof(*message) ? len : sizeof(*message));
	if (!mnfq_i_handover_msg_is(bytes, len))
		return mnfq_i_fail(error, -EBADMSG,
				   "what came is not of the protocol of libmnfq");
	if (len >= offsetof(struct mnfq_i_handover_msg, type) &&
	    message->version != MNFQ_I_HANDOVER_MSG_VERSION)
		return mnfq_i_fail(error, -EPROTONOSUPPORT,
				   "what came is version %u of the protocol, and this is version "
				   "%u: use the same version of libmnfq on both sides",
				   message->version, MNFQ_I_HANDOVER_MSG_VERSION);
	if (len != sizeof(*message))
		return mnfq_i_fail(error, -EBADMSG, "the message has not %zu bytes",
				   sizeof(*message));
	if (message->type != type || memcmp(message->reserved, zero, sizeof(zero)) != 0)
		return mnfq_i_fail(error, -EBADMSG,
				   "the message makes no sense: type %u, not %u, or reserved "
				   "bytes in use",
				   message->type, type);
	return 0;
}

int mnfq_i_handover_msg_read_offer(struct mnfq_i_handover_msg *message, const void *bytes,
				   size_t len, struct mnfq_i_errmsg *error)
{
	int err = read_msg(message, bytes, len, MNFQ_I_HANDOVER_MSG_SOCKET, error);

	if (err < 0)
		return err;
	if (message->flags & ~MNFQ_HANDOVER_KEEP)
		return mnfq_i_fail(error, -EBADMSG, "the message has unknown flags: 0x%x",
				   message->flags);
	return mnfq_i_label_check(message->label, error) < 0 ? -EBADMSG : 0;
}

/* The text of a peer as an error message: what might do something to a terminal is replaced. */
static void clean(struct mnfq_i_errmsg *to, const char *text)
{
	size_t len, at = 0;

	while (text[at]) {
		len = harmless(text + at);
		if (len == 0) {
			to->text[at++] = '?';
			continue;
		}
		memcpy(to->text + at, text + at, len);
		at += len;
	}
	to->text[at] = '\0';
}

/*
 * What the answer says, 0 or a negative errno. Those that waiting has itself would be taken for
 * there being no answer yet; -ETIMEDOUT is what a receiver says whose kernel did not answer.
 */
int mnfq_i_handover_msg_read_answer(const void *bytes, size_t len, struct mnfq_i_errmsg *error)
{
	struct mnfq_i_handover_msg message;
	int err = read_msg(&message, bytes, len, MNFQ_I_HANDOVER_MSG_ANSWER, error);

	if (err == -EPROTONOSUPPORT)
		return -EBADMSG; /* only a receiver says that */
	if (err < 0)
		return err;
	if (message.error > 0 || message.error < -MNFQ_I_ERRNO_MAX ||
	    !memchr(message.text, '\0', sizeof(message.text)))
		return mnfq_i_fail(error, -EBADMSG, "the answer makes no sense");
	if (message.text[0])
		clean(error, message.text);
	else if (message.error)
		mnfq_i_fail(error, message.error, "the other side refused the socket: %s",
			    strerror(-message.error));
	switch (message.error) {
	case -EAGAIN:
	case -EINTR:
		return -EBUSY;
	case -ETIMEDOUT:
		return -ETIME;
	default:
		return message.error;
	}
}
