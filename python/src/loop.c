// SPDX-License-Identifier: MIT
/* Receiving packets, and calling their callbacks or handing them to who pulls. */
#include "module.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#define FEW     8    /* packets, whose verdicts are sent in some microseconds */
#define LOOK_MS 1000 /* a wait of this time is one in the receive */

static int begin(struct py_socket *self)
{
	if (py_socket_use(self) < 0)
		return -1;
	if (self->running) {
		PyErr_SetString(PyExc_RuntimeError,
				"packets of this socket are being received: not from "
				"within a callback, nor from another thread");
		return -1;
	}
	self->running = true;
	return 0;
}

static void end(struct py_socket *self)
{
	self->running = false;
	if (self->closing)
		py_socket_close(self, "the socket is closed");
}

/*
 * Sends the verdicts of the batch before the wait, although that would do it, too: a signal that comes with
 * the packets' arrival elsewhere is then seen here, not after the wait. For a few packets the GIL is not worth letting
 * go of. Only the main thread handles signals. Returns 0, or -1 with an exception.
 */
static int send_before(struct py_socket *self)
{
	if (getpid() != gettid())
		return 0;
	if (self->rest && self->messages > FEW) {
		self->waiting = true;
		Py_BEGIN_ALLOW_THREADS(void) mnfq_socket_flush(self->sock);
		Py_END_ALLOW_THREADS self->waiting = false;
	} else if (self->rest) {
		(void)mnfq_socket_flush(self->sock);
	}
	return self->closing ? 0 : PyErr_CheckSignals();
}

/* Is the socket still open after code of the program has run? Returns 0, or -1 with an exception. */
static int check_open(const struct py_socket *self)
{
	if (self->sock || self->closing)
		return 0;
	PyErr_SetString(PyExc_RuntimeError, self->gone);
	return -1;
}

/*
 * Waits for a batch. Returns how many messages there are, 0: none in time, -EINTR: to be called again, or -1 with an
 * exception. A signal between the last look for it and the wait does not end the wait: so that has several parts.
 */
static int receive(struct py_socket *self, int timeout_ms)
{
	const bool part = timeout_ms < 0 || timeout_ms > LOOK_MS;
	int n;

	if (py_socket_settle(self) < 0 || (self->viewed && py_payload_leave_ring(self) < 0) ||
	    check_open(self) < 0 || (timeout_ms != 0 && send_before(self) < 0) ||
	    check_open(self) < 0)
		return -1;
	self->waiting = true;
	self->rest = false;
	Py_BEGIN_ALLOW_THREADS n = mnfq_socket_receive(self->sock, part ? LOOK_MS : timeout_ms);
	Py_END_ALLOW_THREADS self->waiting = false;
	if (n == 0 || n > 1)
		self->backlog = false;
	self->rest = n > 0;
	self->messages = n;
	if (self->closing && n == -ECANCELED)
		return 0;
	if (n == -EINTR || (n == 0 && part))
		return PyErr_CheckSignals() < 0 ? -1 : -EINTR;
	if (n == -ECANCELED) {
		self->stop = true;
		return 0;
	}
	if (n < 0) {
		py_fail_socket(self, n);
		return -1;
	}
	return n;
}

/*
 * Ends a batch, so that its verdicts are sent. What was not looked at comes first in the next one, for which the
 * descriptor is readable: this is what mnfq_socket_dispatch() does before it refuses to serve queues that are pulled.
 */
static void end_batch(struct py_socket *self)
{
	py_socket_settle_quietly(self);
	if (self->sock && self->rest)
		(void)mnfq_socket_dispatch(self->sock, 0);
	self->rest = false;
}

/* ---- callbacks ---- */

/* Takes what the callback returned: the verdict. */
static int take_verdict(struct py_packet *packet, PyObject *result)
{
	uint32_t verdict;

	if (packet->state != PY_HAND && packet->state != PY_COPY)
		return 0;
	if (py_check_verdict(result, &verdict) < 0)
		return -1;
	if (verdict == MNFQ_DEFER && packet->state == PY_COPY)
		return 0;
	return py_packet_decide(packet, verdict);
}

/* Is the packet still the one in hand? Something in its callback may have closed the socket. */
static bool is_on_top(const struct py_socket *self, const struct py_packet *packet)
{
	return self->in_hand > 0 && self->hand[self->in_hand - 1] == packet;
}

/* Returns 0, or -1 with an exception. May close the socket, or unbind the queue. */
static int call(struct py_queue *queue, struct py_packet *packet)
{
	struct py_socket *socket = queue->socket;
	PyObject *result, *callback = queue->callback, *type, *value, *traceback;
	int err = 0;

	Py_INCREF(callback);
	Py_INCREF(packet);
	result = PyObject_CallFunctionObjArgs(callback, (PyObject *)packet, NULL);
	Py_DECREF(callback);
	if (!result)
		err = -1;
	else if (!queue->legacy)
		err = take_verdict(packet, result);
	Py_XDECREF(result);
	Py_DECREF(packet);
	if (!is_on_top(socket, packet))
		return err;
	socket->in_hand--;
	if (err == 0)
		return py_packet_done(socket, packet);
	PyErr_Fetch(&type, &value, &traceback);
	if (queue->legacy) /* whoever has it, be it the traceback, can decide it */
		py_packet_settle(packet);
	else
		py_packet_abandon(packet);
	Py_DECREF(packet);
	PyErr_Restore(type, value, traceback);
	return -1;
}

