// SPDX-License-Identifier: MIT
/*
 * netfilterqueue.Packet. A mark and a payload that are set stay here until the verdict, with which they are sent;
 * so they can be set at any time before.
 */
#include "module.h"

#include <string.h>

PyObject *py_protocols;

/* ---- verdicts ---- */

/* Sets on the library's packet what was set here. Returns 0, or -1 with an exception. */
static int apply(struct py_packet *self)
{
	int err = 0;

	if (self->has_mark)
		err = mnfq_packet_set_mark(self->view, self->mark);
	if (err == 0 && self->changed) {
		(void)mnfq_packet_allow(self->view, MNFQ_ALLOW_CUT | MNFQ_ALLOW_TCP_RESIZE);
		err = mnfq_packet_set_payload(self->view, PyBytes_AsString(self->payload),
					      (size_t)PyBytes_Size(self->payload));
	}
	if (err == 0)
		return 0;
	py_fail_packet(self, err);
	return -1;
}

static PyObject *decide(struct py_packet *self, uint32_t verdict)
{
	if ((self->has_mark || self->changed) &&
	    (self->state == PY_HAND || self->state == PY_COPY) && self->queue->queue &&
	    apply(self) < 0)
		return NULL;
	if (py_packet_decide(self, verdict) < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *accept_packet(struct py_packet *self, PyObject *unused)
{
	(void)unused;
	return decide(self, MNFQ_ACCEPT);
}

static PyObject *drop(struct py_packet *self, PyObject *unused)
{
	(void)unused;
	return decide(self, MNFQ_DROP);
}

static PyObject *repeat(struct py_packet *self, PyObject *unused)
{
	(void)unused;
	return decide(self, MNFQ_REPEAT);
}

/* ---- payload ---- */

/* With COPY_META there is none. */
static bool has_payload(const struct mnfq_packet_info *info)
{
	return info->flags & MNFQ_INFO_LENGTH;
}

static PyObject *get_payload(struct py_packet *self, PyObject *unused)
{
	struct mnfq_packet_info info;
	const uint8_t *data;
	size_t len;

	(void)unused;
	if (self->payload) {
		Py_INCREF(self->payload);
		return self->payload;
	}
	if (self->view && (!self->over || self->kept)) {
		data = mnfq_packet_get_payload(self->view, &len);
		if (len > 0)
			return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
	}
	if (!py_packet_info(self, &info) || !has_payload(&info))
		PyErr_SetString(PyExc_RuntimeError,
				"Packet has no payload: the mode of its queue is not "
				"COPY_PACKET");
	else
		PyErr_SetString(PyExc_RuntimeError,
				"Payload data is no longer available: call retain() in the "
				"callback to keep it");
	return NULL;
}

static PyObject *retain(struct py_packet *self, PyObject *unused)
{
	PyObject *payload;

	(void)unused;
	if (self->kept)
		Py_RETURN_NONE;
	payload = get_payload(self, NULL);
	if (!payload)
		return NULL;
	self->kept = true;
	if (self->state == PY_HAND) {
		Py_DECREF(payload);
		if (py_packet_retain(self) < 0)
			return NULL;
		Py_RETURN_NONE;
	}
	Py_XDECREF(self->payload);
	self->payload = payload;
	Py_RETURN_NONE;
}

/* Nothing, and no bytes at all, leave the payload as it is. */
static PyObject *set_payload(struct py_packet *self, PyObject *arg)
{
	if (arg != Py_None && !PyBytes_Check(arg)) {
		PyErr_Format(PyExc_TypeError, "payload must be bytes, not %R", Py_TYPE(arg));
		return NULL;
	}
	if (arg != Py_None && PyBytes_Size(arg) > MNFQ_COPY_RANGE_MAX) {
		PyErr_Format(PyExc_ValueError, "a payload has at most %d bytes",
			     (int)MNFQ_COPY_RANGE_MAX);
		return NULL;
	}
	self->changed = arg != Py_None && PyBytes_Size(arg) > 0;
	Py_CLEAR(self->payload);
	if (self->changed) {
		Py_INCREF(arg);
		self->payload = arg;
	}
	Py_RETURN_NONE;
}

static PyObject *get_payload_len(struct py_packet *self, PyObject *unused)
{
	struct mnfq_packet_info info;
	size_t len = 0;

	(void)unused;
	if (self->view)
		(void)mnfq_packet_get_payload(self->view, &len);
	else if (py_packet_info(self, &info))
		len = info.payload_len;
	return PyLong_FromSize_t(len);
}

/* The number of the transport protocol; -1: cut off. */
static int find_protocol(const uint8_t *data, Py_ssize_t len)
{
	if (len > 6 && data[0] >> 4 == 6)
		return data[6];
	return len > 9 ? data[9] : -1;
}

static PyObject *str(struct py_packet *self)
{
	PyObject *len = get_payload_len(self, NULL), *payload, *number, *name = NULL,
		 *text = NULL;

	if (!len)
		return NULL;
	payload = get_payload(self, NULL);
	if (!payload) {
		PyErr_Clear();
		text = PyUnicode_FromFormat("%S byte packet, contents unretained", len);
		Py_DECREF(len);
		return text;
	}
	number = PyLong_FromLong(
		find_protocol((const uint8_t *)PyBytes_AsString(payload), PyBytes_Size(payload)));
	if (number && py_protocols)
		name = PyDict_GetItem(py_protocols, number);
	if (number)
		text = name ? PyUnicode_FromFormat("%U packet, %S bytes", name, len)
			    : PyUnicode_FromFormat("Unknown protocol packet, %S bytes", len);
	Py_XDECREF(number);
	Py_DECREF(payload);
	Py_DECREF(len);
	return text;
}

/* ---- metadata ---- */

static PyObject *set_mark(struct py_packet *self, PyObject *arg)
{
	if (!py_to_u32(arg, &self->mark))
		return NULL;
	self->has_mark = true;
	Py_RETURN_NONE;
}

/* What is read of an object that is not of a queue: zeros. */
static struct mnfq_packet_info read_info(const struct py_packet *self)
{
	struct mnfq_packet_info info;

	if (!py_packet_info(self, &info))
		memset(&info, 0, sizeof(info));
	return info;
}

static PyObject *get_mark(struct py_packet *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(self->has_mark ? self->mark : read_info(self).mark);
}

static PyObject *get_hw(struct py_packet *self, PyObject *unused)
{
	const struct mnfq_packet_info info = read_info(self);

	(void)unused;
	if (info.hwaddr_len == 0)
		Py_RETURN_NONE;
	return PyBytes_FromStringAndSize((const char *)info.hwaddr, info.hwaddr_len);
}

static PyObject *get_timestamp(struct py_packet *self, PyObject *unused)
{
	const int64_t us =
		self->view ? mnfq_packet_get_timestamp(self->view) : read_info(self).timestamp;

	(void)unused;
	return PyFloat_FromDouble((double)(us / 1000000) + (double)(us % 1000000) / 1e6);
}

#define NUMBER(name)                                                                             \
	static PyObject *read_##name(struct py_packet *self, void *unused)                       \
	{                                                                                        \
		(void)unused;                                                                    \
		return PyLong_FromUnsignedLong(self->view ? mnfq_packet_get_##name(self->view)   \
							  : read_info(self).name);               \
	}

NUMBER(hw_protocol)
NUMBER(hook)
NUMBER(mark)
NUMBER(indev)
NUMBER(outdev)
NUMBER(physindev)
NUMBER(physoutdev)

static PyObject *read_id(struct py_packet *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(self->id);
}

static PyGetSetDef getset[] = {
	{ "id", (getter)read_id, NULL, "The kernel's packet id, from 1 in each queue.", NULL },
	{ "hw_protocol", (getter)read_hw_protocol, NULL, "The EtherType that the kernel reports.",
	  NULL },
	{ "hook", (getter)read_hook, NULL, "The hook: 0 PREROUTING to 4 POSTROUTING.", NULL },
	{ "mark", (getter)read_mark, NULL, "The mark that it arrived with.", NULL },
	{ "indev", (getter)read_indev, NULL, "Index of the input interface, or 0.", NULL },
	{ "outdev", (getter)read_outdev, NULL, "Index of the output interface, or 0.", NULL },
	{ "physindev", (getter)read_physindev, NULL, "Index of the input bridge port, or 0.",
	  NULL },
	{ "physoutdev", (getter)read_physoutdev, NULL, "Index of the output bridge port, or 0.",
	  NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static PyMethodDef methods[] = {
	{ "accept", (PyCFunction)accept_packet, METH_NOARGS,
	  "accept($self, /)\n--\n\nLet the packet go on." },
	{ "drop", (PyCFunction)drop, METH_NOARGS, "drop($self, /)\n--\n\nFree the packet." },
	{ "repeat", (PyCFunction)repeat, METH_NOARGS,
	  "repeat($self, /)\n--\n\nHave the packet traverse its hook again: set a mark, or it loops." },
	{ "get_payload", (PyCFunction)get_payload, METH_NOARGS,
	  "get_payload($self, /)\n--\n\nThe packet from its network header on, as bytes; what set_payload() set, if it did." },
	{ "set_payload", (PyCFunction)set_payload, METH_O,
	  "set_payload($self, payload, /)\n--\n\nReplace the payload, with the verdict. Lengths and checksums must be right." },
	{ "get_payload_len", (PyCFunction)get_payload_len, METH_NOARGS,
	  "get_payload_len($self, /)\n--\n\nLength in bytes of the payload that was received." },
	{ "set_mark", (PyCFunction)set_mark, METH_O,
	  "set_mark($self, mark, /)\n--\n\nSet the packet's mark, with the verdict." },
	{ "get_mark", (PyCFunction)get_mark, METH_NOARGS,
	  "get_mark($self, /)\n--\n\nThe mark that was set, or else that it has." },
	{ "get_hw", (PyCFunction)get_hw, METH_NOARGS,
	  "get_hw($self, /)\n--\n\nThe sender's link-layer address as bytes, six for Ethernet; or None." },
	{ "get_timestamp", (PyCFunction)get_timestamp, METH_NOARGS,
	  "get_timestamp($self, /)\n--\n\nWhen the packet was received, in seconds since 1970; 0.0 if it was not stamped." },
	{ "retain", (PyCFunction)retain, METH_NOARGS,
	  "retain($self, /)\n--\n\nKeep the payload beyond the callback." },
	{ NULL, NULL, 0, NULL },
};

static PyType_Slot slots[] = {
	{ Py_tp_doc,
	  (void *)(uintptr_t) "A packet, as the callback of a NetfilterQueue gets it." },
	{ Py_tp_new, (void *)py_packet_new },
	{ Py_tp_str, (void *)str },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, getset },
	{ Py_tp_traverse, (void *)py_packet_traverse },
	{ Py_tp_dealloc, (void *)py_packet_dealloc },
	{ 0, NULL },
};

PyType_Spec py_nfq_packet_spec = { "netfilterqueue.Packet", sizeof(struct py_packet), 0,
				   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
				   slots };
