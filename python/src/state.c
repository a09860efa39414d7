// SPDX-License-Identifier: MIT
/* The state of sockets, which their types and the loop share: what is open, what is in hand, and how that ends. */
#include "module.h"

PyTypeObject *py_plain_queue_type, *py_queue_type, *py_packet_type, *py_nfq_packet_type;

static struct py_socket *open_sockets;

void py_socket_opened(struct py_socket *self)
{
	self->next = open_sockets;
	self->link = &open_sockets;
	if (self->next)
		self->next->link = &self->next;
	open_sockets = self;
}

static void unlink_from(struct py_socket *self)
{
	if (!self->link)
		return;
	*self->link = self->next;
	if (self->next)
		self->next->link = self->link;
	self->link = NULL;
}

/* The queue of a packet; NULL: it is unbound. */
struct py_queue *py_queue_find(const struct py_socket *self, const struct mnfq_packet *view)
{
	const struct mnfq_queue *wanted = mnfq_packet_get_queue(view);
	struct py_queue *queue = self->queues;

	while (queue && queue->queue != wanted)
		queue = queue->next;
	return queue;
}

/* The batch is over: of its packets those that somebody keeps become copies. Returns 0, or -1 with an exception. */
int py_socket_settle(struct py_socket *self)
{
	PyObject *type = NULL, *value, *traceback;

	while (self->in_hand > 0) {
		if (py_packet_done(self, self->hand[--self->in_hand]) == 0)
			continue;
		if (type)
			PyErr_WriteUnraisable((PyObject *)Py_TYPE(self));
		else
			PyErr_Fetch(&type, &value, &traceback);
	}
	if (!type)
		return 0;
	PyErr_Restore(type, value, traceback);
	return -1;
}

/* The same where an exception would be in the way. */
void py_socket_settle_quietly(struct py_socket *self)
{
	PyObject *type, *value, *traceback;

	PyErr_Fetch(&type, &value, &traceback);
	if (py_socket_settle(self) < 0)
		PyErr_WriteUnraisable((PyObject *)Py_TYPE(self));
	PyErr_Restore(type, value, traceback);
}

/* May the socket be used now? Returns 0, or -1 with an exception. */
int py_socket_use(struct py_socket *self)
{
	if (!self->sock) {
		PyErr_SetString(PyExc_ValueError,
				self->gone ? self->gone : "the socket is not open");
		return -1;
	}
	if (self->waiting) {
		PyErr_SetString(PyExc_RuntimeError,
				"another thread waits for packets of this socket: stop() it "
				"first");
		return -1;
	}
	return 0;
}

/* The queues are gone, and all packets with them. */
void py_socket_detach(struct py_socket *self, const char *why)
{
	struct py_queue *queue;

	unlink_from(self);
	for (queue = self->queues; queue; queue = queue->next)
		queue->queue = NULL;
	self->queues = NULL;
	self->gone = why;
	self->closing = false;
}

void py_socket_drop_spares(struct py_socket *self)
{
	while (self->spares > 0)
		Py_DECREF(self->spare[--self->spares]);
}

void py_socket_close(struct py_socket *self, const char *why)
{
	struct mnfq_socket *sock;

	if (self->sock && self->waiting) {
		self->closing = true;
		mnfq_socket_stop(self->sock);
		return;
	}
	if (self->sock)
		py_socket_settle_quietly(self);
	sock = self->sock; /* who shows warnings may have closed it */
	if (!sock)
		return;
	self->sock = NULL;
	py_socket_detach(self, why);
	Py_BEGIN_ALLOW_THREADS mnfq_socket_close(sock);
	Py_END_ALLOW_THREADS Py_CLEAR(self->ring);
	py_socket_drop_spares(self);
	Py_CLEAR(self->owned);
}

/* In the child: the parent goes on with its sockets. */
void py_socket_after_fork(void)
{
	struct py_socket *self;
	struct mnfq_socket *sock;
	unsigned int i;

	while ((self = open_sockets)) {
		for (i = 0; i < self->in_hand; i++) {
			if (py_packet_unviewed(self->hand[i]) < 0)
				PyErr_Clear(); /* the view and its memory stay */
			self->hand[i]->view = NULL;
			self->hand[i]->state = PY_UNBOUND;
		}
		sock = self->sock;
		self->sock = NULL;
		py_socket_detach(
			self,
			"the socket belongs to the parent of this process: open another one");
		mnfq_socket_forget(sock);
		Py_CLEAR(self->ring);
	}
}