/* The next packet of the batch goes to its callback, or to what is to be pulled. Returns 1, 0: none left; or -1. */
static int deliver(struct py_socket *self)
{
	struct mnfq_packet *view;
	struct py_queue *queue;
	struct py_packet *packet;
	int err;

	if (py_packet_prepare(self) < 0)
		return -1;
	view = self->sock ? mnfq_socket_next_packet(self->sock) : NULL;
	queue = view ? py_queue_find(self, view) : NULL;
	if (!queue)
		return view ? 1 : 0;
	packet = py_packet_take(queue, view);
	self->hand[self->in_hand++] = packet;
	if (!queue->callback)
		return PyList_Insert(queue->pending, 0, (PyObject *)packet) < 0 ? -1 : 1;
	Py_INCREF(queue);
	err = call(queue, packet);
	Py_DECREF(queue);
	return err < 0 ? -1 : 1;
}

/* Delivers a batch. Returns 0, or -1 with an exception. */
static int deliver_all(struct py_socket *self)
{
	int n;

	do {
		n = self->in_hand < BATCH ? deliver(self) : 0;
		if (n == 0)
			return PyErr_CheckSignals();
	} while (n > 0 && self->sock && !self->stop && !self->closing);
	if (self->sock) {
		self->backlog = true;
		end_batch(self);
	}
	return n < 0 ? -1 : 0;
}

/* Has one batch, with @timeout_ms. Returns how many messages there were, or -1 with an exception. */
static int round_of(struct py_socket *self, int timeout_ms)
{
	const int n = receive(self, timeout_ms);

	if (n <= 0)
		return n;
	return deliver_all(self) < 0 || check_open(self) < 0 ? -1 : n;
}

/* Ends receiving for now. */
static void finish(struct py_socket *self)
{
	end_batch(self);
	self->stop = false;
	end(self);
}

/* Milliseconds of the monotonic clock. */
static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int time_left(int64_t end)
{
	const int64_t left = end - now_ms();

	return left > 0 ? (int)left : 0;
}

/*
 * Calls the callbacks of packets that arrive. @timeout_ms: negative: until stopped; 0: all that is there; else until
 * something came, or the time is over. @once: one batch. Returns the number of messages of the last batch, or -1
 * with an exception.
 */
int py_loop_run(struct py_socket *self, int timeout_ms, bool once)
{
	const int64_t end = timeout_ms > 0 ? now_ms() + timeout_ms : 0;
	int n, left = timeout_ms;
	bool empty;

	if (begin(self) < 0)
		return -1;
	Py_INCREF(self);
	do {
		n = round_of(self, left);
		empty = n == 0 || (timeout_ms == 0 && n > 0 && n < BATCH && !self->backlog);
		if (timeout_ms > 0)
			left = time_left(end);
	} while (self->sock && !self->stop && !self->closing &&
		 (n == -EINTR || (n > 0 && timeout_ms <= 0 && !once && !empty) ||
		  (n == 0 && timeout_ms < 0)));
	finish(self);
	Py_DECREF(self);
	return n == -EINTR ? 0 : n;
}

/* ---- pulling ---- */

/* Returns a new reference, or NULL. */
static PyObject *take_pending(struct py_queue *queue)
{
	const Py_ssize_t n = PyList_Size(queue->pending);
	PyObject *packet = n > 0 ? PyList_GetItem(queue->pending, n - 1) : NULL;

	Py_XINCREF(packet);
	if (packet && PyList_SetSlice(queue->pending, n - 1, n, NULL) < 0)
		Py_CLEAR(packet);
	return packet;
}

/* Returns 1, if only because of a signal; 0: nothing in time; or -1 with an exception. */
static int fetch(struct py_socket *self, bool wait)
{
	int n = self->rest ? deliver(self) : 0;

	if (n != 0)
		return n;
	n = receive(self, wait ? -1 : 0);
	return n == -EINTR ? 1 : n < 0 ? -1 : n > 0;
}

/*
 * The next packet of a queue; NULL without an exception: there is none now, or it was stopped. All verdicts are on
 * their way then.
 */
PyObject *py_loop_next(struct py_queue *queue, bool wait)
{
	struct py_socket *self = queue->socket;
	PyObject *packet = queue->queue ? take_pending(queue) : NULL;
	int n = 1;

	if (packet || !queue->queue || begin(self) < 0)
		return packet;
	Py_INCREF(self);
	while (n > 0 && !packet && self->sock && !self->stop && queue->queue) {
		n = fetch(self, wait);
		packet = n < 0 ? NULL : take_pending(queue);
	}
	if (packet)
		end(self);
	else
		finish(self);
	Py_DECREF(self);
	return packet;
}
