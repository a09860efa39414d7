// SPDX-License-Identifier: MIT
/* mnfq.Packet: verdicts, and what is changed with them. */
#include "module.h"

#include <errno.h>

/* May something be set? Returns 0, or -1 with an exception. */
static int check(struct py_packet *self)
{
	if (self->state == PY_HAND || self->state == PY_COPY)
		return py_packet_unviewed(self);
	if (self->state == PY_DECIDED)
		PyErr_SetString(PyExc_RuntimeError, "Verdict already given for this packet");
	else
		py_packet_gone(self);
	return -1;
}

/* Returns 0, or -1 with an exception. */
static int changed(struct py_packet *self, int err)
{
	self->changed = true;
	if (err < 0)
		py_fail_packet(self, err);
	return err < 0 ? -1 : 0;
}

/* The same for an attribute, which cannot be deleted. */
static int check_value(struct py_packet *self, PyObject *value)
{
	if (value)
		return check(self);
	PyErr_SetString(PyExc_AttributeError, "cannot be deleted");
	return -1;
}

static int set_bytes(struct py_packet *self, PyObject *value,
		     int (*set)(struct mnfq_packet *packet, const void *data, size_t len))
{
	PyObject *bytes =
		value ? PyBytes_FromObject(value) : NULL; /* may run code of the program */
	int err = -1;

	if (!PyErr_Occurred() && check_value(self, value) == 0)
		err = changed(self, set(self->view, PyBytes_AsString(bytes),
					(size_t)PyBytes_Size(bytes)));
	Py_XDECREF(bytes);
	return err;
}

int py_packet_set_payload(struct py_packet *self, PyObject *value, void *unused)
{
	(void)unused;
	return set_bytes(self, value, mnfq_packet_set_payload);
}

int py_packet_set_l2hdr(struct py_packet *self, PyObject *value, void *unused)
{
	(void)unused;
	return set_bytes(self, value, mnfq_packet_set_l2hdr);
}

int py_packet_set_vlan(struct py_packet *self, PyObject *value, void *unused)
{
	uint16_t tci, protocol;

	(void)unused;
	if (check_value(self, value) < 0)
		return -1;
	if (!PyTuple_Check(value)) {
		PyErr_SetString(PyExc_TypeError, "(tci, protocol) is required");
		return -1;
	}
	if (!PyArg_ParseTuple(value, "O&O&", py_to_u16, &tci, py_to_u16, &protocol))
		return -1;
	return changed(self, mnfq_packet_set_vlan(self->view, tci, protocol));
}

int py_packet_set_mark(struct py_packet *self, PyObject *value, void *unused)
{
	uint32_t number;

	(void)unused;
	if (check_value(self, value) < 0 || !py_to_u32(value, &number))
		return -1;
	return changed(self, mnfq_packet_set_mark(self->view, number));
}

int py_packet_set_priority(struct py_packet *self, PyObject *value, void *unused)
{
	uint32_t number;

	(void)unused;
	if (check_value(self, value) < 0 || !py_to_u32(value, &number))
		return -1;
	return changed(self, mnfq_packet_set_priority(self->view, number));
}

