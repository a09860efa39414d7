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

static void free_ring(PyObject *capsule)
{
	mnfq_ring_free(PyCapsule_GetPointer(capsule, NULL));
}

/* Returns whether no view is left. */
static bool release(PyObject *view)
{
	PyObject *none = PyObject_CallMethod(view, "release", NULL);

	if (!none)
		PyErr_Clear();
	Py_XDECREF(none);
	return none;
}

/* The packet is in hand no more: ends the view of it. Returns 0, or -1 with an exception. */
int py_packet_unviewed(struct py_packet *self)
{
	PyObject *pair;
	int err = 0;

	if (!self->memory)
		return 0;
	(void)release(self->memory);
	Py_CLEAR(self->memory);
	if (self->basis && !release(self->basis)) {
		if (!kept)
			kept = PyList_New(0);
		pair = PyTuple_Pack(2, self->basis, self->queue->socket->ring);
		err = kept && pair ? PyList_Append(kept, pair) : -1;
		if (err < 0)
			Py_INCREF(
				self->queue->socket
					->ring); /* for good: the views are not known to be gone */
		Py_XDECREF(pair);
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

static PyObject *view_ring(struct py_packet *self, const uint8_t *data, size_t len)
{
	static PyObject *pickle_buffer;
	PyObject *pickle, *buffer = NULL;

	if (!pickle_buffer) {
		pickle = PyImport_ImportModule("pickle");
		pickle_buffer = pickle ? PyObject_GetAttrString(pickle, "PickleBuffer") : NULL;
		Py_XDECREF(pickle);
	}
	self->basis = pickle_buffer ? PyMemoryView_FromMemory((char *)(uintptr_t)data,
							      (Py_ssize_t)len, PyBUF_READ)
				    : NULL;
	if (self->basis)
		buffer = PyObject_CallFunctionObjArgs(pickle_buffer, self->basis, NULL);
	if (buffer)
		self->memory = PyMemoryView_FromObject(buffer);
	Py_XDECREF(buffer);
	if (!self->memory)
		Py_CLEAR(self->basis);
	return self->memory;
}

/* Packet.payload */
PyObject *py_payload_get(struct py_packet *self, void *unused)
{
	const uint8_t *data;
	PyObject *bytes;
	size_t len;

	(void)unused;
	if (!self->view || self->over > self->copied) {
		PyErr_SetString(PyExc_ValueError,
				"the payload is gone: retain() the packet to keep it");
		return NULL;
	}
	if (!self->memory) {
		data = mnfq_packet_get_payload(self->view, &len);
		if (is_in_ring(self)) {
			(void)view_ring(self, data, len);
		} else {
			bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
			self->memory = bytes ? PyMemoryView_FromObject(bytes) : NULL;
			Py_XDECREF(bytes);
		}
	}
	Py_XINCREF(self->memory);
	return self->memory;
}
