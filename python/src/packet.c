// SPDX-License-Identifier: MIT
/*
 * The life of a packet object. It shows the library's view as long as that is there. Of an object that somebody
 * keeps an undecided packet becomes a copy, and of a decided one the metadata are kept. All others are
 * used again, so that most packets need no new object.
 */
#include "module.h"

#include <errno.h>
#include <stdlib.h>

static struct py_packet *make(PyTypeObject *type)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);

	return (struct py_packet *)alloc(type, 0);
}

/* Packets come from a queue; one that Python code makes has no queue. */
PyObject *py_packet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	(void)args;
	(void)kwargs;
	return (PyObject *)make(type);
}

/*
 * Sees to it that there is an object for the next packet. This is not left to py_packet_take(): where an object is
 * made, garbage may be collected, and a finalizer may end the batch. Returns 0, or -1 with an exception.
 */
int py_packet_prepare(struct py_socket *socket)
{
	struct py_packet *packet;

	if (socket->spares > 0 || !socket->queues)
		return 0;
	packet = make(socket->queues->type); /* that of all queues of a socket */
	if (!packet)
		return -1;
	socket->spare[socket->spares++] = packet;
	return 0;
}

/* The object of a packet that has arrived. */
struct py_packet *py_packet_take(struct py_queue *queue, struct mnfq_packet *view)
{
	struct py_socket *socket = queue->socket;
	struct py_packet *self = socket->spare[--socket->spares];

	Py_INCREF(queue);
	self->queue = queue;
	self->view = view;
	self->id = mnfq_packet_get_id(view);
	self->state = PY_HAND;
	return self;
}

/* Takes everything away that belongs to its packet. */
static void let_go(struct py_packet *self)
{
	struct py_queue *queue = self->queue;

	if (self->copied)
		mnfq_packet_free(self->view);
	self->view = NULL;
	self->copied = self->over = self->kept = self->has_mark = self->changed = false;
	self->state = PY_NONE;
	free(self->info);
	self->info = NULL;
	Py_CLEAR(self->payload);
	self->queue = NULL;
	Py_XDECREF(queue);
}

/* The view is about to end: keeps the metadata of a packet for its getters. */
static void keep_info(struct py_packet *self)
{
	struct mnfq_packet_info info = MNFQ_INIT(info);

	if (!self->info && mnfq_packet_get_info(self->view, &info) == 0) {
		self->info = malloc(sizeof(*self->info));
		if (self->info)
			*self->info = info;
	}
}

/* Returns 0, or -1 if the packet is in neither state. */
static int keep_copy(struct py_packet *self)
{
	struct mnfq_packet *copy;

	if (mnfq_packet_retain(&copy, self->view) < 0)
		return -1;
	(void)mnfq_packet_decide(self->view, MNFQ_DEFER);
	self->view = copy;
	self->copied = true;
	self->state = PY_COPY;
	return 0;
}

/* Somebody keeps the object beyond the time in which its packet is in hand. */
void py_packet_settle(struct py_packet *self)
{
	(void)py_packet_unviewed(self);
	self->over = true;
	if (!self->view || self->copied)
		return;
	if (self->state == PY_HAND && keep_copy(self) == 0)
		return;
	keep_info(self);
	self->view = NULL;
	if (self->state == PY_HAND) /* no memory: the library gives it the default verdict */
		self->state = PY_DECIDED;
}

/* There is no verdict for it: it gets the queue's default one, in hand from the library, at the end of its batch. */
void py_packet_abandon(struct py_packet *self)
{
	if (self->state == PY_COPY)
		(void)mnfq_packet_decide(self->view, self->queue->default_verdict);
	if (self->state == PY_HAND || self->state == PY_COPY)
		self->state = PY_DECIDED;
	py_packet_settle(self);
}

static int warn_undecided(const struct py_packet *self)
{
	return PyErr_WarnFormat(
		PyExc_ResourceWarning, 1,
		"packet %lu of queue %u was not decided: it gets the queue's default "
		"verdict",
		(unsigned long)self->id, self->queue->num);
}

static bool is_undecided(const struct py_packet *self)
{
	return self->state == PY_HAND || self->state == PY_COPY || self->state == PY_ID;
}

