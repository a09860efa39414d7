// SPDX-License-Identifier: MIT
/* Failures of the library as exceptions, and arguments as numbers. */
#include "module.h"

#include <string.h>

/* An OSError, of the subclass that belongs to the errno. Returns NULL. */
PyObject *py_fail(int err, const char *message)
{
	PyObject *args =
		Py_BuildValue("(is)", -err, message && *message ? message : strerror(-err));

	if (args) {
		PyErr_SetObject(PyExc_OSError, args);
		Py_DECREF(args);
	}
	return NULL;
}

PyObject *py_fail_socket(const struct py_socket *self, int err)
{
	return py_fail(err, self->sock ? mnfq_socket_get_error(self->sock) : NULL);
}

PyObject *py_fail_packet(const struct py_packet *self, int err)
{
	return py_fail(err, self->view ? mnfq_packet_get_error(self->view) : NULL);
}

static int to_number(PyObject *object, unsigned long max, unsigned long *ret)
{
	unsigned long long value;

	if (!PyLong_Check(object)) {
		PyErr_SetString(PyExc_TypeError, "an integer is required");
		return -1;
	}
	value = PyLong_AsUnsignedLongLong(object);
	if (value == (unsigned long long)-1 && PyErr_Occurred())
		PyErr_Clear();
	else if (value <= max) {
		*ret = (unsigned long)value;
		return 0;
	}
	PyErr_Format(PyExc_OverflowError, "%R is not a number from 0 to %lu", object, max);
	return -1;
}

/* Converters for PyArg_Parse…(): 1, or 0 with an exception. */
int py_to_u32(PyObject *object, void *ret)
{
	unsigned long value;

	if (to_number(object, UINT32_MAX, &value) < 0)
		return 0;
	*(uint32_t *)ret = (uint32_t)value;
	return 1;
}

int py_to_u16(PyObject *object, void *ret)
{
	unsigned long value;

	if (to_number(object, UINT16_MAX, &value) < 0)
		return 0;
	*(uint16_t *)ret = (uint16_t)value;
	return 1;
}

int py_to_byte(PyObject *object, void *ret)
{
	unsigned long value;

	if (to_number(object, UINT8_MAX, &value) < 0)
		return 0;
	*(uint8_t *)ret = (uint8_t)value;
	return 1;
}

/* A verdict is a number, but not True, which could mean anything. Returns 0, or -1 with an exception. */
int py_check_verdict(PyObject *object, uint32_t *ret)
{
	unsigned long value;

	if (!PyLong_Check(object) || PyBool_Check(object)) {
		PyErr_Format(PyExc_TypeError,
			     "%R is not a verdict: return one, such as Verdict.ACCEPT", object);
		return -1;
	}
	value = PyLong_AsUnsignedLong(object);
	if (PyErr_Occurred() || value > UINT32_MAX ||
	    !(value == MNFQ_DROP || value == MNFQ_ACCEPT || value == MNFQ_REPEAT ||
	      value == MNFQ_STOP || value == MNFQ_DEFER || (value & 0x7fff) == 3)) {
		PyErr_Clear();
		PyErr_Format(PyExc_ValueError, "%R is not a verdict", object);
		return -1;
	}
	*ret = (uint32_t)value;
	return 0;
}
