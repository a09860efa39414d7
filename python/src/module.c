// SPDX-License-Identifier: MIT
/*
 * The module _mnfq, which netfilterqueue and mnfq stand on. It uses the limited API of Python 3.8: one file
 * serves that version and all later ones.
 */
#include "module.h"

static PyTypeObject *socket_type, *plain_packet_type;

static PyObject *after_fork(PyObject *module, PyObject *unused)
{
	(void)module;
	(void)unused;
	py_socket_after_fork();
	Py_RETURN_NONE;
}

static PyObject *set_protocols(PyObject *module, PyObject *dict)
{
	(void)module;
	if (!PyDict_Check(dict)) {
		PyErr_SetString(PyExc_TypeError, "a dict is required");
		return NULL;
	}
	Py_INCREF(dict);
	Py_XDECREF(py_protocols);
	py_protocols = dict;
	Py_RETURN_NONE;
}

/* _set_types(Queue, Packet): what mnfq makes of the types of its module. */
static PyObject *set_types(PyObject *module, PyObject *args)
{
	PyObject *queue, *packet;

	(void)module;
	if (!PyArg_ParseTuple(args, "O!O!", &PyType_Type, &queue, &PyType_Type, &packet))
		return NULL;
	if (!PyType_IsSubtype((PyTypeObject *)queue, py_plain_queue_type) ||
	    !PyType_IsSubtype((PyTypeObject *)packet, plain_packet_type)) {
		PyErr_SetString(PyExc_TypeError,
				"types that are derived from those of _mnfq are required");
		return NULL;
	}
	Py_INCREF(queue); /* for good, as the types themselves */
	Py_INCREF(packet);
	py_queue_type = (PyTypeObject *)queue;
	py_packet_type = (PyTypeObject *)packet;
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "_after_fork", after_fork, METH_NOARGS, NULL },
	{ "_set_protocols", set_protocols, METH_O, NULL },
	{ "_set_types", set_types, METH_VARARGS, NULL },
	{ NULL, NULL, 0, NULL },
};

/* The types are there once: they belong to one interpreter. */
static int check_interpreter(void)
{
	static PyObject *modules;

	if (modules && modules != PyImport_GetModuleDict()) {
		PyErr_SetString(PyExc_ImportError,
				"_mnfq is in use by another interpreter of this process: "
				"sub-interpreters are not supported");
		return -1;
	}
	if (!modules) {
		modules = PyImport_GetModuleDict();
		Py_INCREF(modules); /* so that no later interpreter has it at its address */
	}
	return 0;
}

static int add_type(PyObject *module, const char *name, PyType_Spec *spec, PyTypeObject **type)
{
	if (!*type)
		*type = (PyTypeObject *)PyType_FromSpec(spec);
	if (!*type)
		return -1;
	Py_INCREF(*type);
	if (PyModule_AddObject(module, name, (PyObject *)*type) == 0)
		return 0;
	Py_DECREF(*type);
	return -1;
}

/* So that a child of fork() lets the parent have its sockets. */
static int watch_forks(PyObject *module)
{
	static bool watched;
	PyObject *os, *function, *none, *args, *kwargs;

	if (watched)
		return 0;
	watched = true;
	os = PyImport_ImportModule("os");
	function = os ? PyObject_GetAttrString(os, "register_at_fork") : NULL;
	args = PyTuple_New(0);
	kwargs = PyDict_New();
	none = NULL;
	if (function && args && kwargs) {
		PyObject *callback = PyObject_GetAttrString(module, "_after_fork");

		if (callback && PyDict_SetItemString(kwargs, "after_in_child", callback) == 0)
			none = PyObject_Call(function, args, kwargs);
		Py_XDECREF(callback);
	}
	Py_XDECREF(kwargs);
	Py_XDECREF(args);
	Py_XDECREF(function);
	Py_XDECREF(os);
	Py_XDECREF(none);
	return none ? 0 : -1;
}

static int execute(PyObject *module)
{
	if (check_interpreter() < 0 || PyModule_AddFunctions(module, py_handover_methods) < 0 ||
	    PyModule_AddFunctions(module, py_kernel_methods) < 0 ||
	    add_type(module, "Socket", &py_socket_spec, &socket_type) < 0 ||
	    add_type(module, "Queue", &py_queue_spec, &py_plain_queue_type) < 0 ||
	    add_type(module, "Packet", &py_packet_spec, &plain_packet_type) < 0 ||
	    add_type(module, "NetfilterQueuePacket", &py_nfq_packet_spec, &py_nfq_packet_type) <
		    0 ||
	    PyModule_AddStringConstant(module, "version", mnfq_get_version()) < 0)
		return -1;
	py_queue_type = py_queue_type ? py_queue_type : py_plain_queue_type;
	py_packet_type = py_packet_type ? py_packet_type : plain_packet_type;
	return watch_forks(module);
}

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, (void *)execute },
	{ 0, NULL },
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	"_mnfq",
	"libmnfq for the modules netfilterqueue and mnfq.",
	0,
	methods,
	slots,
	NULL,
	NULL,
	NULL,
};

PyMODINIT_FUNC PyInit__mnfq(void);
PyMODINIT_FUNC PyInit__mnfq(void)
{
	return PyModuleDef_Init(&definition);
}
