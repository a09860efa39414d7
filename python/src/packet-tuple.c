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

static PyObject *direction(const struct mnfq_packet *view, enum mnfq_ct_direction which)
{
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);

	if (mnfq_packet_get_ct_tuple(view, which, &tuple) < 0)
		Py_RETURN_NONE;
	return to_dict(&tuple);
}

PyObject *py_packet_get_ct(const struct mnfq_packet *view)
{
	size_t len, labels_len;
	const uint8_t *raw, *labels;
	uint32_t info = 0;

	raw = mnfq_packet_get_ct(view, &len);
	if (!raw)
		Py_RETURN_NONE;
	labels = mnfq_packet_get_ct_labels(view, &labels_len);
	(void)mnfq_packet_get_ct_info(view, &info);
	return Py_BuildValue("{s:k,s:z,s:z,s:k,s:k,s:k,s:i,s:y#,s:N,s:N,s:y#}", "info",
			     (unsigned long)info, "state", mnfq_packet_get_ct_state_name(view),
			     "direction", mnfq_packet_get_ct_direction_name(view), "mark",
			     (unsigned long)mnfq_packet_get_ct_mark(view), "id",
			     (unsigned long)mnfq_packet_get_ct_id(view), "status",
			     (unsigned long)mnfq_packet_get_ct_status(view), "zone",
			     mnfq_packet_get_ct_zone(view), "labels", labels,
			     (Py_ssize_t)labels_len, "original",
			     direction(view, MNFQ_CT_ORIGINAL), "reply",
			     direction(view, MNFQ_CT_REPLY), "raw", raw, (Py_ssize_t)len);
}
