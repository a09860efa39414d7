// SPDX-License-Identifier: MIT
/* mnfq.Packet: the flow of a packet, and its connection. */
#include "module.h"

#include <sys/socket.h>

static PyObject *to_dict(const struct mnfq_tuple *tuple)
{
	const Py_ssize_t size = tuple->family == AF_INET6 ? 16 : tuple->family == AF_INET ? 4 : 0;

	return Py_BuildValue("{s:i,s:i,s:y#,s:y#,s:i,s:i,s:i,s:i,s:i,s:i}", "family",
			     tuple->family, "protocol", tuple->protocol, "src", tuple->src, size,
			     "dst", tuple->dst, size, "sport", tuple->sport, "dport",
			     tuple->dport, "id", tuple->id, "type", tuple->type, "code",
			     tuple->code, "zone", tuple->zone);
}

PyObject *py_packet_get_tuple(const struct mnfq_packet *view)
{
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);

	if (mnfq_packet_get_tuple(view, &tuple) < 0)
		Py_RETURN_NONE;
	return to_dict(&tuple);
}

static PyObject *direction(const struct mnfq_tuple *tuple)
{
	if (tuple->size == 0)
		Py_RETURN_NONE;
	return to_dict(tuple);
}

static void read_direction(const struct mnfq_packet *view, enum mnfq_ct_direction which,
			   struct mnfq_tuple *tuple)
{
	if (mnfq_packet_get_ct_tuple(view, which, tuple) < 0)
		tuple->size = 0;
}

static PyObject *read_bytes(const uint8_t *data, size_t len)
{
	if (!data)
		Py_RETURN_NONE;
	return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
}

/*
 * All is read before a dict is made: garbage may be collected then, and a finalizer may end the time in which the
 * packet is in hand.
 */
PyObject *py_packet_get_ct(const struct mnfq_packet *view)
{
	struct mnfq_tuple original = MNFQ_INIT(original), reply = MNFQ_INIT(reply);
	const unsigned long mark = mnfq_packet_get_ct_mark(view),
			    id = mnfq_packet_get_ct_id(view),
			    status = mnfq_packet_get_ct_status(view);
	const int zone = mnfq_packet_get_ct_zone(view);
	const char *state = mnfq_packet_get_ct_state_name(view);
	const char *name = mnfq_packet_get_ct_direction_name(view);
	size_t len, labels_len;
	const uint8_t *raw = mnfq_packet_get_ct(view, &len);
	const uint8_t *labels = mnfq_packet_get_ct_labels(view, &labels_len);
	PyObject *raw_bytes, *labels_bytes;
	uint32_t info = 0;

	if (!raw)
		Py_RETURN_NONE;
	(void)mnfq_packet_get_ct_info(view, &info);
	read_direction(view, MNFQ_CT_ORIGINAL, &original);
	read_direction(view, MNFQ_CT_REPLY, &reply);
	raw_bytes = read_bytes(raw, len);
	labels_bytes = read_bytes(labels, labels_len);
	return Py_BuildValue("{s:k,s:z,s:z,s:k,s:k,s:k,s:i,s:N,s:N,s:N,s:N}", "info",
			     (unsigned long)info, "state", state, "direction", name, "mark", mark,
			     "id", id, "status", status, "zone", zone, "labels", labels_bytes,
			     "original", direction(&original), "reply", direction(&reply), "raw",
			     raw_bytes);
}
