// SPDX-License-Identifier: MIT
/* mnfq.queues(): the kernel's list of queues. */
#include "module.h"

#include <stdlib.h>

#define MARGIN 16 /* queues that are bound between two reads */

static PyObject *to_list(const struct mnfq_kernel_queue *queues, size_t count)
{
	PyObject *list = PyList_New(0), *item;
	size_t i;
	int err = list ? 0 : -1;

	for (i = 0; i < count && err == 0; i++) {
		item = Py_BuildValue("(iIIIIIII)", queues[i].num, queues[i].portid,
				     queues[i].waiting, queues[i].copy_mode, queues[i].copy_range,
				     queues[i].queue_dropped, queues[i].user_dropped,
				     queues[i].last_id);
		err = item ? PyList_Append(list, item) : -1;
		Py_XDECREF(item);
	}
	if (err < 0)
		Py_CLEAR(list);
	return list;
}

/* _kernel_queues(fd): tuples in the order of KernelQueue */
static PyObject *kernel_queues(PyObject *module, PyObject *arg)
{
	struct mnfq_kernel_queue *queues = NULL, *more;
	const long fd = PyLong_AsLong(arg);
	PyObject *list = NULL;
	size_t size = MARGIN;
	int count;

	(void)module;
	if (fd == -1 && PyErr_Occurred())
		return NULL;
	do {
		more = realloc(queues, size * sizeof(*queues));
		if (!more) {
			free(queues);
			return PyErr_NoMemory();
		}
		queues = more;
		queues[0].size = sizeof(queues[0]);
		count = mnfq_kernel_queues_read((int)fd, queues, size);
		if (count >= 0 && (size_t)count <= size)
			list = to_list(queues, (size_t)count);
		size = (size_t)(count > 0 ? count : 0) + MARGIN;
	} while (count >= 0 && !list && !PyErr_Occurred());
	free(queues);
	return count < 0 ? py_fail(count, "cannot read the kernel's list of queues") : list;
}

PyMethodDef py_kernel_methods[] = {
	{ "_kernel_queues", kernel_queues, METH_O, NULL },
	{ NULL, NULL, 0, NULL },
};