static PyObject *none(int err)
{
	if (err < 0)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *packet_allow(struct py_packet *self, PyObject *arg)
{
	uint32_t what;

	if (!py_to_u32(arg, &what) || check(self) < 0)
		return NULL;
	return none(changed(self, mnfq_packet_allow(self->view, what)));
}

static PyObject *packet_reset(struct py_packet *self, PyObject *unused)
{
	int err;

	(void)unused;
	if (check(self) < 0)
		return NULL;
	err = changed(self, mnfq_packet_reset(self->view));
	self->changed = err < 0;
	return none(err);
}

static PyObject *packet_edit(struct py_packet *self, PyObject *args)
{
	Py_ssize_t offset, remove, insert;
	const char *data;

	if (!PyArg_ParseTuple(args, "nny#:edit", &offset, &remove, &data, &insert) ||
	    check(self) < 0)
		return NULL;
	if (offset < 0 || remove < 0) {
		PyErr_SetString(PyExc_ValueError, "a negative offset or length");
		return NULL;
	}
	return none(changed(self, mnfq_packet_edit(self->view, (size_t)offset, (size_t)remove,
						   data, (size_t)insert)));
}

static PyObject *packet_repair(struct py_packet *self, PyObject *unused)
{
	(void)unused;
	return check(self) < 0 ? NULL : none(changed(self, mnfq_packet_repair(self->view)));
}

/* True, False, or None: there is no checksum to verify. */
static PyObject *packet_verify(struct py_packet *self, PyObject *unused)
{
	int err;

	(void)unused;
	if (!self->view)
		return py_packet_gone(self);
	err = mnfq_packet_verify(self->view);
	if (err == -ENODATA)
		Py_RETURN_NONE;
	return PyBool_FromLong(err == 0);
}

static PyObject *packet_layers(struct py_packet *self, PyObject *unused)
{
	struct mnfq_layers layers = MNFQ_INIT(layers);
	int err;

	(void)unused;
	if (!self->view)
		return py_packet_gone(self);
	err = mnfq_packet_get_layers(self->view, &layers);
	if (err < 0)
		return py_fail(err, "the headers of the packet cannot be found");
	return Py_BuildValue(
		"{s:i,s:i,s:N,s:N,s:k,s:n,s:n,s:n,s:n}", "family", layers.family, "protocol",
		layers.protocol, "fragment", PyBool_FromLong(layers.fragment), "more_fragments",
		PyBool_FromLong(layers.more_fragments), "fragment_offset",
		(unsigned long)layers.fragment_offset, "network", (Py_ssize_t)layers.network,
		"transport", (Py_ssize_t)layers.transport, "data", (Py_ssize_t)layers.data, "end",
		(Py_ssize_t)layers.end);
}

static PyObject *packet_set_ct_mark(struct py_packet *self, PyObject *args)
{
	uint32_t mark, mask = UINT32_MAX;

	if (!PyArg_ParseTuple(args, "O&|O&:set_ct_mark", py_to_u32, &mark, py_to_u32, &mask) ||
	    check(self) < 0)
		return NULL;
	return none(changed(self, mnfq_packet_set_ct_mark(self->view, mark, mask)));
}

static PyObject *packet_set_ct_labels(struct py_packet *self, PyObject *args)
{
	Py_ssize_t len, mask_len = MNFQ_CT_LABELS_SIZE;
	PyObject *object = Py_None;
	char *mask = NULL;
	const char *labels;

	if (!PyArg_ParseTuple(args, "y#|O:set_ct_labels", &labels, &len, &object) ||
	    (object != Py_None && PyBytes_AsStringAndSize(object, &mask, &mask_len) < 0) ||
	    check(self) < 0)
		return NULL;
	if (len != MNFQ_CT_LABELS_SIZE || mask_len != MNFQ_CT_LABELS_SIZE) {
		PyErr_Format(PyExc_ValueError, "labels have %d bytes", MNFQ_CT_LABELS_SIZE);
		return NULL;
	}
	return none(changed(self, mnfq_packet_set_ct_labels(self->view, (const uint8_t *)labels,
							    (const uint8_t *)mask)));
}

static PyObject *packet_decide(struct py_packet *self, PyObject *arg)
{
	uint32_t verdict;

	if (py_check_verdict(arg, &verdict) < 0)
		return NULL;
	return none(py_packet_decide(self, verdict));
}

static PyObject *packet_retain(struct py_packet *self, PyObject *unused)
{
	(void)unused;
	if (py_packet_retain(self) < 0)
		return NULL;
	Py_INCREF(self);
	return (PyObject *)self;
}

PyMethodDef py_packet_methods[] = {
	{ "decide", (PyCFunction)packet_decide, METH_O,
	  "decide($self, verdict, /)\n--\n\nDecide the packet, here or later, in any thread." },
	{ "retain", (PyCFunction)packet_retain, METH_NOARGS,
	  "retain($self, /)\n--\n\nCopy the packet, so that it can be read after its callback, which returns Verdict.DEFER then. Returns the packet." },
	{ "edit", (PyCFunction)packet_edit, METH_VARARGS,
	  "edit($self, offset, remove, data, /)\n--\n\nReplace bytes of the payload, and repair lengths and checksums." },
	{ "repair", (PyCFunction)packet_repair, METH_NOARGS,
	  "repair($self, /)\n--\n\nSet lengths and checksums of a payload that was set." },
	{ "verify", (PyCFunction)packet_verify, METH_NOARGS,
	  "verify($self, /)\n--\n\nAre the checksums correct? True, False, or None: there is none to verify." },
	{ "layers", (PyCFunction)packet_layers, METH_NOARGS,
	  "layers($self, /)\n--\n\nWhere the headers are, as a dict: offsets in the payload." },
	{ "allow", (PyCFunction)packet_allow, METH_O,
	  "allow($self, what, /)\n--\n\nAllow changes that are refused by default: ALLOW_CUT, ALLOW_TCP_RESIZE." },
	{ "reset", (PyCFunction)packet_reset, METH_NOARGS,
	  "reset($self, /)\n--\n\nDiscard everything that was set." },
	{ "set_ct_mark", (PyCFunction)packet_set_ct_mark, METH_VARARGS,
	  "set_ct_mark($self, mark, mask=0xffffffff, /)\n--\n\nSet the mark of the packet's connection." },
	{ "set_ct_labels", (PyCFunction)packet_set_ct_labels, METH_VARARGS,
	  "set_ct_labels($self, labels, mask=None, /)\n--\n\nSet the labels of the packet's connection." },
	{ NULL, NULL, 0, NULL },
};
