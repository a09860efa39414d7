// SPDX-License-Identifier: MIT
/* mnfq.Packet: what there is to read. */
#include "module.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>

struct field {
	uint16_t offset, size; /* in struct mnfq_packet_info */
	uint32_t flag;         /* None without it; 0: always there */
};

/* Why nothing can be read or set. Returns NULL. */
PyObject *py_packet_gone(const struct py_packet *self)
{
	PyErr_SetString(PyExc_ValueError, self->state == PY_NONE
						  ? "not a packet of a queue"
						  : "the packet is gone: retain() keeps it");
	return NULL;
}

static PyObject *get_field(struct py_packet *self, void *closure)
{
	const struct field *field = closure;
	struct mnfq_packet_info info;
	const uint8_t *at = (const uint8_t *)&info + field->offset;

	if (!py_packet_info(self, &info))
		return py_packet_gone(self);
	if (field->flag && !(info.flags & field->flag))
		Py_RETURN_NONE;
	switch (field->size) {
	case 1:
		return PyLong_FromLong(*at);
	case 2:
		return PyLong_FromLong(*(const uint16_t *)(const void *)at);
	case 4:
		return PyLong_FromUnsignedLong(*(const uint32_t *)(const void *)at);
	default:
		return PyLong_FromUnsignedLongLong(*(const uint64_t *)(const void *)at);
	}
}

#define FIELD(member, flag)                                                                      \
	&(struct field)                                                                          \
	{                                                                                        \
		offsetof(struct mnfq_packet_info, member),                                       \
			sizeof(((struct mnfq_packet_info *)NULL)->member), flag                  \
	}

static PyObject *get_id(struct py_packet *self, void *unused)
{
	(void)unused;
	return self->state == PY_NONE ? py_packet_gone(self) : PyLong_FromUnsignedLong(self->id);
}

static PyObject *get_queue(struct py_packet *self, void *unused)
{
	(void)unused;
	if (!self->queue)
		return py_packet_gone(self);
	Py_INCREF(self->queue);
	return (PyObject *)self->queue;
}

static PyObject *get_decided(struct py_packet *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(self->state == PY_DECIDED || self->state == PY_UNBOUND);
}

static PyObject *from_bytes(const void *data, size_t len)
{
	if (!data)
		Py_RETURN_NONE;
	return PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
}

/* ---- what is made of the metadata ---- */

static PyObject *get_timestamp(const struct mnfq_packet_info *info)
{
	if (info->timestamp == 0)
		Py_RETURN_NONE;
	return PyFloat_FromDouble((double)info->timestamp / 1e6);
}

static PyObject *get_hwaddr(const struct mnfq_packet_info *info)
{
	return from_bytes(info->hwaddr_len > 0 ? info->hwaddr : NULL, info->hwaddr_len);
}

static PyObject *get_truncated(const struct mnfq_packet_info *info)
{
	return PyBool_FromLong(!(info->flags & MNFQ_INFO_WHOLE));
}

static PyObject *get_vlan(const struct mnfq_packet_info *info)
{
	if (!(info->flags & MNFQ_INFO_VLAN))
		Py_RETURN_NONE;
	return Py_BuildValue("(ii)", info->vlan_tci, info->vlan_protocol);
}

/* ---- what only the view has ---- */

static PyObject *get_l2hdr(const struct mnfq_packet *view)
{
	size_t len;
	const uint8_t *data = mnfq_packet_get_l2hdr(view, &len);

	return from_bytes(data, len);
}

static PyObject *get_secctx(const struct mnfq_packet *view)
{
	size_t len;
	const char *data = mnfq_packet_get_secctx(view, &len);

	return from_bytes(data, len);
}

static PyObject *get_hook_name(const struct mnfq_packet *view)
{
	return PyUnicode_FromString(mnfq_packet_get_hook_name(view));
}

static PyObject *get_mtu(const struct mnfq_packet *view)
{
	uint32_t mtu;

	if (mnfq_packet_get_mtu(view, &mtu) < 0)
		Py_RETURN_NONE;
	return PyLong_FromUnsignedLong(mtu);
}

struct reader {
	PyObject *(*of_info)(const struct mnfq_packet_info *info);
	PyObject *(*of_view)(const struct mnfq_packet *view); /* or this */
};

static PyObject *read_with(struct py_packet *self, void *closure)
{
	const struct reader *reader = closure;
	struct mnfq_packet_info info;

	if (reader->of_view)
		return self->view ? reader->of_view(self->view) : py_packet_gone(self);
	return py_packet_info(self, &info) ? reader->of_info(&info) : py_packet_gone(self);
}

#define INFO(function)                                                                           \
	&(struct reader)                                                                         \
	{                                                                                        \
		.of_info = (function)                                                            \
	}
#define VIEW(function)                                                                           \
	&(struct reader)                                                                         \
	{                                                                                        \
		.of_view = (function)                                                            \
	}

/* The name of an interface, of which @closure is the field. */
static PyObject *get_name(struct py_packet *self, void *closure)
{
	const struct field *field = closure;
	struct mnfq_packet_info info;
	uint32_t index;
	char name[16];

	if (!self->view || !py_packet_info(self, &info))
		return py_packet_gone(self);
	index = *(const uint32_t *)(const void *)((const uint8_t *)&info + field->offset);
	if (index == 0 || mnfq_packet_get_ifname(self->view, index, name) < 0)
		Py_RETURN_NONE;
	return PyUnicode_DecodeFSDefault(name);
}