/*
 * Ends the time in which a packet is in hand, and lets go of it. Returns 0, or -1 with an exception, which a
 * warning has become.
 */
int py_packet_done(struct py_socket *socket, struct py_packet *self)
{
	int err = 0;

	if (!py_is_alone(self) || (self->memory && py_packet_unviewed(self) < 0) ||
	    self->state == PY_COPY) {
		if (py_is_alone(self) && self->state == PY_COPY)
			err = warn_undecided(self);
		py_packet_settle(self);
		Py_DECREF(self);
		return err;
	}
	if (self->state == PY_HAND)
		err = warn_undecided(self);
	let_go(self);
	if (socket->sock && socket->spares < BATCH)
		socket->spare[socket->spares++] = self;
	else
		Py_DECREF(self);
	return err;
}

/* Becomes a copy, which lives as long as the object. Returns 0, or -1 with an exception. */
int py_packet_retain(struct py_packet *self)
{
	if (self->state == PY_HAND) {
		if (py_packet_unviewed(self) < 0 || keep_copy(self) == 0)
			return 0;
		PyErr_NoMemory();
		return -1;
	}
	if (self->state == PY_COPY)
		return 0;
	PyErr_SetString(PyExc_RuntimeError, self->state == PY_NONE ? "not a packet of a queue"
					    : self->state == PY_UNBOUND
						    ? "Parent queue has already been unbound"
						    : "the packet is gone, or decided");
	return -1;
}

static int decide(struct py_packet *self, uint32_t verdict)
{
	if (self->state == PY_ID && !self->queue->queue)
		return -ENODEV;
	if (self->state == PY_ID)
		return mnfq_queue_decide(self->queue->queue, &self->id, 1, verdict) == 0
			       ? -EALREADY
			       : 0;
	return mnfq_packet_decide(self->view, verdict);
}

/* Gives the verdict. Returns 0, or -1 with an exception. */
int py_packet_decide(struct py_packet *self, uint32_t verdict)
{
	int err = 0;

	if (is_undecided(self)) {
		err = decide(self, verdict);
		if (err == 0) {
			self->state = verdict == MNFQ_DEFER ? PY_ID : PY_DECIDED;
			return 0;
		}
		if (err == -ENODEV)
			self->state = PY_UNBOUND;
		else if (err == -EALREADY)
			self->state = PY_DECIDED;
	}
	if (self->state == PY_DECIDED)
		PyErr_SetString(PyExc_RuntimeError, "Verdict already given for this packet");
	else if (self->state == PY_UNBOUND)
		PyErr_SetString(PyExc_RuntimeError, "Parent queue has already been unbound");
	else if (self->state == PY_NONE)
		PyErr_SetString(PyExc_RuntimeError, "not a packet of a queue");
	else if (err == -EINVAL)
		PyErr_SetString(PyExc_ValueError,
				"not a verdict for this packet: one that was changed is "
				"deferred by retain()");
	else
		py_fail(err, "the verdict could not be sent");
	return -1;
}

/* The metadata, of the view or as they were. */
bool py_packet_info(const struct py_packet *self, struct mnfq_packet_info *info)
{
	info->size = sizeof(*info);
	if (self->view)
		return mnfq_packet_get_info(self->view, info) == 0;
	if (!self->info)
		return false;
	*info = *self->info;
	return true;
}

/* A packet that nobody can decide any more. The warning may have become an exception: nobody would see it. */
static void warn_lost(struct py_packet *self)
{
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	if (warn_undecided(self) < 0)
		PyErr_WriteUnraisable((PyObject *)Py_TYPE(self));
	PyErr_Restore(type, value, traceback);
}

void py_packet_dealloc(PyObject *object)
{
	struct py_packet *self = (struct py_packet *)object;
	PyTypeObject *type = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	PyObject_GC_UnTrack(object);
	if (self->state == PY_COPY && self->queue->queue)
		warn_lost(self);
	(void)py_packet_unviewed(self);
	let_go(self);
	release(object);
	Py_DECREF(type);
}

int py_packet_traverse(PyObject *object, visitproc visit, void *arg)
{
	const struct py_packet *self = (const struct py_packet *)object;

	Py_VISIT(self->queue);
	return 0;
}
