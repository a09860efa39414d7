// SPDX-License-Identifier: MIT
/*
 * The payload of a packet in hand as a memoryview of the ring. It is released when the packet is not in hand
 * any more. But there may be slices of it, or arrays made from it, of which only their basis knows: those keep the
 * ring's memory, and the socket gets another ring.
 *
 *   ring <- basis <- PickleBuffer <- memoryview (and its slices)
 *
 * A PickleBuffer is an object of the standard library whose views are exports of what it was made from, so that
 * release() of the basis refuses while there are any.
 */
#include "module.h"

#ifndef PyBUF_READ /* older limited APIs have the function that takes it, but not its name */
#define PyBUF_READ 0x100
#endif

static PyObject *kept; /* a list of (basis, ring) */
static PyObject *pickle_buffer;

static void free_ring(PyObject *capsule)
{
	mnfq_ring_free(PyCapsule_GetPointer(capsule, NULL));
}

/* Returns whether no view is left. An exception that is on its way stays. */
static bool release(PyObject *view)
{
	PyObject *none, *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	none = PyObject_CallMethod(view, "release", NULL);
	PyErr_Restore(type, value, traceback); /* and not that of release() */
	Py_XDECREF(none);
	return none;
}

/*
 * The packet is in hand no more: ends the view of it. No object is made here, for which garbage could be collected:
 * finalizers may do anything. Returns 0, or -1 with an exception.
 */
int py_packet_unviewed(struct py_packet *self)
{
	int err = 0;

	if (!self->memory)
		return 0;
	(void)release(self->memory);
	Py_CLEAR(self->memory);
	if (self->basis && !release(PyTuple_GetItem(self->basis, 0))) {
		err = PyList_Append(kept, self->basis);
		if (err < 0)
			Py_INCREF(self->basis); /* for good: views are not known to be gone */
		self->queue->socket->viewed = true;
	}
	Py_CLEAR(self->basis);
	return err;
}

/* Forgets views that are gone, and so their rings. Returns 0, or -1 with an exception. */
static int sort_kept(void)
{
	PyObject *left = PyList_New(0), *pair;
	Py_ssize_t i, n = kept ? PyList_Size(kept) : 0;
	int err = left ? 0 : -1;

	for (i = 0; i < n && err == 0; i++) {
		pair = PyList_GetItem(kept, i);
		if (!release(PyTuple_GetItem(pair, 0)))
			err = PyList_Append(left, pair);
	}
	if (err < 0) {
		Py_XDECREF(left);
		return -1;
	}
	Py_XDECREF(kept);
	kept = left;
	return 0;
}

PyObject *py_payload_new_ring(struct mnfq_ring **ring)
{
	PyObject *capsule;
	int err = mnfq_ring_new(ring, BATCH);

	if (err < 0)
		return py_fail(err, "no memory for a ring");
	capsule = PyCapsule_New(*ring, NULL, free_ring);
	if (!capsule)
		mnfq_ring_free(*ring);
	return capsule;
}

/* The memory of the socket's ring is left to who looks at it. Returns 0, or -1 with an exception. */
int py_payload_leave_ring(struct py_socket *self)
{
	struct mnfq_ring *ring;
	PyObject *capsule = py_payload_new_ring(&ring);
	int err;

	if (!capsule)
		return -1;
	err = mnfq_socket_set_ring(self->sock, ring);
	if (err < 0) {
		Py_DECREF(capsule);
		py_fail_socket(self, err);
		return -1;
	}
	Py_DECREF(self->ring);
	self->ring = capsule;
	self->viewed = false;
	return sort_kept();
}

/* Is it in the ring, and will it stay there while the packet is in hand? */
static bool is_in_ring(const struct py_packet *self)
{
	return self->view && !self->copied && !self->changed && !self->over &&
	       self->queue->socket->ring && !self->queue->socket->backlog;
}

/* What views are made of, which takes imports. Returns 0, or -1 with an exception. */
static int prepare(void)
{
	PyObject *pickle = NULL;

	if (!kept)
		kept = PyList_New(0);
	if (kept && !pickle_buffer) {
		pickle = PyImport_ImportModule("pickle");
		pickle_buffer = pickle ? PyObject_GetAttrString(pickle, "PickleBuffer") : NULL;
		Py_XDECREF(pickle);
	}
	return pickle_buffer ? 0 : -1;
}

/* Returns a view of the ring's memory, and in @basis what it stands on; or NULL. */
static PyObject *view_ring(const struct py_packet *self, PyObject **basis)
{
	PyObject *ring = self->queue->socket->ring, *base, *buffer = NULL, *memory = NULL;
	size_t len;
	const uint8_t *data = mnfq_packet_get_payload(self->view, &len);

	Py_INCREF(ring);
	base = PyMemoryView_FromMemory((char *)(uintptr_t)data, (Py_ssize_t)len, PyBUF_READ);
	*basis = base ? PyTuple_Pack(2, base, ring) : NULL;
	if (*basis)
		buffer = PyObject_CallFunctionObjArgs(pickle_buffer, base, NULL);
	if (buffer)
		memory = PyMemoryView_FromObject(buffer);
	Py_XDECREF(buffer);
	Py_XDECREF(base);
	Py_DECREF(ring);
	if (!memory)
		Py_CLEAR(*basis);
	return memory;
}

static PyObject *view_copy(const struct py_packet *self)
{
	size_t len;
	const uint8_t *data = mnfq_packet_get_payload(self->view, &len);
	PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
	PyObject *memory = bytes ? PyMemoryView_FromObject(bytes) : NULL;

	Py_XDECREF(bytes);
	return memory;
}

static bool has_payload(const struct py_packet *self)
{
	return self->view && self->over <= self->copied;
}

/* Packet.payload. While objects are made, a finalizer may end the time in which the packet is in hand. */
PyObject *py_payload_get(struct py_packet *self, void *unused)
{
	const struct mnfq_packet *view;
	PyObject *memory, *basis = NULL;

	(void)unused;
	if (!self->memory && prepare() < 0)
		return NULL;
	if (!self->memory && has_payload(self)) {
		view = self->view;
		memory = is_in_ring(self) ? view_ring(self, &basis) : view_copy(self);
		if (!memory)
			return NULL;
		if (self->view == view && !self->memory) {
			self->memory = memory;
			self->basis = basis;
		} else {
			Py_DECREF(memory);
			Py_XDECREF(basis);
		}
	}
	if (has_payload(self) && self->memory) {
		Py_INCREF(self->memory);
		return self->memory;
	}
	PyErr_SetString(PyExc_ValueError, "the payload is gone: retain() the packet to keep it");
	return NULL;
}
