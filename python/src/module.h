/* SPDX-License-Identifier: MIT */
/*
 * What the files of the extension share. It has one socket type, one queue type, and a packet type for each of
 * the two modules.
 *
 * The library's packets are pulled: mnfq_socket_receive() waits, and sends the verdicts of the batch before,
 * without the GIL; mnfq_socket_next_packet() and all that follows runs with it, which orders the threads. Only
 * for the time of `waiting` another thread may not touch the socket.
 */
#ifndef MNFQ_PYTHON_MODULE_H
#define MNFQ_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <mnfq/mnfq.h>
#include <stdbool.h>
#include <stdint.h>

#define BATCH 64 /* packets that are received at once */

struct py_queue;
struct py_packet;

struct py_socket {
	PyObject_HEAD struct mnfq_socket *sock; /* NULL: closed */
	PyObject *
		ring; /* a capsule, which views of the ring's memory share; NULL: the library's own */
	struct py_socket *next, **link; /* of those that are open */
	struct py_queue *queues;        /* bound here; borrowed */
	PyObject *owned;                /* a list of queues that live as long as the socket */
	const char *gone;               /* why it is closed */
	struct py_packet *hand[BATCH];  /* packets of the batch */
	unsigned int in_hand;
	struct py_packet *spare[BATCH]; /* objects to be used again */
	unsigned int spares;
	bool viewed;  /* somebody kept a view of the ring's memory */
	bool running; /* a thread is in a call that receives, */
	bool waiting; /* and has let go of the GIL */
	bool stop;    /* to be looked at after each packet */
	bool closing; /* close() was called while another thread waits */
	bool backlog; /* the library may have messages that were received before */
	bool rest;    /* the batch has not ended for the library, */
	int messages; /* and has so many */
};

struct py_queue {
	PyObject_HEAD struct mnfq_queue *queue; /* NULL: unbound */
	struct py_socket *socket;
	struct py_queue *next; /* of the socket's */
	PyObject *callback;    /* NULL: its packets are pulled */
	PyObject *pending;     /* a list of packets to be pulled, the last one first */
	PyTypeObject *type;    /* of its packets */
	bool legacy;           /* of netfilterqueue: the callback returns nothing */
	unsigned int num;
	uint32_t default_verdict;
};

enum py_state {
	PY_NONE, /* made by Python code: no packet */
	PY_HAND, /* in hand: @view is the library's view */
	PY_COPY, /* retained: @view is a copy */
	PY_ID,   /* put off by its id */
	PY_DECIDED,
	PY_UNBOUND, /* its queue is gone */
};

/* What both packet types begin with. */
struct py_packet {
	PyObject_HEAD enum py_state state;
	bool over;     /* its callback has returned */
	bool kept;     /* its payload is kept */
	bool has_mark; /* @mark is to be set with the verdict (netfilterqueue) */
	bool changed;  /* something was set on @view */
	uint32_t id;
	uint32_t mark;
	struct mnfq_packet *view;      /* NULL: gone */
	bool copied;                   /* @view is a copy, which is to be freed */
	struct mnfq_packet_info *info; /* of a packet whose view is gone */
	struct py_queue *queue;
	PyObject *payload; /* bytes: to be set with the verdict, or kept */
	PyObject *memory;  /* the payload as a memoryview, and what it stands on, */
	PyObject *basis;
};

/* error.c */
PyObject *py_fail(int err, const char *message);
PyObject *py_fail_socket(const struct py_socket *self, int err);
PyObject *py_fail_packet(const struct py_packet *self, int err);
int py_to_u32(PyObject *object, void *ret);
int py_to_u16(PyObject *object, void *ret);
int py_to_byte(PyObject *object, void *ret);
int py_check_verdict(PyObject *object, uint32_t *ret);

/* state.c: what objects are made of (mnfq derives its types), and the state of sockets */
extern PyTypeObject *py_plain_queue_type, *py_queue_type, *py_packet_type, *py_nfq_packet_type;
struct py_queue *py_queue_find(const struct py_socket *self, const struct mnfq_packet *view);
void py_socket_opened(struct py_socket *self);
int py_socket_use(struct py_socket *self);
int py_socket_settle(struct py_socket *self);
void py_socket_settle_quietly(struct py_socket *self);
void py_socket_detach(struct py_socket *self, const char *why);
void py_socket_drop_spares(struct py_socket *self);
void py_socket_close(struct py_socket *self, const char *why);
void py_socket_after_fork(void);

/* loop.c */
int py_loop_run(struct py_socket *self, int timeout_ms, bool once);
PyObject *py_loop_next(struct py_queue *queue, bool wait);

/* socket.c */
extern PyType_Spec py_socket_spec;

/* queue.c */
PyObject *py_stats(const struct mnfq_stats *stats);
PyObject *py_kernel_stats(const struct mnfq_kernel_stats *stats);
extern PyType_Spec py_queue_spec;
PyObject *py_queue_bind(struct py_socket *self, PyObject *args, PyObject *kwargs);

/* packet.c */
int py_packet_prepare(struct py_socket *socket);
struct py_packet *py_packet_take(struct py_queue *queue, struct mnfq_packet *view);
int py_packet_done(struct py_socket *socket, struct py_packet *self);
void py_packet_settle(struct py_packet *self);
void py_packet_abandon(struct py_packet *self);
int py_packet_decide(struct py_packet *self, uint32_t verdict);
int py_packet_retain(struct py_packet *self);
bool py_packet_info(const struct py_packet *self, struct mnfq_packet_info *info);
void py_packet_dealloc(PyObject *object);
int py_packet_traverse(PyObject *object, visitproc visit, void *arg);
PyObject *py_packet_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);

/* packet-payload.c */
PyObject *py_payload_get(struct py_packet *self, void *unused);
PyObject *py_payload_new_ring(struct mnfq_ring **ring);
int py_payload_leave_ring(struct py_socket *self);
int py_packet_unviewed(struct py_packet *self);

/* packet-get.c, packet-set.c, packet-tuple.c, nfq-packet.c, handover.c, kernel.c */
extern PyObject *py_protocols; /* names by number, or NULL */
extern PyType_Spec py_packet_spec, py_nfq_packet_spec;
extern PyMethodDef py_packet_methods[], py_handover_methods[], py_kernel_methods[];
PyObject *py_packet_gone(const struct py_packet *self);
PyObject *py_packet_get_ct(const struct mnfq_packet *view);
PyObject *py_packet_get_tuple(const struct mnfq_packet *view);
int py_packet_set_payload(struct py_packet *self, PyObject *value, void *unused);
int py_packet_set_l2hdr(struct py_packet *self, PyObject *value, void *unused);
int py_packet_set_vlan(struct py_packet *self, PyObject *value, void *unused);
int py_packet_set_mark(struct py_packet *self, PyObject *value, void *unused);
int py_packet_set_priority(struct py_packet *self, PyObject *value, void *unused);

static inline bool py_is_alone(const void *object)
{
	return (uint32_t)Py_REFCNT((PyObject *)(uintptr_t)object) == 1;
}

#endif