static PyGetSetDef getset[] = {
	{ "id", (getter)get_id, NULL, "The kernel's packet id, from 1 in each queue.", NULL },
	{ "queue", (getter)get_queue, NULL, "The Queue that it came from.", NULL },
	{ "queue_num", (getter)get_field, NULL, "The number of its queue.", FIELD(queue_num, 0) },
	{ "family", (getter)get_field, NULL, "NFPROTO_*: 2 IPv4, 10 IPv6, 7 bridge.",
	  FIELD(family, 0) },
	{ "hook", (getter)get_field, NULL, "The hook, as a number.", FIELD(hook, 0) },
	{ "hook_name", (getter)read_with, NULL, "prerouting, input, forward, output, …",
	  VIEW(get_hook_name) },
	{ "hw_protocol", (getter)get_field, NULL, "The EtherType that the kernel reports, or 0.",
	  FIELD(hw_protocol, 0) },
	{ "ethertype", (getter)get_field, NULL, "The protocol of the payload, as an EtherType.",
	  FIELD(ethertype, 0) },
	{ "mark", (getter)get_field, (setter)py_packet_set_mark,
	  "The packet's mark. Setting it does not change what is read.", FIELD(mark, 0) },
	{ "priority", (getter)get_field, (setter)py_packet_set_priority, "skb->priority.",
	  FIELD(priority, 0) },
	{ "indev", (getter)get_field, NULL, "Index of the input interface, or 0.",
	  FIELD(indev, 0) },
	{ "outdev", (getter)get_field, NULL, "Index of the output interface, or 0.",
	  FIELD(outdev, 0) },
	{ "physindev", (getter)get_field, NULL, "Index of the input bridge port, or 0.",
	  FIELD(physindev, 0) },
	{ "physoutdev", (getter)get_field, NULL, "Index of the output bridge port, or 0.",
	  FIELD(physoutdev, 0) },
	{ "indev_name", (getter)get_name, NULL, "Name of the input interface, or None.",
	  FIELD(indev, 0) },
	{ "outdev_name", (getter)get_name, NULL, "Name of the output interface, or None.",
	  FIELD(outdev, 0) },
	{ "physindev_name", (getter)get_name, NULL, "Name of the input bridge port, or None.",
	  FIELD(physindev, 0) },
	{ "physoutdev_name", (getter)get_name, NULL, "Name of the output bridge port, or None.",
	  FIELD(physoutdev, 0) },
	{ "mtu", (getter)read_with, NULL, "MTU of the output interface in bytes, or None.",
	  VIEW(get_mtu) },
	{ "hwaddr", (getter)read_with, NULL, "The sender's link-layer address, or None.",
	  INFO(get_hwaddr) },
	{ "timestamp", (getter)read_with, NULL,
	  "When the packet was received, in seconds since 1970; None: not stamped.",
	  INFO(get_timestamp) },
	{ "skb_info", (getter)get_field, NULL, "SKB_*: the state of the checksum, and GSO.",
	  FIELD(skb_info, 0) },
	{ "uid", (getter)get_field, NULL, "User id of the local sender, or None.",
	  FIELD(uid, MNFQ_INFO_UID) },
	{ "gid", (getter)get_field, NULL, "Group id of the local sender, or None.",
	  FIELD(gid, MNFQ_INFO_GID) },
	{ "secctx", (getter)read_with, NULL, "The security context as bytes, or None.",
	  VIEW(get_secctx) },
	{ "cgroup_classid", (getter)get_field, NULL,
	  "Class id of the sender's control group, or 0.", FIELD(cgroup_classid, 0) },
	{ "vlan", (getter)read_with, (setter)py_packet_set_vlan,
	  "(tci, protocol) of a bridge's packet, or None.", INFO(get_vlan) },
	{ "l2hdr", (getter)read_with, (setter)py_packet_set_l2hdr,
	  "The link-layer header of a bridge's packet as bytes, or None.", VIEW(get_l2hdr) },
	{ "length", (getter)get_field, NULL, "The original length in bytes; None: unknown.",
	  FIELD(length, MNFQ_INFO_LENGTH) },
	{ "truncated", (getter)read_with, NULL, "Was a part of the packet not received?",
	  INFO(get_truncated) },
	{ "decided", (getter)get_decided, NULL, "Does it have its verdict?", NULL },
	{ "payload", (getter)py_payload_get, (setter)py_packet_set_payload,
	  "The packet from its network header on: a read-only memoryview without a copy, which is released when the "
	  "callback returns. Set it to replace the payload as it is.",
	  NULL },
	{ "ct", (getter)read_with, NULL,
	  "What the kernel tracks of its connection, as a dict; or None.",
	  VIEW(py_packet_get_ct) },
	{ "tuple", (getter)read_with, NULL,
	  "Addresses and ports in the packet, as a dict; None: not IP, or malformed.",
	  VIEW(py_packet_get_tuple) },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_doc,
	  (void *)(uintptr_t) "A packet. What it has can be read until its callback returns, or as long as the "
			      "object if it was retained; ValueError then." },
	{ Py_tp_new, (void *)py_packet_new },
	{ Py_tp_methods, py_packet_methods },
	{ Py_tp_getset, getset },
	{ Py_tp_traverse, (void *)py_packet_traverse },
	{ Py_tp_dealloc, (void *)py_packet_dealloc },
	{ 0, NULL },
};

PyType_Spec py_packet_spec = { "_mnfq.Packet", sizeof(struct py_packet), 0,
			       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
			       slots };
