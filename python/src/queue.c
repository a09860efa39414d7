// SPDX-License-Identifier: MIT
/* Queues: binding, settings, counters. */
#include "module.h"

#include <stdlib.h>

/* ---- counters ---- */

static int put(PyObject *dict, const char *name, uint64_t number)
{
	PyObject *value = PyLong_FromUnsignedLongLong(number);
	int err = value ? PyDict_SetItemString(dict, name, value) : -1;

	Py_XDECREF(value);
	return err;
}

#define PUT(name) (put(dict, #name, stats->name) < 0)

PyObject *py_stats(const struct mnfq_stats *stats)
{
	PyObject *dict = PyDict_New();

	if (dict && (PUT(packets) || PUT(bytes) || PUT(accepted) || PUT(dropped) ||
		     PUT(repeated) || PUT(stopped) || PUT(requeued) || PUT(marked) ||
		     PUT(rewritten) || PUT(defaulted) || PUT(invalid) || PUT(deferred) ||
		     PUT(held) || PUT(lost) || PUT(truncated) || PUT(refused) || PUT(unsent) ||
		     PUT(overruns) || PUT(forged) || PUT(malformed) || PUT(unclaimed)))
		Py_CLEAR(dict);
	return dict;
}

PyObject *py_kernel_stats(const struct mnfq_kernel_stats *stats)
{
	PyObject *dict = PyDict_New();

	if (dict && (PUT(waiting) || PUT(queue_dropped) || PUT(user_dropped) || PUT(portid) ||
		     PUT(last_id) || PUT(queues)))
		Py_CLEAR(dict);
	return dict;
}

/*
 * ---- binding ----
 *
 * With the GIL, so that no other thread uses the socket meanwhile, or closes it. The kernel answers at once.
 */

static int no_queue(const struct py_queue *self)
{
	if (!self->queue) {
		PyErr_SetString(PyExc_ValueError, "the queue is unbound");
		return -1;
	}
	return py_socket_use(self->socket);
}

static void unlink_from(struct py_queue *self)
{
	struct py_queue **at = &self->socket->queues;

	while (*at && *at != self)
		at = &(*at)->next;
	if (*at)
		*at = self->next;
}

/* Of the packets in hand those of the queue are gone; the others become copies, since the batch ends. */
static void leave_hand(struct py_queue *self)
{
	struct py_socket *socket = self->socket;
	struct py_packet *packet;
	unsigned int i;

	for (i = 0; i < socket->in_hand; i++) {
		packet = socket->hand[i];
		if (packet->queue == self && packet->state == PY_HAND)
			packet->state = PY_UNBOUND;
		py_packet_settle(packet);
	}
}

static void unbind(struct py_queue *self)
{
	struct mnfq_queue *queue = self->queue;

	if (!queue)
		return;
	leave_hand(self);
	self->queue = NULL;
	unlink_from(self);
	self->socket->backlog = true;
	mnfq_queue_unbind(queue);
}

struct settings {
	uint32_t num, max_len, copy_mode, copy_range, flags, flags_optional, default_verdict;
	int legacy, owned;
	PyObject *callback;
};

static int parse(PyObject *args, PyObject *kwargs, struct settings *settings)
{
	static const char *const names[] = {
		"num",   "callback",       "max_len",         "copy_mode", "copy_range",
		"flags", "flags_optional", "default_verdict", "legacy",    "owned",
		NULL
	};

	return PyArg_ParseTupleAndKeywords(
		args, kwargs, "O&OO&O&O&O&O&O&ii:bind", (char **)(uintptr_t)names, py_to_u32,
		&settings->num, &settings->callback, py_to_u32, &settings->max_len, py_to_u32,
		&settings->copy_mode, py_to_u32, &settings->copy_range, py_to_u32,
		&settings->flags, py_to_u32, &settings->flags_optional, py_to_u32,
		&settings->default_verdict, &settings->legacy, &settings->owned);
}

static void to_options(const struct settings *settings, struct mnfq_queue_options *options)
{
	options->copy_mode = settings->copy_mode;
	options->copy_range = settings->copy_range;
	options->max_len = settings->max_len;
	options->flags = settings->flags;
	options->flags_optional = settings->flags_optional;
	options->default_verdict = settings->default_verdict;
}

static struct py_queue *make(struct py_socket *socket, const struct settings *settings)
{
	PyTypeObject *type = settings->legacy ? py_plain_queue_type : py_queue_type;
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct py_queue *self = (struct py_queue *)alloc(type, 0);

