// SPDX-License-Identifier: MIT
/* Sockets: opening, closing, and what there is to know of them. */
#include "module.h"

#include <errno.h>
#include <string.h>

/* ---- opening ---- */

static int open_any(struct py_socket *self, PyObject *netns, struct mnfq_socket_options *options)
{
	PyObject *path = NULL;
	unsigned long fd;
	int err;

	if (netns == Py_None) {
		Py_BEGIN_ALLOW_THREADS err = mnfq_socket_open(&self->sock, options);
		Py_END_ALLOW_THREADS return err;
	}
	if (PyLong_Check(netns)) {
		fd = PyLong_AsUnsignedLong(netns);
		if (PyErr_Occurred())
			return -EINVAL;
		Py_BEGIN_ALLOW_THREADS err =
			mnfq_socket_open_netns_fd(&self->sock, (int)fd, options);
		Py_END_ALLOW_THREADS return err;
	}
	if (!PyUnicode_FSConverter(netns, &path))
		return -EINVAL;
	Py_BEGIN_ALLOW_THREADS err =
		mnfq_socket_open_netns(&self->sock, PyBytes_AsString(path), options);
	Py_END_ALLOW_THREADS Py_DECREF(path);
	return err;
}

/* _open(netns, adopt, flags, receive_buffer, timeout_ms, busy_poll_us, coalesce_us, max_delay_us, ring) */
static PyObject *socket_open(struct py_socket *self, PyObject *args)
{
	char message[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_socket_options options = MNFQ_INIT(options);
	PyObject *netns;
	int adopt, ring, err;

	if (!PyArg_ParseTuple(args, "OiO&O&O&O&O&O&i:_open", &netns, &adopt, py_to_u32,
			      &options.flags, py_to_u32, &options.receive_buffer, py_to_u32,
			      &options.timeout_ms, py_to_u32, &options.busy_poll_us, py_to_u32,
			      &options.coalesce_us, py_to_u32, &options.max_delay_us, &ring))
		return NULL;
	if (self->sock) {
		PyErr_SetString(PyExc_RuntimeError, "the socket is open");
		return NULL;
	}
	options.error = message;
	options.error_size = sizeof(message);
	if (ring)
		self->ring = py_payload_new_ring(&options.ring);
	if (ring && !self->ring)
		return NULL;
	err = adopt >= 0 ? mnfq_socket_adopt(&self->sock, adopt, &options)
			 : open_any(self, netns, &options);
	if (err < 0) {
		self->sock = NULL;
		Py_CLEAR(self->ring);
		return PyErr_Occurred() ? NULL : py_fail(err, message);
	}
	py_socket_opened(self);
	Py_RETURN_NONE;
}

static PyObject *socket_close(struct py_socket *self, PyObject *unused)
{
	(void)unused;
	py_socket_close(self, "the socket is closed");
	Py_RETURN_NONE;
}

static PyObject *socket_fileno(struct py_socket *self, PyObject *unused)
{
	(void)unused;
	if (!self->sock) {
		PyErr_SetString(PyExc_ValueError,
				self->gone ? self->gone : "the socket is not open");
		return NULL;
	}
	return PyLong_FromLong(mnfq_socket_get_fd(self->sock));
}

static PyObject *socket_detach(struct py_socket *self, PyObject *unused)
{
	int fd;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	py_socket_settle_quietly(self);
	fd = mnfq_socket_detach(self->sock);
	if (fd < 0)
		return py_fail_socket(self, fd);
	self->sock = NULL;
	py_socket_detach(self, "the socket was detached");
	Py_CLEAR(self->ring);
	py_socket_drop_spares(self);
	return PyLong_FromLong(fd);
}

/* ---- receiving ---- */

static PyObject *socket_run(struct py_socket *self, PyObject *unused)
{
	(void)unused;
	if (py_loop_run(self, -1, false) < 0)
		return NULL;
	Py_RETURN_NONE;
}

/* _dispatch(timeout in milliseconds): how many messages there were. */
static PyObject *socket_dispatch(struct py_socket *self, PyObject *arg)
{
	const long timeout = PyLong_AsLong(arg);
	int n;

	if (timeout == -1 && PyErr_Occurred())
		return NULL;
	n = py_loop_run(self, timeout < 0 ? -1 : (int)timeout, timeout != 0);
	return n < 0 ? NULL : PyLong_FromLong(n);
}

static PyObject *socket_flush(struct py_socket *self, PyObject *unused)
{
	int err;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	err = mnfq_socket_flush(self->sock);
	if (err < 0)
		return py_fail_socket(self, err);
	Py_RETURN_NONE;
}

static PyObject *socket_stop(struct py_socket *self, PyObject *unused)
{
	(void)unused;
	if (!self->sock) {
		(void)py_socket_use(self);
		return NULL;
	}
	if (self->waiting || !self->running)
		mnfq_socket_stop(self->sock);
	else
		self->stop = true;
	Py_RETURN_NONE;
}

/* ---- what there is to know ---- */

static PyObject *get_receive_buffer(struct py_socket *self, void *unused)
{
	int64_t size;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	size = mnfq_socket_get_receive_buffer(self->sock);
	return size < 0 ? py_fail_socket(self, (int)size) : PyLong_FromLongLong(size);
}

static int set_receive_buffer(struct py_socket *self, PyObject *value, void *unused)
{
	uint32_t bytes;
	int err;

	(void)unused;
	if (!value) {
		PyErr_SetString(PyExc_AttributeError, "cannot be deleted");
		return -1;
	}
	if (py_socket_use(self) < 0 || !py_to_u32(value, &bytes))
		return -1;
	err = mnfq_socket_set_receive_buffer(self->sock, bytes);
	if (err < 0)
		py_fail_socket(self, err);
	return err < 0 ? -1 : 0;
}

static PyObject *get_portid(struct py_socket *self, void *unused)
{
	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	return PyLong_FromUnsignedLong(mnfq_socket_get_portid(self->sock));
}

static PyObject *get_netns_inode(struct py_socket *self, void *unused)
{
	uint64_t inode;
	int err;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	err = mnfq_socket_get_netns_inode(self->sock, &inode);
	return err < 0 ? py_fail(err, NULL) : PyLong_FromUnsignedLongLong(inode);
}

static PyObject *get_netns_name(struct py_socket *self, void *unused)
{
	char name[256];
	int err;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	err = mnfq_socket_get_netns_name(self->sock, name, sizeof(name));
	return err < 0 ? py_fail(err, NULL) : PyUnicode_DecodeFSDefault(name);
}

static PyObject *get_closed(struct py_socket *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(!self->sock);
}

static PyObject *socket_ifname(struct py_socket *self, PyObject *arg)
{
	uint32_t index;
	char name[16];
	int err;

	if (py_socket_use(self) < 0 || !py_to_u32(arg, &index))
		return NULL;
	err = mnfq_socket_get_ifname(self->sock, index, name);
	if (err == -ENODEV)
		Py_RETURN_NONE;
	return err < 0 ? py_fail(err, NULL) : PyUnicode_DecodeFSDefault(name);
}

static PyObject *socket_stats(struct py_socket *self, PyObject *unused)
{
	struct mnfq_stats stats = MNFQ_INIT(stats);
	int err;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	err = mnfq_socket_get_stats(self->sock, &stats);
	return err < 0 ? py_fail_socket(self, err) : py_stats(&stats);
}

static PyObject *socket_kernel_stats(struct py_socket *self, PyObject *unused)
{
	struct mnfq_kernel_stats stats = MNFQ_INIT(stats);
	int err;

	(void)unused;
	if (py_socket_use(self) < 0)
		return NULL;
	err = mnfq_socket_get_kernel_stats(self->sock, &stats);
	return err < 0 ? py_fail_socket(self, err) : py_kernel_stats(&stats);
}

static PyMethodDef methods[] = {
	{ "_open", (PyCFunction)socket_open, METH_VARARGS, NULL },
	{ "_bind", (PyCFunction)(void (*)(void))py_queue_bind, METH_VARARGS | METH_KEYWORDS,
	  NULL },
	{ "_dispatch", (PyCFunction)socket_dispatch, METH_O, NULL },
	{ "_stats", (PyCFunction)socket_stats, METH_NOARGS, NULL },
	{ "_kernel_stats", (PyCFunction)socket_kernel_stats, METH_NOARGS, NULL },
	{ "close", (PyCFunction)socket_close, METH_NOARGS,
	  "close($self, /)\n--\n\nUnbind all queues, whose packets get the default verdict, and close the socket." },
	{ "fileno", (PyCFunction)socket_fileno, METH_NOARGS,
	  "fileno($self, /)\n--\n\nThe descriptor, which is readable while there is work for dispatch(0)." },
	{ "detach", (PyCFunction)socket_detach, METH_NOARGS,
	  "detach($self, /)\n--\n\nGive the descriptor away: its queues stay bound, for the next reader." },
	{ "run", (PyCFunction)socket_run, METH_NOARGS,
	  "run($self, /)\n--\n\nCall the callbacks of packets that arrive, until stop() or an exception." },
	{ "stop", (PyCFunction)socket_stop, METH_NOARGS,
	  "stop($self, /)\n--\n\nEnd run() or dispatch() after the callback that is running, or else the next one." },
	{ "flush", (PyCFunction)socket_flush, METH_NOARGS,
	  "flush($self, /)\n--\n\nSend the verdicts given so far." },
	{ "ifname", (PyCFunction)socket_ifname, METH_O,
	  "ifname($self, index, /)\n--\n\nThe name of an interface in the socket's namespace, by its index; None: there is none." },
	{ NULL, NULL, 0, NULL },
};

static PyGetSetDef getset[] = {
	{ "closed", (getter)get_closed, NULL, "Is it closed?", NULL },
	{ "receive_buffer", (getter)get_receive_buffer, (setter)set_receive_buffer,
	  "Size of the receive buffer in bytes, as the kernel accounts for it.", NULL },
	{ "portid", (getter)get_portid, NULL, "The netlink portid, which owns the queues.",
	  NULL },
	{ "netns_inode", (getter)get_netns_inode, NULL, "Inode number of the network namespace.",
	  NULL },
	{ "netns_name", (getter)get_netns_name, NULL, "Name of the network namespace.", NULL },
	{ NULL, NULL, NULL, NULL, NULL },
};

static int traverse(PyObject *object, visitproc visit, void *arg)
{
	Py_VISIT(((struct py_socket *)object)->owned);
	return 0;
}

static int clear(PyObject *object)
{
	Py_CLEAR(((struct py_socket *)object)->owned);
	return 0;
}

static void dealloc(PyObject *object)
{
	struct py_socket *self = (struct py_socket *)object;
	PyTypeObject *type = Py_TYPE(object);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	PyObject_GC_UnTrack(object);
	py_socket_close(self, NULL);
	py_socket_drop_spares(self);
	Py_CLEAR(self->owned);
	release(object);
	Py_DECREF(type);
}

static PyType_Slot slots[] = {
	{ Py_tp_doc, (void *)(uintptr_t) "A netlink socket in one network namespace." },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, getset },
	{ Py_tp_traverse, (void *)traverse },
	{ Py_tp_clear, (void *)clear },
	{ Py_tp_dealloc, (void *)dealloc },
	{ 0, NULL },
};

PyType_Spec py_socket_spec = { "_mnfq.Socket", sizeof(struct py_socket), 0,
			       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
			       slots };
