// SPDX-License-Identifier: MIT
/* mnfq.handover: sockets to and from other processes. */
#include "module.h"

#include <mnfq/handover.h>

/* _handover_send(stream, fd, timeout_ms, label, keep) */
static PyObject *handover_send(PyObject *module, PyObject *args)
{
	char message[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = MNFQ_INIT(options);
	int stream, fd, timeout, keep, err;

	(void)module;
	if (!PyArg_ParseTuple(args, "iiizi", &stream, &fd, &timeout, &options.label, &keep))
		return NULL;
	options.error = message;
	options.error_size = sizeof(message);
	options.flags = keep ? MNFQ_HANDOVER_KEEP : 0;
	Py_BEGIN_ALLOW_THREADS err = mnfq_handover_send(stream, fd, timeout, &options);
	Py_END_ALLOW_THREADS if (err < 0) return py_fail(err, message);
	Py_RETURN_NONE;
}

/* _handover_wait(stream, timeout_ms) */
static PyObject *handover_wait(PyObject *module, PyObject *args)
{
	char message[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = MNFQ_INIT(options);
	int stream, timeout, err;

	(void)module;
	if (!PyArg_ParseTuple(args, "ii", &stream, &timeout))
		return NULL;
	options.error = message;
	options.error_size = sizeof(message);
	Py_BEGIN_ALLOW_THREADS err = mnfq_handover_wait(stream, timeout, &options);
	Py_END_ALLOW_THREADS if (err < 0) return py_fail(err, message);
	Py_RETURN_NONE;
}

/* _handover_receive(stream, timeout_ms, plain): fd, flags, label, netns_cookie, pid, uid, gid */
static PyObject *handover_receive(PyObject *module, PyObject *args)
{
	char message[MNFQ_ERRMSG_SIZE] = "";
	struct mnfq_handover_options options = MNFQ_INIT(options);
	struct mnfq_handover info = MNFQ_INIT(info);
	int stream, timeout, plain, fd, err;

	(void)module;
	if (!PyArg_ParseTuple(args, "iii", &stream, &timeout, &plain))
		return NULL;
	options.error = message;
	options.error_size = sizeof(message);
	options.flags = plain ? MNFQ_HANDOVER_PLAIN : 0;
	Py_BEGIN_ALLOW_THREADS err = mnfq_handover_receive(&fd, stream, timeout, &info, &options);
	Py_END_ALLOW_THREADS if (err < 0) return py_fail(err, message);
	return Py_BuildValue("(iIsKIII)", fd, info.flags, info.label,
			     (unsigned long long)info.netns_cookie, info.pid, info.uid, info.gid);
}

/* _handover_answer(stream, flags, errno, message) */
static PyObject *handover_answer(PyObject *module, PyObject *args)
{
	struct mnfq_handover info = MNFQ_INIT(info);
	const char *reason;
	int stream, number, err;

	(void)module;
	if (!PyArg_ParseTuple(args, "iIiz", &stream, &info.flags, &number, &reason))
		return NULL;
	err = mnfq_handover_answer(stream, &info, -number, reason);
	if (err < 0)
		return py_fail(err, NULL);
	Py_RETURN_NONE;
}

PyMethodDef py_handover_methods[] = {
	{ "_handover_send", handover_send, METH_VARARGS, NULL },
	{ "_handover_wait", handover_wait, METH_VARARGS, NULL },
	{ "_handover_receive", handover_receive, METH_VARARGS, NULL },
	{ "_handover_answer", handover_answer, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};