	if (!self)
		return NULL;
	Py_INCREF(socket);
	self->socket = socket;
	self->num = settings->num;
	self->legacy = settings->legacy;
	self->default_verdict = settings->default_verdict;
	self->type = settings->legacy ? py_nfq_packet_type : py_packet_type;
	if (settings->callback != Py_None) {
		Py_INCREF(settings->callback);
		self->callback = settings->callback;
	}
	self->pending = PyList_New(0);
	if (!self->pending)
		Py_CLEAR(self);
	return self;
}

static int own(struct py_socket *socket, struct py_queue *queue)
{
	if (!socket->owned)
		socket->owned = PyList_New(0);
	return socket->owned ? PyList_Append(socket->owned, (PyObject *)queue) : -1;
}

PyObject *py_queue_bind(struct py_socket *socket, PyObject *args, PyObject *kwargs)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);
	struct settings settings;
	struct py_queue *self;
	int err;

	if (!parse(args, kwargs, &settings) || py_socket_use(socket) < 0)
		return NULL;
	self = make(socket, &settings);
	if (!self)
		return NULL;
	to_options(&settings, &options);
	socket->backlog = true;
	err = mnfq_queue_bind(&self->queue, socket->sock, settings.num, &options, NULL, NULL);
	if (err < 0) {
		py_fail_socket(socket, err);
		Py_CLEAR(self);
		return NULL;
	}
	self->next = socket->queues;
	socket->queues = self;
	if (settings.owned && own(socket, self) < 0)
		Py_CLEAR(self);
	return (PyObject *)self;
}

/* ---- methods ---- */

static PyObject *queue_unbind(struct py_queue *self, PyObject *unused)
{
	struct py_socket *socket = self->socket;
	Py_ssize_t i;

	(void)unused;
	unbind(self);
	for (i = socket->owned ? PyList_Size(socket->owned) : 0; i-- > 0;)
		if (PyList_GetItem(socket->owned, i) == (PyObject *)self)
			(void)PyList_SetSlice(socket->owned, i, i + 1, NULL);
	Py_RETURN_NONE;
}

static PyObject *queue_stats(struct py_queue *self, PyObject *unused)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);
	int err;

	(void)unused;
	if (no_queue(self) < 0)
		return NULL;
	err = mnfq_queue_get_stats(self->queue, &stats);
	return err < 0 ? py_fail_socket(self->socket, err) : py_stats(&stats);
}

static PyObject *queue_kernel_stats(struct py_queue *self, PyObject *unused)
{
	struct mnfq_kernel_stats stats = MNFQ_INIT(stats);
	int err;

	(void)unused;
	if (no_queue(self) < 0)
		return NULL;
	err = mnfq_queue_get_kernel_stats(self->queue, &stats);
	return err < 0 ? py_fail_socket(self->socket, err) : py_kernel_stats(&stats);
}

/* _settings(): copy_mode, copy_range, max_len, flags, flags_optional, default_verdict */
static PyObject *queue_settings(struct py_queue *self, PyObject *unused)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);
	int err;

	(void)unused;
	if (no_queue(self) < 0)
		return NULL;
	err = mnfq_queue_get_options(self->queue, &options);
	if (err < 0)
		return py_fail_socket(self->socket, err);
	return Py_BuildValue("(IIIIII)", options.copy_mode, options.copy_range, options.max_len,
			     options.flags, options.flags_optional, options.default_verdict);
}

static PyObject *queue_configure(struct py_queue *self, PyObject *args)
{
	struct mnfq_queue_options options = MNFQ_INIT(options);
	struct settings settings;
	int err;

	if (!PyArg_ParseTuple(args, "O&O&O&O&O&O&:configure", py_to_u32, &settings.copy_mode,
			      py_to_u32, &settings.copy_range, py_to_u32, &settings.max_len,
			      py_to_u32, &settings.flags, py_to_u32, &settings.flags_optional,
			      py_to_u32, &settings.default_verdict) ||
	    no_queue(self) < 0)
		return NULL;
	to_options(&settings, &options);
	self->socket->backlog = true;
	err = mnfq_queue_configure(self->queue, &options);
	if (err < 0)
		return py_fail_socket(self->socket, err);
	self->default_verdict = settings.default_verdict;
	Py_RETURN_NONE;
}

