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

static PyObject *gone(void)
{
	PyErr_SetString(PyExc_ValueError, "the packet is gone: retain() keeps it");
	return NULL;
}

PyObject *py_packet_get_tuple(struct py_packet *self, void *unused)
{
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);

	(void)unused;
	if (!self->view)
		return gone();
	if (mnfq_packet_get_tuple(self->view, &tuple) < 0)
		Py_RETURN_NONE;
	return to_dict(&tuple);
}

static PyObject *direction(const struct py_packet *self, enum mnfq_ct_direction which)
{
	struct mnfq_tuple tuple = MNFQ_INIT(tuple);

	if (mnfq_packet_get_ct_tuple(self->view, which, &tuple) < 0)
		Py_RETURN_NONE;
	return to_dict(&tuple);
}

PyObject *py_packet_get_ct(struct py_packet *self, void *unused)
{
	size_t len, labels_len;
	const uint8_t *raw, *labels;
	uint32_t info = 0;

	(void)unused;
	if (!self->view)
		return gone();
	raw = mnfq_packet_get_ct(self->view, &len);
	if (!raw)
		Py_RETURN_NONE;
	labels = mnfq_packet_get_ct_labels(self->view, &labels_len);
	(void)mnfq_packet_get_ct_info(self->view, &info);
	return Py_BuildValue(
		"{s:k,s:z,s:z,s:k,s:k,s:k,s:i,s:y#,s:N,s:N,s:y#}", "info", (unsigned long)info,
		"state", mnfq_packet_get_ct_state_name(self->view), "direction",
		mnfq_packet_get_ct_direction_name(self->view), "mark",
		(unsigned long)mnfq_packet_get_ct_mark(self->view), "id",
		(unsigned long)mnfq_packet_get_ct_id(self->view), "status",
		(unsigned long)mnfq_packet_get_ct_status(self->view), "zone",
		mnfq_packet_get_ct_zone(self->view), "labels", labels, (Py_ssize_t)labels_len,
		"original", direction(self, MNFQ_CT_ORIGINAL), "reply",
		direction(self, MNFQ_CT_REPLY), "raw", raw, (Py_ssize_t)len);
}