/* decide(ids, verdict): how many were decided. */
static PyObject *queue_decide(struct py_queue *self, PyObject *args)
{
	PyObject *sequence, *list, *object;
	uint32_t verdict, *ids;
	Py_ssize_t i, n;
	int count = -1;

	if (!PyArg_ParseTuple(args, "OO:decide", &sequence, &object) ||
	    py_check_verdict(object, &verdict) < 0)
		return NULL;
	list = PySequence_List(sequence); /* runs code of the program */
	n = list ? PyList_Size(list) : -1;
	ids = n >= 0 ? malloc((size_t)(n + 1) * sizeof(*ids)) : NULL;
	if (n >= 0 && !ids)
		PyErr_NoMemory();
	for (i = 0; ids && i < n && py_to_u32(PyList_GetItem(list, i), &ids[i]); i++)
		;
	if (ids && i == n && !self->queue) {
		PyErr_SetString(PyExc_ValueError, "the queue is unbound");
	} else if (ids && i == n) {
		count = mnfq_queue_decide(self->queue, ids, (size_t)n, verdict);
		if (count < 0)
			py_fail(count, NULL);
	}
	free(ids);
	Py_XDECREF(list);
	return count < 0 ? NULL : PyLong_FromLong(count);
}

/* _next(wait): a packet, or None. */
static PyObject *queue_next(struct py_queue *self, PyObject *wait)
{
	PyObject *packet;

	if (self->callback) {
		PyErr_SetString(PyExc_RuntimeError,
				"the queue was bound with a callback, which gets its packets");
		return NULL;
	}
	packet = py_loop_next(self, PyObject_IsTrue(wait) == 1);
	if (packet || PyErr_Occurred())
		return packet;
	Py_RETURN_NONE;
}

static PyObject *queue_iternext(struct py_queue *self)
{
	PyObject *packet = queue_next(self, Py_True);

	if (packet == Py_None)
		Py_CLEAR(packet);
	return packet;
}

static PyObject *get_num(struct py_queue *self, void *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLong(self->num);
}

static PyObject *get_socket(struct py_queue *self, void *unused)
{
	(void)unused;
	Py_INCREF(self->socket);
	return (PyObject *)self->socket;
}

static PyObject *get_bound(struct py_queue *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(self->queue != NULL);
}

static PyMethodDef methods[] = {
	{ "unbind", (PyCFunction)queue_unbind, METH_NOARGS,
	  "unbind($self, /)\n--\n\nUnbind the queue, after its undecided packets got the default verdict." },
	{ "decide", (PyCFunction)queue_decide, METH_VARARGS,
	  "decide($self, ids, verdict, /)\n--\n\nDecide packets that were deferred, by their ids; returns how many were "
	  "waiting." },
	{ "_stats", (PyCFunction)queue_stats, METH_NOARGS, NULL },
	{ "_kernel_stats", (PyCFunction)queue_kernel_stats, METH_NOARGS, NULL },
	{ "_settings", (PyCFunction)queue_settings, METH_NOARGS, NULL },
	{ "_configure", (PyCFunction)queue_configure, METH_VARARGS, NULL },
	{ "_next", (PyCFunction)queue_next, METH_O, NULL },
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef getset[] = {
	{ "num", (getter)get_num, NULL, "The number of the queue.", NULL },
	{ "socket", (getter)get_socket, NULL, "The socket on which it is bound.", NULL },
	{ "bound", (getter)get_bound, NULL, "False once it was unbound.", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static int traverse(PyObject *object, visitproc visit, void *arg)
{
	const struct py_queue *self = (const struct py_queue *)object;

	Py_VISIT(self->socket);
	Py_VISIT(self->callback);
	Py_VISIT(self->pending);
	return 0;
}

static int clear(PyObject *object)
{
	struct py_queue *self = (struct py_queue *)object;

	unbind(self);
	Py_CLEAR(self->callback);
	Py_CLEAR(self->pending);
	return 0;
}

static void dealloc(PyObject *object)
{
	struct py_queue *self = (struct py_queue *)object;
	PyTypeObject *type = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	PyObject_GC_UnTrack(object);
	if (self->socket)
		unbind(self);
	Py_CLEAR(self->callback);
	Py_CLEAR(self->pending);
	Py_CLEAR(self->socket);
	release(object);
	Py_DECREF(type);
}

/* One that a program makes would have no socket. */
static PyObject *refuse(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
	(void)type;
	(void)args;
	(void)kwargs;
	PyErr_SetString(PyExc_TypeError, "queues are made by Socket.bind()");
	return NULL;
}

static PyType_Slot slots[] = {
	{ Py_tp_doc, (void *)(uintptr_t) "A queue number bound on a socket." },
	{ Py_tp_new, (void *)refuse },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, getset },
	{ Py_tp_iter, (void *)PyObject_SelfIter },
	{ Py_tp_iternext, (void *)queue_iternext },
	{ Py_tp_traverse, (void *)traverse },
	{ Py_tp_clear, (void *)clear },
	{ Py_tp_dealloc, (void *)dealloc },
	{ 0, NULL },
};

PyType_Spec py_queue_spec = { "_mnfq.Queue", sizeof(struct py_queue), 0,
			      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
			      slots };
