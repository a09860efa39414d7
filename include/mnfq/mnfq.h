/* SPDX-License-Identifier: MIT */
/*
 * libmnfq: decide network packets in user space (NFQUEUE), over raw netlink. To hand sockets over
 * between processes, see mnfq/handover.h.
 *
 * The contract of every function below, unless its own comment differs:
 *
 * Objects.   A mnfq_socket is one NETLINK_NETFILTER socket in one network namespace. A mnfq_queue
 *            is one queue number bound on a socket. A mnfq_packet is a view of one packet: the
 *            callback of its queue receives it and returns the verdict.
 *
 * Errors.    Functions return 0 or a count on success, a negative errno on failure. They write
 *            results through pointers only on success. Destructors accept NULL and return NULL.
 *            Invalid arguments are -EINVAL, never an abort. mnfq_socket_get_error() returns the
 *            message of the socket's last failure. A constructor that fails writes its message to
 *            the buffer named in its options, even if .size was not set. Getters (mnfq_…_get_…)
 *            fail without a message.
 *
 * Getters.   Flags, and numbers for which 0 means "none", are returned directly. Bytes are
 *            returned as `const uint8_t *get_x(object, &len)`: NULL and a length of 0 if there
 *            are none; &len may be NULL. Only where "absent" differs from 0 does a getter return
 *            0 or -ENODATA and write the number through a pointer. If the object is NULL, getters
 *            return 0, NULL or -EINVAL. A malformed message never becomes a packet: struct
 *            mnfq_stats counts it. Malformed data within an attribute (VLAN, connection
 *            tracking) counts as absent, unless the function documents -EBADMSG.
 *
 * Options.   Option structs begin with `size_t size`. Initialise them with MNFQ_INIT(), then set
 *            what you want to change: zero always means the default, and NULL means all
 *            defaults. A struct larger than this library knows is accepted if the unknown part is
 *            zero; otherwise -E2BIG. A .size that no version can have (0 because it was not set,
 *            below sizeof(size_t), above 4096, or not a multiple of the alignment of size_t) is
 *            -EINVAL. The same holds for structs that a function fills in: .size is the size of
 *            the caller's struct. With a .size of 0, only .error and .error_size of options
 *            that have them are used, for the message.
 *
 * Ownership. What a getter returns belongs to the object and lives as long as the object. A
 *            packet lives until its callback returns, a pulled one until the next
 *            mnfq_socket_receive(); mnfq_packet_retain() keeps it longer. One that was made by
 *            mnfq_packet_from_memory() lives until mnfq_packet_free().
 *
 * Bytes.     Numbers are in host byte order. Hardware addresses and payloads are bytes as they
 *            are on the wire.
 *
 * Threads.   Only one thread at a time may use a socket, its queues and the packets in its
 *            callbacks; the same holds for all sockets that share a ring. Any thread may use a
 *            retained packet, one thread at a time. Any thread may call mnfq_queue_decide() and
 *            mnfq_queue_unbind(), any thread or signal handler mnfq_socket_stop(). The library has
 *            no global state and installs no signal handlers; every descriptor is close-on-exec.
 *            Functions are not reliable cancellation points: do not pthread_cancel() a thread that
 *            may be in one.
 *
 * Rights.    To send anything to the kernel, verdicts included, the sending thread needs
 *            CAP_NET_ADMIN in the user namespace that owns the socket's network namespace. To
 *            bind and configure queues on an adopted socket, the process that opened it must have
 *            had that capability, too, unless MNFQ_SOCKET_LEND is set. Receiving needs none.
 *
 * fork().    A child inherits copies of the descriptors, and a queue lives until the last copy is
 *            closed: the child calls mnfq_socket_forget(), because mnfq_socket_close() would unbind
 *            the parent's queues, and exec() or _exit() alone need nothing. Other threads of the
 *            parent may have been in mnfq_socket_dispatch() or have decided packets at that moment,
 *            but not have bound, configured, unbound or closed anything.
 *
 * Kernel sources: net/netfilter/nfnetlink_queue.c,
 * include/uapi/linux/netfilter/nfnetlink_queue.h. Everything here exists since version 0.1.0.
 */
#ifndef MNFQ_H
#define MNFQ_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <mnfq/version.h>

#ifdef __cplusplus
template <typename T> inline T mnfq_init()
{
	T object = T();
	object.size = sizeof(object);
	return object;
}

extern "C" {
#define MNFQ_ENUM_BASE : unsigned int
#define MNFQ_CAST(type, value) static_cast<type>(value)
#else
#define MNFQ_ENUM_BASE
#define MNFQ_CAST(type, value) ((type)(value))
#endif

/**
 * Initialiser for a struct with .size; all other members are zero, the default:
 * `struct mnfq_queue_options options = MNFQ_INIT(options);`. C, and C++ since C++20, also accept
 * `{ .size = sizeof(options), .max_len = 4096 }`, which sets other members as well.
 */
#ifdef __cplusplus
#define MNFQ_INIT(object) mnfq_init<decltype(object)>()
#else
#define MNFQ_INIT(object)                                                                        \
	{                                                                                        \
		.size = sizeof(object)                                                           \
	}
#endif

struct mnfq_ring;
struct mnfq_socket;
struct mnfq_queue;
struct mnfq_packet;

/** The version of the library in use, "MAJOR.MINOR.PATCH". */
const char *mnfq_get_version(void);

/** Size in bytes of the longest error message, including the terminating NUL. */
#define MNFQ_ERRMSG_SIZE 384

/* ---- verdicts --------------------------------------------------------------------------- */

/**
 * What happens to a packet. Values below 256 are the kernel's (linux/netfilter.h).
 * For another queue see mnfq_verdict_queue().
 */
enum mnfq_verdict MNFQ_ENUM_BASE {
	MNFQ_DROP = 0,   /**< free the packet */
	MNFQ_ACCEPT = 1, /**< leave this base chain (iptables: table), continue with the next */
	MNFQ_REPEAT = 4, /**< traverse the same base chain again: set a mark, or it loops */
	MNFQ_STOP = 5,   /**< accept and skip the rest of this hook */
	MNFQ_DEFER = 256 /**< no verdict: the packet waits until it is decided later */
};

/** Pass the packet to another queue: @p num. If no program is bound there, it is dropped. */
static inline enum mnfq_verdict mnfq_verdict_queue(uint16_t num)
{
	return MNFQ_CAST(enum mnfq_verdict, 3u | MNFQ_CAST(uint32_t, num) << 16);
}

/** Pass the packet to another queue: @p num. If no program is bound there, it is accepted. */
static inline enum mnfq_verdict mnfq_verdict_queue_bypass(uint16_t num)
{
	return MNFQ_CAST(enum mnfq_verdict, 3u | 0x8000u | MNFQ_CAST(uint32_t, num) << 16);
}

/* ---- counters --------------------------------------------------------------------------- */

/** Stands for a number that the kernel does not report. */
#define MNFQ_UNKNOWN UINT64_MAX

/**
 * The library's counters since a socket was opened or a queue was bound. Packets that the kernel
 * drops because the queue is full are not among them: see mnfq_queue_get_kernel_stats(). Packets
 * that the kernel accepts because of MNFQ_QUEUE_FAIL_OPEN are not counted anywhere.
 */
struct mnfq_stats {
	size_t size; /**< sizeof(struct mnfq_stats), set by the caller */

	uint64_t packets; /**< packets passed to a callback */
	uint64_t bytes;   /**< their original lengths, or received lengths where unknown */

	/* Verdicts sent, each packet once; one that could not be sent counts as defaulted. */
	uint64_t accepted;
	uint64_t dropped;
	uint64_t repeated;
	uint64_t stopped;
	uint64_t requeued;  /**< passed to another queue */
	uint64_t marked;    /**< of all these, verdicts that carried a mark */
	uint64_t rewritten; /**< verdicts that carried a payload */
	/**
	 * Packets that got the queue's default verdict because there was no other. Packets still
	 * unread when the queue was unbound are counted as found in the receive buffer: if
	 * another process reads from the socket, there were more. Packets left when the time for
	 * unbinding ran out count here and in `dropped`, whatever the default verdict is.
	 */
	uint64_t defaulted;
	uint64_t invalid;  /**< of `defaulted`: the callback returned an invalid verdict */
	uint64_t deferred; /**< packets that were deferred (MNFQ_DEFER) */
	uint64_t held;     /**< of those, packets still undecided: a level, not a sum */

	/*
	 * Problems. The kernel refuses verdicts for packets that it flushed because a link went
	 * down or a base chain was removed: that is normal. They stay counted above.
	 */
	/**
	 * Ids that never arrived, as a later packet shows: messages that did not fit into the
	 * receive buffer, were taken by a second reader, or were discarded by a socket filter.
	 */
	uint64_t lost;
	uint64_t truncated; /**< messages cut in transit; their packets got the default verdict */
	uint64_t refused;   /**< verdict messages that the kernel answered with an error */
	/**
	 * Of `defaulted`: packets with another verdict, which could not be sent. If another user
	 * of the socket shrank its send buffer and memory runs out as well, some of them may have
	 * been sent.
	 */
	uint64_t unsent;

	/* Of a socket only; 0 for a queue. */
	/**
	 * Messages that the kernel dropped because the receive buffer was full, with their
	 * packets unless MNFQ_QUEUE_FAIL_OPEN is set. This is the kernel's own counter
	 * (SO_MEMINFO), immediate and exact. Later packets show these as `lost`, too. The
	 * kernel's counter has 32 bits: if it counts 2^32 between two calls, these are
	 * missing. MNFQ_UNKNOWN before Linux 4.12.
	 */
	uint64_t overruns;
	uint64_t forged;    /**< datagrams that did not come from the kernel, ignored */
	uint64_t malformed; /**< malformed messages from the kernel, ignored */
	uint64_t unclaimed; /**< packets of a queue that was never bound here, ignored */
};

/* ---- rings ------------------------------------------------------------------------------ */

/**
 * Create a ring: receive memory that the sockets of one thread share (.ring in their options), so
 * that a thousand sockets do not need a thousand rings. A socket without one makes its own. A
 * ring holds no data between calls of mnfq_socket_dispatch() or mnfq_socket_feed(). Only one
 * thread at a time may use the sockets of a ring.
 *
 * @param ret    the new ring; release it with mnfq_ring_free()
 * @param batch  packets received per system call, 1 to 1024; 0: 64
 * @return 0, -EINVAL or -ENOMEM. Each packet of a batch reserves 64 KiB of address space, but
 * uses only the memory that packets touch: 4 or 8 KiB for packets of usual size.
 */
int mnfq_ring_new(struct mnfq_ring **ret, unsigned int batch);

/** Drop the caller's reference to a ring. It is freed with the last socket that shares it. */
struct mnfq_ring *mnfq_ring_free(struct mnfq_ring *ring);

/* ---- sockets ---------------------------------------------------------------------------- */

/**
 * For mnfq_socket_adopt(): bind queues with the caller's rights alone, even if the process that
 * opened the socket had none. Any process with a copy of the socket can then read what the
 * caller's rights let it receive: set this only for a socket whose origin the caller knows.
 */
#define MNFQ_SOCKET_LEND 0x1u

/**
 * Have the kernel stamp packets as it receives them, see mnfq_packet_get_timestamp(). The kernel does
 * so, for all of the system, while a socket of any family but AF_UNIX has SO_TIMESTAMP or one of its
 * relatives: this sets it on the netlink socket, until its last copy is closed. It costs a look at the
 * clock for each packet that the system receives.
 */
#define MNFQ_SOCKET_TIMESTAMPS 0x2u

/** Options of mnfq_socket_open() and the other functions that create a socket. */
struct mnfq_socket_options {
	size_t size; /**< sizeof(struct mnfq_socket_options) */

	/** Where the constructor writes its error message, NUL-terminated; or NULL. */
	char *error;
	size_t error_size; /**< bytes at @p error; MNFQ_ERRMSG_SIZE holds any message */

	/**
	 * Kernel memory for packets that are not received yet, in bytes as the kernel accounts
	 * for it. 0: 64 MiB, a full default queue of 64 KiB packets. Callers without
	 * CAP_NET_ADMIN in the initial user namespace are limited to net.core.rmem_max;
	 * mnfq_socket_get_receive_buffer() returns the effective size.
	 */
	uint32_t receive_buffer;

	/** Packets received per system call, 1 to 1024. 0: 64. */
	uint32_t batch;

	/**
	 * Timeout in milliseconds for the kernel's reply to a request, and for giving the default
	 * verdict to the packets that wait when a queue ends. 0: 2000.
	 */
	uint32_t timeout_ms;

	/**
	 * How long mnfq_socket_dispatch() and mnfq_socket_run() poll for packets before they
	 * sleep, in microseconds, at most 1,000,000. This saves the wake-up latency at the price
	 * of a processor. Polling stops while packets are rare and resumes when they are frequent
	 * again. 0: never poll.
	 */
	uint32_t busy_poll_us;

	/**
	 * A ring to share with other sockets of the same thread. The ring determines the batch
	 * size, so .batch must be 0. NULL: the socket allocates its own.
	 */
	struct mnfq_ring *ring;

	/** MNFQ_SOCKET_TIMESTAMPS; for mnfq_socket_adopt() also MNFQ_SOCKET_LEND. */
	uint32_t flags;

	/**
	 * Target for the longest round of mnfq_socket_dispatch() (receiving, callbacks and
	 * verdicts), in microseconds. An accepted packet continues its path inside the call that
	 * sends its verdict, and the namespace determines how long that path is. So the first
	 * round takes one packet. After a full round that took less than half of the target the
	 * next may take twice as many packets, up to the batch; after one that exceeded it, half
	 * as many, but at least one. The cost of packets can change suddenly: a single round may
	 * take longer. Lost packets get the default verdict in steps of the same kind. 0: no
	 * limit.
	 */
	uint32_t round_us;

	/**
	 * Coalescing, as in network cards: while packets come faster than one in this many
	 * microseconds, mnfq_socket_dispatch() with a timeout and mnfq_socket_run() wait this long
	 * before they receive the next batch, so that it is larger and each packet costs less; at
	 * most 10,000. It may delay each packet by this time. A packet after a longer gap is not
	 * delayed, nor are packets that each wait for the reply to the previous one, except for the
	 * few that show this. The wait is shorter if it would gather more packets than fit into a
	 * quarter of the free room in the queue and in the receive buffer, and there is none where it
	 * saves nothing, or if the timer slack of the thread (prctl(2), PR_SET_TIMERSLACK; 50 us by
	 * default) is longer. Excludes .busy_poll_us. 0: never.
	 */
	uint32_t coalesce_us;

	/**
	 * How long a verdict that was given may wait for other packets' callbacks, in microseconds, 100
	 * to 1,000,000; also while a callback blocks, and between the calls of a program that pulls
	 * packets or gathers verdicts. A thread of the library sends what has waited for this long:
	 * one per ring, named mnfq-delay, started with the first round and asleep while nothing
	 * waits. It blocks all signals. For programs whose callbacks may block. 0: no such thread;
	 * verdicts leave as described at mnfq_socket_dispatch().
	 */
	uint32_t max_delay_us;
};

/**
 * Open a socket in the caller's network namespace.
 *
 * @param ret      the new socket; release it with mnfq_socket_close()
 * @param options  NULL for the defaults
 * @return 0, or
 *   -EINVAL           invalid arguments
 *   -EPROTONOSUPPORT  this kernel has no nfnetlink
 *   -EAFNOSUPPORT, -EACCES, -EPERM  a sandbox or a security module forbids netlink sockets
 *   -EMFILE, -ENFILE  the process or the system has no descriptor left
 *   -ENOMEM
 * Needs no capability; binding a queue does.
 */
int mnfq_socket_open(struct mnfq_socket **ret, const struct mnfq_socket_options *options);

/**
 * Open a socket in another network namespace. The caller's own namespace never changes, not even
 * for a moment: a short-lived thread enters the other one and returns the socket.
 *
 * @param netns  a name under /run/netns; a path to a namespace file, containing a '/'; or a
 *               process id in decimal digits, unless a name under /run/netns is spelled the same
 * @return as mnfq_socket_open(), and
 *   -ENOENT  no such namespace or process
 *   -EINVAL  the path is not a network namespace, or the name is invalid
 *   -ENOTDIR, -ELOOP, …  open(2) refuses the path
 *   -EPERM   CAP_SYS_ADMIN is missing, in the caller's user namespace or in the one that owns the
 *            network namespace
 *   -EACCES  no permission to open the namespace file
 *   -EAGAIN  cannot start a thread: the user or the control group has too many processes
 *            (ulimit -u, pids.max), or there is no memory for it
 * See setns(2).
 */
int mnfq_socket_open_netns(struct mnfq_socket **ret, const char *netns,
			   const struct mnfq_socket_options *options);

/**
 * Open a socket in the network namespace that a descriptor refers to: that of a namespace file,
 * or a pidfd. The caller keeps the descriptor. Otherwise as mnfq_socket_open_netns(); -EBADF: the
 * descriptor is not open.
 */
int mnfq_socket_open_netns_fd(struct mnfq_socket **ret, int netns_fd,
			      const struct mnfq_socket_options *options);

/**
 * Use a netlink socket that was opened elsewhere: passed over a Unix socket, inherited, or made
 * by another library. It works in the namespace in which it was opened, wherever the caller is.
 *
 * The socket does not borrow the caller's rights: with the first request for a queue the kernel
 * checks whether the process that opened the socket had CAP_NET_ADMIN over its namespace (the
 * request has no destination address, see netlink_ns_capable() in net/netlink/af_netlink.c). See
 * MNFQ_SOCKET_LEND.
 *
 * On success the descriptor belongs to the socket object and is closed with it; on failure it
 * still belongs to the caller. Its portid is kept (a socket without one gets one), and its file
 * status flags are not changed. The descriptor becomes close-on-exec. Other settings affect
 * every process that shares the socket: NETLINK_NO_ENOBUFS, larger buffers, SO_TIMESTAMP if
 * MNFQ_SOCKET_TIMESTAMPS is set, and SO_LOCK_FILTER, so that no process can attach a socket filter
 * later. The lock remains even if memory runs out afterwards (-ENOMEM).
 *
 * @return 0, or
 *   -EBADF            not an open descriptor, or opened with O_PATH
 *   -ENOTSOCK         a file, a pipe, a device
 *   -EAFNOSUPPORT     not a netlink socket
 *   -EPROTONOSUPPORT  a netlink socket, but not of NETLINK_NETFILTER
 *   -EISCONN          connected to a peer: the kernel would not deliver anything to it
 *   -EBADFD           it has a socket filter, which could discard packets
 *   -EINVAL, -ENOMEM
 */
int mnfq_socket_adopt(struct mnfq_socket **ret, int fd,
		      const struct mnfq_socket_options *options);

/**
 * Unbind all queues as mnfq_queue_unbind() does, within one timeout_ms in total, close the
 * descriptor and free the socket. Its queues are freed, too; retained packets can still be read
 * and must still be freed. Until it is closed, a socket keeps its network namespace alive, even
 * without any process left there. Remove it from an epoll descriptor first: closing does not do
 * that while another process has a copy of the descriptor. Called from a callback of the socket,
 * this takes effect when the callback returns: no further callback is called,
 * mnfq_socket_dispatch() returns -ECANCELED and mnfq_socket_run() returns 0, and the socket must
 * not be used any more. If mnfq_socket_next_packet() called the callback, that returns NULL, and the socket
 * is closed by the next mnfq_socket_receive() or mnfq_socket_flush(), which returns -ECANCELED.
 */
struct mnfq_socket *mnfq_socket_close(struct mnfq_socket *sock);

/**
 * Let go of a socket in the child after fork(2), so that the parent goes on undisturbed: close this
 * process's copies of the descriptors and free the socket and its queues, without sending anything to
 * the kernel. Call it before anything else with the socket, its queues and its packets. Retained packets
 * can still be read and must still be freed, as if their queue had been unbound. Free the caller's
 * rings, too, with mnfq_ring_free(): one that another thread used at that moment stays in use.
 *
 * In a callback this takes effect when the callback returns, as mnfq_socket_close() does:
 * mnfq_socket_dispatch() returns -ECANCELED. The callback's verdict is not sent.
 *
 * In the only process that has the socket, this has the effect of killing the process: the kernel drops
 * what waits.
 */
struct mnfq_socket *mnfq_socket_forget(struct mnfq_socket *sock);

/**
 * Free the socket object but keep the netlink socket open. Its queues stay bound, and the packets
 * that wait in them go to the next reader of the descriptor: another process that has a copy, or
 * mnfq_socket_adopt() and mnfq_queue_bind(), which take the queues over. Packets that were
 * received but not decided, including retained ones, get the default verdict from that reader.
 *
 * @return the descriptor, which belongs to the caller; -EINVAL; or -EBUSY from a callback.
 */
int mnfq_socket_detach(struct mnfq_socket *sock);

/**
 * Switch the socket to another ring, so that another thread can serve it. A ring holds nothing of
 * the socket between two rounds: queues, retained packets and waiting packets are not affected.
 * Call it in the thread that uses the socket now, or after that thread has stopped using it.
 *
 * @param ring  the new ring; the socket takes a reference, so mnfq_ring_free() may follow. NULL:
 *              the socket makes its own, as large as the previous one
 * @return 0, or, with the ring unchanged,
 *   -EBUSY   called from a callback of the socket, or of a socket that uses the old or the new
 *            ring; or another thread is in such a callback, or dispatches the socket
 *   -EINVAL  no socket
 *   -ENOMEM
 */
int mnfq_socket_set_ring(struct mnfq_socket *sock, struct mnfq_ring *ring);

/**
 * The netlink descriptor, which is readable (POLLIN, level-triggered) whenever
 * mnfq_socket_dispatch() has work to do. It remains owned by the socket. -EINVAL without a
 * socket.
 */
int mnfq_socket_get_fd(const struct mnfq_socket *sock);

/**
 * The netlink portid, by which the kernel identifies the owner of a queue. It is random and above
 * 2^31; an adopted socket keeps the portid that it has.
 */
uint32_t mnfq_socket_get_portid(const struct mnfq_socket *sock);

/**
 * The inode number of the socket's network namespace, which identifies the namespace.
 * @return 0, or
 *   -EPERM  no CAP_NET_ADMIN over it
 *   -EMFILE, -ENFILE  no descriptor left: the query needs one
 *   -EBADF  the socket's descriptor was closed by other code
 *   -ENOMEM, -EINVAL, and -ENOTTY before Linux 4.10
 * See SIOCGSKNS.
 */
int mnfq_socket_get_netns_inode(const struct mnfq_socket *sock, uint64_t *inode);

/**
 * The name of the socket's network namespace: its name under /run/netns if it has one there,
 * otherwise "net:[INODE]".
 *
 * @param size  bytes at @p name
 * @return 0, -ENOSPC if the name with its terminating NUL does not fit, or as
 * mnfq_socket_get_netns_inode().
 */
int mnfq_socket_get_netns_name(const struct mnfq_socket *sock, char *name, size_t size);

/**
 * The name of an interface in the socket's namespace. Names are cached for one second, so that a
 * query for each packet costs no system call.
 *
 * @param name  a buffer of IF_NAMESIZE (16) bytes
 * @return 0, -ENODEV if there is no such interface (any more), -EBADF if the socket's descriptor
 * was closed by other code, -EINVAL.
 */
int mnfq_socket_get_ifname(struct mnfq_socket *sock, uint32_t ifindex, char *name);

/**
 * Request a size for the receive buffer: @p bytes as the kernel accounts for them, 0 for the
 * default.
 * @return 0 even if limits allow less: see mnfq_socket_get_receive_buffer(). -EINVAL: above
 * 2 GiB. -EBADF: the socket's descriptor was closed by other code.
 */
int mnfq_socket_set_receive_buffer(struct mnfq_socket *sock, uint32_t bytes);

/**
 * The effective size of the receive buffer in bytes.
 * @return the size; -EBADF if the socket's descriptor was closed by other code, -EINVAL.
 */
int64_t mnfq_socket_get_receive_buffer(const struct mnfq_socket *sock);

/**
 * Receive the available packets, at most one batch, call the callbacks and send their verdicts: all
 * at the end, but before each callback those that were decided more than a millisecond ago, by the
 * kernel's coarse clock (a resolution of a few milliseconds).
 *
 * @param timeout_ms  how long to wait for the first packet: 0: do not wait, negative: no limit
 * @return the number of packets handled, 0 if none arrived in time, or
 *   -ECANCELED  mnfq_socket_stop() was called (this call consumed it), perhaps in a callback: then no
 *               further callback was called, and the rest of what was received follows in the next
 *               dispatch, for which the descriptor is readable
 *   -EINTR      a signal arrived while waiting
 *   -EINVAL     a queue was bound without a callback
 *   -EAGAIN     cannot start the thread for .max_delay_us
 *   -EBUSY      called from a callback, of this socket or of one that shares its ring; or another
 *               thread is using the ring, which is an error of the program
 *   -EPERM      the kernel refuses verdicts for a queue: the capability or the queue was lost
 *   -ENODEV     another user of the socket unbound a queue
 *   -ENOMEM, -ENOBUFS, -EMSGSIZE  verdicts could not be sent: no memory, or another user of the
 *               socket shrank its send buffer below the size of one verdict
 *   -EBADF      the descriptor was closed by other code
 *   -EMFILE, -ENFILE  no descriptor left for waiting
 * The socket remains usable after any of these. A persistent failure of a queue is returned once,
 * until verdicts for that queue work again; `refused` counts each of them.
 *
 * Packets whose verdicts could not be sent get their queue's default verdict before any later
 * packet is decided. Packets whose verdicts were refused with -EPERM get it as soon as the
 * refusal has been read, possibly after later verdicts; the kernel answers only once for all
 * verdicts sent together. While that fails, a dispatch that waits retries after 0.1 to 1 second;
 * an event loop that got the error calls mnfq_socket_dispatch(sock, 0) from a timer.
 *
 * A socket opened by the library waits in the receive itself if the wait may last a second or more,
 * which saves a system call per wait; it sets SO_RCVTIMEO to 1 second for that. Other sockets, those
 * that share a ring, and a wait that has lasted for a second, wait in poll(2).
 *
 * The descriptor's O_NONBLOCK flag is neither needed nor changed: every process with a copy of
 * the descriptor shares it.
 */
int mnfq_socket_dispatch(struct mnfq_socket *sock, int timeout_ms);

/**
 * Dispatch until mnfq_socket_stop(); signals do not interrupt it.
 * @return 0 once stopped, or an error of mnfq_socket_dispatch()
 */
int mnfq_socket_run(struct mnfq_socket *sock);

/**
 * Stop the mnfq_socket_run() or mnfq_socket_dispatch() in progress, after the callback that is
 * running, or else the next one. The verdicts given so far are sent. Safe in signal handlers, in
 * callbacks and from any thread while the socket exists; requires no capability. It does not make
 * mnfq_socket_get_fd() readable, unless another thread waits in mnfq_socket_dispatch(): to end an
 * event loop, use a descriptor of your own. If another process with a copy of the descriptor reads
 * the message that ends the wait, the wait ends within a second.
 */
void mnfq_socket_stop(struct mnfq_socket *sock);

/**
 * For mnfq_socket_feed(), as @p from_len of a @p from that is NULL: the caller vouches that the
 * kernel sent the datagram. Only for callers that have checked the sender themselves: any process
 * with CAP_NET_ADMIN over the namespace can send datagrams to the socket's portid.
 */
#define MNFQ_FROM_KERNEL 0x6b65726eu /* no address is that long */

/**
 * Handle a datagram that the caller received from the socket itself (recvmsg(2), io_uring, a
 * wrapper in another language). It is handled as in mnfq_socket_dispatch(), and the verdicts are
 * sent before this returns. Feed datagrams in the order of reception. Do not receive while you
 * bind, configure or unbind a queue: you would take the kernel's reply. Before you unbind a
 * queue, feed or discard everything received; never feed it to a queue bound later.
 *
 * @param datagram  the bytes; they must not change during the call
 * @param len       the number of bytes received
 * @param from      the sender as returned by recvmsg(2): datagrams that are not from the kernel
 *                  are counted as forged and ignored, and so are those without a sender
 * @param from_len  the number of bytes at @p from; or MNFQ_FROM_KERNEL without a sender
 * @return the number of packets handled, or an error as mnfq_socket_dispatch(). After -ENOMEM the
 * datagram may be lost, which is counted.
 *
 * To handle several datagrams with one system call for all verdicts, put mnfq_socket_cork() and
 * mnfq_socket_flush() around them.
 */
int mnfq_socket_feed(struct mnfq_socket *sock, const void *datagram, size_t len,
		     const struct sockaddr *from, socklen_t from_len);

/**
 * Receive a batch whose packets the caller takes one by one, with mnfq_socket_next_packet(), instead of
 * having callbacks called:
 *
 *     while (mnfq_socket_receive(sock, -1) > 0)
 *             while ((packet = mnfq_socket_next_packet(sock)))
 *                     mnfq_packet_decide(packet, MNFQ_ACCEPT);
 *
 * First the batch before ends: its packets that were taken and not decided get the default verdict, unless
 * they were retained, and its verdicts are sent; those that were not taken come again, first. Then this
 * waits as mnfq_socket_dispatch() does. In an event loop take all packets before you wait
 * for the descriptor.
 *
 * mnfq_socket_dispatch(), mnfq_socket_feed(), mnfq_socket_close(), mnfq_socket_detach(), mnfq_socket_set_ring()
 * and mnfq_queue_unbind() end the batch as well. While there is one, sockets that share the ring cannot be used
 * (-EBUSY).
 *
 * @param timeout_ms  as for mnfq_socket_dispatch()
 * @return the number of messages received, of which most are packets; 0 if none arrived in time; or an error
 * as mnfq_socket_dispatch()
 */
int mnfq_socket_receive(struct mnfq_socket *sock, int timeout_ms);

/**
 * Take the next packet of the batch that mnfq_socket_receive() received. Queues with a callback have it
 * called; their packets are not returned.
 *
 * @return the packet, which belongs to the socket and is to be decided with mnfq_packet_decide(): it can be
 * read until it is decided, and after that until the next call of this function, but for a new payload.
 * NULL: there is none left, or no batch
 */
struct mnfq_packet *mnfq_socket_next_packet(struct mnfq_socket *sock);

/**
 * Gather the verdicts that this thread gives from now on, until mnfq_socket_flush(): for retained and deferred
 * packets, and for those in mnfq_socket_feed(). One system call sends them all, in batch
 * verdicts where ids allow: for packets of a queue that are decided oldest first, with equal
 * verdicts. Verdicts of other threads are not gathered: see mnfq_queue_decide(). The next
 * mnfq_socket_dispatch() or mnfq_socket_receive() sends what was gathered, too. While verdicts are
 * gathered, sockets that share the ring cannot be used (-EBUSY).
 *
 * @return 0, also if verdicts are gathered already or there is a batch to be pulled, for which that is always so;
 * or
 *   -EBUSY   called from a callback, or the ring is in use
 *   -EAGAIN  cannot start the thread for .max_delay_us
 *   -ENOMEM, -EINVAL
 */
int mnfq_socket_cork(struct mnfq_socket *sock);

/**
 * Send the verdicts given so far: in a callback those of the batch under way; else what
 * mnfq_socket_cork() or the decisions on pulled packets gathered. Ends gathering, and a batch of which every packet
 * was taken and decided.
 *
 * @return 0, also if there is nothing to send; or
 *   -ENOMEM, -ENOBUFS, -EMSGSIZE, -EBADF  verdicts could not be sent, as in mnfq_socket_dispatch()
 *   -ECANCELED  a callback closed the socket, see mnfq_socket_close()
 *   -EINVAL
 */
int mnfq_socket_flush(struct mnfq_socket *sock);

/**
 * The counters of the socket and of all queues ever bound on it.
 * @return 0 or -EINVAL
 */
int mnfq_socket_get_stats(struct mnfq_socket *sock, struct mnfq_stats *stats);

/** The error message of the last failure of this socket; "" if there was none. */
const char *mnfq_socket_get_error(const struct mnfq_socket *sock);

/* ---- queues ----------------------------------------------------------------------------- */

/** How much of each packet the kernel copies to user space. */
enum mnfq_copy MNFQ_ENUM_BASE {
	MNFQ_COPY_DEFAULT = 0, /**< MNFQ_COPY_PACKET */
	MNFQ_COPY_META = 1,    /**< no payload: neither its bytes nor its length are known */
	MNFQ_COPY_PACKET = 2,  /**< the first copy_range bytes */
	MNFQ_COPY_NONE = 3     /**< nothing: the kernel drops packets that reach the queue */
};

#define MNFQ_COPY_RANGE_MAX  65531u /**< maximum payload bytes in a message */
#define MNFQ_MAX_LEN_DEFAULT 1024u  /**< the kernel's default queue length */
/**
 * A queue length of 0, for which a plain 0 cannot stand. The kernel gives the program no packet: it
 * drops each and counts it as queue_dropped, or, with MNFQ_QUEUE_FAIL_OPEN, accepts each uncounted.
 * Packets that wait when it is set still need their verdicts.
 */
#define MNFQ_MAX_LEN_ZERO 0xfffffffeu

/*
 * Flags of a queue: the kernel's NFQA_CFG_F_*, except NO_GSO, which inverts NFQA_CFG_F_GSO.
 * Without NO_GSO large packets arrive unsplit, and checksums may be incomplete
 * (MNFQ_SKB_CSUMNOTREADY).
 */
#define MNFQ_QUEUE_FAIL_OPEN 0x01u /**< accept packets, unseen, while the queue is full */
#define MNFQ_QUEUE_CONNTRACK 0x02u /**< include connection tracking data */
#define MNFQ_QUEUE_NO_GSO    0x04u /**< split large packets first, complete their checksums */
#define MNFQ_QUEUE_UID_GID   0x08u /**< include the owner of a local sender's socket */
#define MNFQ_QUEUE_SECCTX    0x10u /**< include the security context */
#define MNFQ_QUEUE_FLAGS     0x1fu /**< all of them */

/**
 * Called when the kernel refused a verdict.
 *
 * @param queue  the queue of the packet
 * @param id     the id of the packet. For a batch verdict, which the library makes of equal
 *               verdicts on consecutive packets, the id of the last one. Of several verdicts
 *               refused together with -EPERM the kernel reports only the first
 * @param error  a negative errno: -ENOENT if the packet (or every packet of the batch) was no
 *               longer queued, because an interface went down or a base chain was removed;
 *               -EPERM,
 *               -ENODEV, -EINVAL, -ENOMEM
 * @param data   as passed to mnfq_queue_bind()
 * Called from mnfq_socket_dispatch(), mnfq_socket_feed() and mnfq_socket_next_packet(), after the
 * refusal was counted. It may call the same functions as a mnfq_callback.
 */
typedef void (*mnfq_refused_callback)(struct mnfq_queue *queue, uint32_t id, int error,
				      void *data);

/** Settings of a queue. */
struct mnfq_queue_options {
	size_t size; /**< sizeof(struct mnfq_queue_options) */

	enum mnfq_copy copy_mode;
	uint32_t copy_range; /**< bytes of payload, 1 to MNFQ_COPY_RANGE_MAX; 0: the maximum */
	/** Queue length in packets. 0: MNFQ_MAX_LEN_DEFAULT; none at all: MNFQ_MAX_LEN_ZERO. */
	uint32_t max_len;

	uint32_t flags; /**< MNFQ_QUEUE_* */

	/**
	 * Flags that the caller can do without: if the kernel lacks support for such a flag, it
	 * is left out. mnfq_queue_get_options() returns the flags in effect. A flag that is only
	 * here, not in .flags, is optional for mnfq_queue_set_flags().
	 */
	uint32_t flags_optional;

	/** For packets without another verdict; not MNFQ_DEFER. 0: MNFQ_DROP, fail-closed. */
	enum mnfq_verdict default_verdict;

	/** Called when the kernel refuses a verdict, or NULL. `refused` counts it either way. */
	mnfq_refused_callback refused;
};

/**
 * Examines a packet and returns its verdict.
 *
 * @param packet  valid until the callback returns
 * @param data    as passed to mnfq_queue_bind()
 * @return the verdict, or MNFQ_DEFER: the packet is decided later, by mnfq_packet_decide() if it was
 * retained, or by mnfq_queue_decide(). An invalid verdict is replaced by the queue's default verdict and
 * counted as invalid; so is MNFQ_DEFER for a packet that was changed but not retained, since the
 * changes would be lost. What mnfq_packet_decide() decided in the callback stays so: the return value is
 * ignored.
 * The callback may call any function except mnfq_socket_dispatch(), mnfq_socket_run(),
 * mnfq_socket_receive(), mnfq_socket_cork() and mnfq_socket_feed(), which return -EBUSY. It may close other
 * sockets that share the ring.
 */
typedef enum mnfq_verdict (*mnfq_callback)(struct mnfq_packet *packet, void *data);

/**
 * Bind a queue number and configure it, in a single request to the kernel. Packets that arrive
 * during the call are delivered by the next mnfq_socket_dispatch().
 *
 * An adopted socket may own the queue already, bound by a previous reader; then it is taken over.
 * Packets that the previous reader received but did not decide get the default verdict, which is
 * not counted; so may packets that arrive at this moment. Packets not received yet are delivered.
 * Unless the default verdict is MNFQ_DROP, each packet continues its path inside this call, which
 * may take long: after the socket's timeout_ms the call fails with -ETIMEDOUT, and the next call
 * continues. Packets more than 65,536 ids before the first one delivered are dropped. If that one
 * is unknown, because none was left to deliver and the kernel's counters cannot be read, the
 * queue is unbound and bound again, which drops everything that waits.
 *
 * Binding a number again on a socket, and binding on an adopted socket, waits for a grace period
 * of the kernel (membarrier(2), about 20 ms), so that packets of the former queue are not
 * mistaken for packets of the new one.
 *
 * @param ret       the new queue, for mnfq_queue_unbind() and settings. NULL if not needed: the
 *                  queue belongs to its socket and ends with it
 * @param num       0 to 65535
 * @param options   NULL for the defaults
 * @param callback  called for each packet from mnfq_socket_dispatch() and mnfq_socket_feed(). NULL: the
 *                  packets are pulled with mnfq_socket_receive() and mnfq_socket_next_packet()
 * @param data      passed to the callback; mnfq_queue_get_data() returns it
 * @return 0, or, each with its message in mnfq_socket_get_error(),
 *   -EINVAL           a number, length, mode, flag or verdict out of range
 *   -EPERM            no CAP_NET_ADMIN, here or where an adopted socket was opened: the message
 *                     says which process lacks it, over which namespace
 *   -EBUSY            another socket owns the queue, also at a second attempt: the message names
 *                     the socket and its process
 *   -EEXIST           this socket has already bound the queue, or another process that shares the
 *                     socket just did
 *   -EOPNOTSUPP       the kernel lacks support for a flag
 *   -EPROTONOSUPPORT  the kernel has no NFQUEUE support
 *   -ETIMEDOUT        no reply in time, because another process reads from the socket; or not
 *                     enough time for the packets that the previous reader left, which stay in
 *                     the queue with the settings of this call
 *   -EBADF            the socket's descriptor was closed by other code
 *   -ENOMEM, -ENOBUFS
 */
int mnfq_queue_bind(struct mnfq_queue **ret, struct mnfq_socket *sock, unsigned int num,
		    const struct mnfq_queue_options *options, mnfq_callback callback, void *data);

/**
 * Unbind a queue and free it, after its undecided packets, including retained ones, got the
 * default verdict. The kernel drops packets that arrive in between, and packets that another
 * reader of the socket took. Unless the default verdict is MNFQ_DROP, each packet continues its
 * path inside this call, which may take long: packets left after the socket's timeout_ms are
 * dropped. For the caller it cannot fail; but without CAP_NET_ADMIN the kernel refuses, and the
 * queue ends when the socket is closed. Packets that waited count as `defaulted`. Called from a
 * callback of the socket, it takes effect when the callback returns; from another thread, while
 * mnfq_socket_dispatch(), mnfq_socket_run(), mnfq_socket_receive() or mnfq_socket_feed() is under way, as soon as
 * that thread runs no callback, and while it pulls packets or gathers verdicts, with its next
 * mnfq_socket_next_packet() or mnfq_socket_receive(), or the flush that ends that. Then the queue must not be used
 * any more all the same.
 */
struct mnfq_queue *mnfq_queue_unbind(struct mnfq_queue *queue);

/**
 * Change the settings of a running queue: all of them, as in mnfq_queue_bind(). To change a
 * single one, start from mnfq_queue_get_options().
 * @return as mnfq_queue_bind(), or -ENODEV if another user of the socket unbound the queue. After
 * a failure the settings are unchanged, except that after -ETIMEDOUT and -ENOMEM they are
 * unknown: configure again.
 */
int mnfq_queue_configure(struct mnfq_queue *queue, const struct mnfq_queue_options *options);

/**
 * Set and clear flags of a running queue; all other settings are unchanged.
 *
 * @param flags  MNFQ_QUEUE_* to set
 * @param mask   the flags to change: those not in @p flags are cleared
 * @return as mnfq_queue_configure(); -EINVAL: unknown flags, or flags outside of the mask. A flag
 * in the queue's flags_optional that the kernel does not support stays cleared.
 */
int mnfq_queue_set_flags(struct mnfq_queue *queue, uint32_t flags, uint32_t mask);

/**
 * The settings in effect, with defaults filled in and limits applied: copy_range is 0 without
 * MNFQ_COPY_PACKET, and flags that the kernel lacks are missing.
 * @param options  .size set by the caller
 * @return 0 or -EINVAL.
 */
int mnfq_queue_get_options(const struct mnfq_queue *queue, struct mnfq_queue_options *options);

/** The number of the queue. */
uint16_t mnfq_queue_get_num(const struct mnfq_queue *queue);

/** The callback's data, as passed to mnfq_queue_bind(). */
void *mnfq_queue_get_data(const struct mnfq_queue *queue);

/** The socket on which the queue is bound. */
struct mnfq_socket *mnfq_queue_get_socket(const struct mnfq_queue *queue);

/**
 * The counters of the queue.
 * @return 0 or -EINVAL
 */
int mnfq_queue_get_stats(const struct mnfq_queue *queue, struct mnfq_stats *stats);

/**
 * The kernel's counters of a queue since it was bound: its line in
 * /proc/net/netfilter/nfnetlink_queue. They have 32 bits and wrap around.
 */
struct mnfq_kernel_stats {
	size_t size; /**< sizeof(struct mnfq_kernel_stats), set by the caller */

	uint64_t waiting;       /**< packets without a verdict: unread, or retained */
	uint64_t queue_dropped; /**< packets dropped because the queue was full (max_len) */
	uint64_t user_dropped;  /**< packets dropped because the receive buffer was full */
	uint32_t portid;        /**< the owner: mnfq_socket_get_portid() */
	uint32_t last_id;       /**< id of the last packet */
	uint32_t queues;        /**< the number of queues in these sums */
};

/**
 * Read the kernel's counters of a queue. The first call for a socket opens the file of its
 * network namespace, which stays open as long as the socket: a program that drops privileges
 * calls this once before. It needs CAP_NET_ADMIN over that namespace and, if the caller is in
 * another one, CAP_SYS_ADMIN over it; and only the namespace's root may open the file.
 *
 * @return 0, or, each with its message in mnfq_socket_get_error(),
 *   -ENODATA  cannot read the file: a capability is missing, there is no /proc, or no descriptor
 *             is left
 *   -ENODEV   the queue is no longer bound on this socket
 *   -EINVAL   invalid arguments
 */
int mnfq_queue_get_kernel_stats(struct mnfq_queue *queue, struct mnfq_kernel_stats *stats);

/**
 * Read the sum of the kernel's counters over all queues now bound on a socket; last_id is 0. If
 * another user of the socket unbound a queue, its counters are missing and .queues is smaller
 * than expected.
 * @return as mnfq_queue_get_kernel_stats(), but not -ENODEV
 */
int mnfq_socket_get_kernel_stats(struct mnfq_socket *sock, struct mnfq_kernel_stats *stats);

/**
 * A queue of any owner, as the kernel lists it. The counters began when the queue was bound, have
 * 32 bits and wrap around: the difference of two readings, as a uint32_t, is right as long as
 * .portid is the same and fewer than 2^32 were counted in between.
 */
struct mnfq_kernel_queue {
	size_t size; /**< sizeof(struct mnfq_kernel_queue) */

	uint16_t num;             /**< the number of the queue */
	enum mnfq_copy copy_mode; /**< MNFQ_COPY_DEFAULT: one that this version does not know */
	uint32_t copy_range;      /**< bytes of payload, with MNFQ_COPY_PACKET */
	uint32_t portid;          /**< the owner: the portid of its netlink socket */
	uint32_t waiting;         /**< packets without a verdict */
	uint32_t queue_dropped;   /**< packets dropped because the queue was full */
	uint32_t user_dropped;    /**< packets dropped because the receive buffer was full */
	uint32_t last_id;         /**< id of the last packet: how many have entered the queue */
};

/**
 * Read the queues of a network namespace, whoever owns them, from the kernel's list: the file
 * net/netfilter/nfnetlink_queue under /proc/thread-self or under /proc/PID of a process in that
 * namespace. Only root of the namespace may open it, or a process with CAP_DAC_READ_SEARCH over
 * it; reading takes no right, and the descriptor shows the same namespace for good.
 *
 * The file is read from its start each time, without changing the descriptor's position. The
 * kernel lists the queues in no order, and one that is bound or unbound meanwhile may make
 * another one appear twice or not at all. Further columns are ignored, and lines that are cut or
 * malformed are left out. Allocates nothing.
 *
 * @param fd      the open file; stays the caller's
 * @param queues  an array; the caller sets .size of the first element, which holds for all. NULL
 *                if @p count is 0
 * @param count   how many elements it has; a namespace has at most 65536 queues
 * @return how many queues there are, which may be more than @p count: then the array is full, and
 * the rest is missing; read again with a larger one. Or, with the array's contents undefined,
 *   -EINVAL   invalid arguments
 *   -EBADMSG  not that file: its lines are too long, or too many
 *   any other errno  of pread(2): -EBADF, -ESPIPE
 */
int mnfq_kernel_queues_read(int fd, struct mnfq_kernel_queue *queues, size_t count);

/* ---- packets ---------------------------------------------------------------------------- */

/* Flags of mnfq_packet_get_skb_info(): the kernel's NFQA_SKB_*. */
#define MNFQ_SKB_CSUMNOTREADY     0x1u /**< transport checksum not computed yet; not an error */
#define MNFQ_SKB_GSO              0x2u /**< will be split into several packets */
#define MNFQ_SKB_CSUM_NOTVERIFIED 0x4u /**< checksum not verified yet */

/** The packet's queue; NULL for a retained packet whose queue was unbound, and for one from memory. */
struct mnfq_queue *mnfq_packet_get_queue(const struct mnfq_packet *packet);

/** The number of the packet's queue, even if it was unbound. */
uint16_t mnfq_packet_get_queue_num(const struct mnfq_packet *packet);

/**
 * Attach user data to a packet. The library neither dereferences nor frees the pointer.
 *
 * A retained copy inherits the pointer of the original. While the original's callback runs,
 * setting it on the original also sets it on the copy; setting it on the copy changes only the
 * copy.
 */
void mnfq_packet_set_data(struct mnfq_packet *packet, void *data);

/** The pointer set with mnfq_packet_set_data(); NULL if none was set. */
void *mnfq_packet_get_data(const struct mnfq_packet *packet);

/** The kernel's packet id, counting up from 1 in each queue. */
uint32_t mnfq_packet_get_id(const struct mnfq_packet *packet);

/** The protocol family of the hook: NFPROTO_IPV4, _IPV6, _BRIDGE, … (linux/netfilter.h). */
uint8_t mnfq_packet_get_family(const struct mnfq_packet *packet);

/** The hook within its family: NF_INET_PRE_ROUTING and so on (linux/netfilter.h). */
uint8_t mnfq_packet_get_hook(const struct mnfq_packet *packet);

/**
 * The name of the hook: prerouting, input, forward, output, postrouting, ingress, egress;
 * "unknown" for a hook that this version does not know. The string is static.
 */
const char *mnfq_packet_get_hook_name(const struct mnfq_packet *packet);

/**
 * The EtherType (linux/if_ether.h) that the kernel reports; 0 if it reports none, which also happens for
 * IP packets.
 */
uint16_t mnfq_packet_get_hw_protocol(const struct mnfq_packet *packet);

/**
 * The protocol at the start of the payload, as an EtherType (linux/if_ether.h): ETH_P_IP and ETH_P_IPV6 at
 * hooks of NFPROTO_IPV4 and NFPROTO_IPV6; otherwise, for example in bridges, that of
 * mnfq_packet_get_hw_protocol(). 0 if unknown.
 */
uint16_t mnfq_packet_get_ethertype(const struct mnfq_packet *packet);

/** The packet's mark; 0 if none is set. A mark set for the verdict does not change it. */
uint32_t mnfq_packet_get_mark(const struct mnfq_packet *packet);

/**
 * The packet's interfaces, as indexes in the socket's namespace; 0 if there is none. The physical
 * ones are bridge ports, if the packet passes through a bridge.
 */
uint32_t mnfq_packet_get_indev(const struct mnfq_packet *packet);
uint32_t mnfq_packet_get_outdev(const struct mnfq_packet *packet);
uint32_t mnfq_packet_get_physindev(const struct mnfq_packet *packet);
uint32_t mnfq_packet_get_physoutdev(const struct mnfq_packet *packet);

/**
 * The name of one of the above interfaces, in the packet's namespace. As
 * mnfq_socket_get_ifname(), except that any thread may call it for a retained packet: then names
 * are not cached, and each call is a system call.
 *
 * @param name  a buffer of IF_NAMESIZE (16) bytes
 * @return 0, or -ENODEV: there is no such interface (any more), or the retained packet's queue
 * was unbound, or its socket closed; -EBADF: the socket's descriptor was closed by other code;
 * -EINVAL.
 */
int mnfq_packet_get_ifname(const struct mnfq_packet *packet, uint32_t ifindex, char *name);

/**
 * The MTU in bytes of the packet's output interface: of the bridge port if it leaves through a
 * bridge. The path MTU may be smaller. A packet that an edit makes larger than this is dropped or
 * fragmented, see mnfq_packet_edit(). Large packets (MNFQ_SKB_GSO) may exceed it, as they are
 * split later. As in mnfq_socket_get_ifname(), MTUs are cached for one second, except for
 * retained packets.
 * @return 0, or -ENODATA: no output interface is known (INPUT has none, PREROUTING not yet);
 * -ENODEV: the interface no longer exists, or the retained packet's queue was unbound; -EBADF:
 * the socket's descriptor was closed by other code; -EINVAL.
 */
int mnfq_packet_get_mtu(const struct mnfq_packet *packet, uint32_t *mtu);

/**
 * The sender's link-layer address, NULL if there is none.
 * @param len  its length in bytes, 6 for Ethernet; 0 if there is none
 */
const uint8_t *mnfq_packet_get_hwaddr(const struct mnfq_packet *packet, size_t *len);

/**
 * The time when the packet was received, in microseconds since 1970 (CLOCK_REALTIME); 0 if there is
 * none. The kernel stamps packets only while some socket on the system requests it, so set
 * MNFQ_SOCKET_TIMESTAMPS; it begins a moment later. It reports the time in PREROUTING, INPUT and
 * FORWARD alone: in OUTPUT and POSTROUTING there is none. What local senders send to this host has
 * one in INPUT.
 */
int64_t mnfq_packet_get_timestamp(const struct mnfq_packet *packet);

/** The packet's MNFQ_SKB_* flags; 0 if none is set. */
uint32_t mnfq_packet_get_skb_info(const struct mnfq_packet *packet);

/**
 * The user and group id of the local socket that sent the packet, in the initial user namespace.
 * @return 0, or -ENODATA: the queue lacks MNFQ_QUEUE_UID_GID, or no local socket sent the packet.
 */
int mnfq_packet_get_uid(const struct mnfq_packet *packet, uint32_t *uid);
int mnfq_packet_get_gid(const struct mnfq_packet *packet, uint32_t *gid);

/**
 * The security context of the packet, derived from its SECMARK, as text of the security module
 * (SELinux, Smack), not necessarily NUL-terminated. Only for packets sent locally. NULL: the
 * queue lacks MNFQ_QUEUE_SECCTX, no local socket sent the packet, or it has no SECMARK.
 *
 * @param len  its length in bytes
 */
const char *mnfq_packet_get_secctx(const struct mnfq_packet *packet, size_t *len);

/**
 * The packet's priority: skb->priority, set by SO_PRIORITY, the type of service or a rule, and
 * used by queueing disciplines (tc(8), major:minor in the upper and lower 16 bits). Linux before
 * 5.18 does not report it: 0.
 */
uint32_t mnfq_packet_get_priority(const struct mnfq_packet *packet);

/**
 * The class id of the local sender's control group (net_cls.classid, cgroup v1). 0: it has none,
 * no local socket sent the packet, or the kernel does not report it (Linux 6.4 does).
 */
uint32_t mnfq_packet_get_cgroup_classid(const struct mnfq_packet *packet);

/**
 * The VLAN tag that the kernel keeps separately from the packet's bytes. Bridge family only.
 *
 * @param tci       priority (3 bits), drop eligible (1 bit), VLAN id (12 bits); may be NULL
 * @param protocol  ETH_P_8021Q or ETH_P_8021AD (linux/if_ether.h); may be NULL
 * @return 0, -ENODATA if there is none, -EBADMSG if the kernel's attribute is malformed, -EINVAL.
 */
int mnfq_packet_get_vlan(const struct mnfq_packet *packet, uint16_t *tci, uint16_t *protocol);

/**
 * The link-layer header, from the first byte of the frame to the network header. Bridge family
 * only.
 * @param len  its length in bytes: 14 for Ethernet, without the VLAN tag, which is kept
 *             separately
 */
const uint8_t *mnfq_packet_get_l2hdr(const struct mnfq_packet *packet, size_t *len);

/** Identifies the flow of a packet, or one direction of a connection. */
struct mnfq_tuple {
	size_t size; /**< sizeof(struct mnfq_tuple), set by the caller */

	uint8_t family;   /**< AF_INET, AF_INET6; 0 if the kernel omitted it from a connection */
	uint8_t protocol; /**< IPPROTO_* */
	uint16_t zone; /**< of this direction of a connection only; 0 if it has none of its own */
	uint8_t src[16]; /**< as on the wire: 4 bytes for AF_INET, 16 for AF_INET6 */
	uint8_t dst[16];
	uint16_t sport; /**< 0 if the protocol has none */
	uint16_t dport;
	uint16_t id; /**< for ICMP and ICMPv6, like type and code */
	uint8_t type;
	uint8_t code;
};

/**
 * The addresses and ports in the packet, or in the new payload if there is one. Fields that are
 * missing, because the packet is a later fragment or was truncated, are 0. ICMP and ICMPv6 have
 * type and code, and echo requests and replies an id.
 *
 * @param tuple  .size set by the caller
 * @return 0, or as mnfq_packet_get_layers()
 */
int mnfq_packet_get_tuple(const struct mnfq_packet *packet, struct mnfq_tuple *tuple);

/* ---- packets: connection tracking --------------------------------------------------------
 *
 * The kernel's data about the packet's connection. It needs MNFQ_QUEUE_CONNTRACK and a tracked
 * packet: nf_conntrack and nf_conntrack_netlink are loaded, some rule or NAT in the namespace
 * requests tracking, and no rule exempts the packet. mnfq_packet_get_ct() shows whether there is
 * any. See net/netfilter/nf_conntrack_netlink.c.
 *
 * Malformed data counts as absent: numbers are 0, labels NULL. mnfq_packet_get_ct_tuple() returns -EBADMSG
 * if a tuple, or an attribute around the tuples, is malformed.
 */

/** A direction of a connection: that of its first packet, or the opposite one. */
enum mnfq_ct_direction MNFQ_ENUM_BASE { MNFQ_CT_ORIGINAL = 0, MNFQ_CT_REPLY = 1 };

/**
 * State and direction of the packet within its connection, as a number: the kernel's enum
 * ip_conntrack_info (linux/netfilter/nf_conntrack_common.h).
 * @return 0, or -ENODATA, -EINVAL.
 */
int mnfq_packet_get_ct_info(const struct mnfq_packet *packet, uint32_t *info);

/**
 * The name of the state: new, established, related, untracked; "unknown" for a state that this
 * version does not know, NULL without tracking data. The string is static.
 */
const char *mnfq_packet_get_ct_state_name(const struct mnfq_packet *packet);

/** The name of the direction: original, reply; NULL if there is none. The string is static. */
const char *mnfq_packet_get_ct_direction_name(const struct mnfq_packet *packet);

/** The connection mark; 0 if none was ever set. */
uint32_t mnfq_packet_get_ct_mark(const struct mnfq_packet *packet);

/** The kernel's id of the connection, as shown by conntrack --output id. */
uint32_t mnfq_packet_get_ct_id(const struct mnfq_packet *packet);

/** The status bits of the connection: IPS_* (linux/netfilter/nf_conntrack_common.h). */
uint32_t mnfq_packet_get_ct_status(const struct mnfq_packet *packet);

/** The conntrack zone of the connection; 0 is the default zone. */
uint16_t mnfq_packet_get_ct_zone(const struct mnfq_packet *packet);

#define MNFQ_CT_LABELS_SIZE 16 /**< bytes of connection labels: 128 bits */

/**
 * The connection labels, 128 bits: label n is bit n % 8 of byte n / 8 on little-endian machines
 * (the kernel stores them in machine words). NULL if none was ever set.
 * @param len  MNFQ_CT_LABELS_SIZE on all kernels so far
 */
const uint8_t *mnfq_packet_get_ct_labels(const struct mnfq_packet *packet, size_t *len);

/**
 * The addresses of one direction of the connection, as netfilter sees them after NAT.
 * @param tuple  .size set by the caller
 * @return 0, or -ENODATA, -EINVAL, or -EBADMSG: the kernel's attribute is malformed.
 */
int mnfq_packet_get_ct_tuple(const struct mnfq_packet *packet, enum mnfq_ct_direction direction,
			     struct mnfq_tuple *tuple);

/**
 * All connection tracking data: the contents of NFQA_CT, a sequence of CTA_* attributes
 * (linux/netfilter/nfnetlink_conntrack.h), for your own parser or nfct_payload_parse() of
 * libnetfilter_conntrack. Aligned to 4 bytes; the contents are not validated. NULL: the packet
 * came without connection tracking data.
 * @param len  in bytes
 */
const uint8_t *mnfq_packet_get_ct(const struct mnfq_packet *packet, size_t *len);

/* ---- packets: what they carry, and what is changed with the verdict ----------------------- */

/**
 * The packet from its network header on (for bridges, from the end of the link-layer header), or
 * the new payload if one was set.
 * @param len  available bytes, at most copy_range; 0 with MNFQ_COPY_META; may be NULL
 * @return a pointer to @p len bytes; never NULL, even if @p len is 0.
 */
const uint8_t *mnfq_packet_get_payload(const struct mnfq_packet *packet, size_t *len);

/**
 * The original length in bytes of the packet as the kernel queued it. It is larger than the
 * payload if the packet was truncated.
 * @return 0, or -ENODATA with MNFQ_COPY_META
 */
int mnfq_packet_get_length(const struct mnfq_packet *packet, size_t *len);

/**
 * Check whether the received payload is the whole packet. 1: it is. 0: it was truncated, by
 * copy_range or because a message cannot carry more (MNFQ_COPY_RANGE_MAX); or nothing was copied
 * (MNFQ_COPY_META); or @p packet is NULL. A program that filters by content must drop packets
 * that are not whole: it cannot inspect the missing part.
 */
int mnfq_packet_is_whole(const struct mnfq_packet *packet);

/* What is in struct mnfq_packet_info, in .flags: */
#define MNFQ_INFO_LENGTH 0x01u /**< .length */
#define MNFQ_INFO_WHOLE                                                                          \
	0x02u /**< the received payload is the whole packet, as mnfq_packet_is_whole() */
#define MNFQ_INFO_UID  0x04u /**< .uid */
#define MNFQ_INFO_GID  0x08u /**< .gid */
#define MNFQ_INFO_VLAN 0x10u /**< .vlan_tci and .vlan_protocol */
#define MNFQ_INFO_CT   0x20u /**< .ct_info */

/** The metadata of a packet; each member is what the getter of its name returns. No padding. */
struct mnfq_packet_info {
	size_t size; /**< sizeof(struct mnfq_packet_info), set by the caller */

	const uint8_t *payload; /**< as mnfq_packet_get_payload(): never NULL */
	size_t payload_len;     /**< bytes at @p payload */
	size_t length;          /**< the original length in bytes */
	int64_t timestamp;      /**< microseconds since 1970; 0: not stamped */
	uint32_t flags;         /**< MNFQ_INFO_*: members that are not set there are 0 */
	uint32_t id;
	uint32_t mark;
	uint32_t indev;
	uint32_t outdev;
	uint32_t physindev;
	uint32_t physoutdev;
	uint32_t skb_info; /**< MNFQ_SKB_* */
	uint32_t priority;
	uint32_t cgroup_classid;
	uint32_t uid;
	uint32_t gid;
	uint16_t queue_num;
	uint16_t hw_protocol;
	uint16_t ethertype;
	uint16_t vlan_tci;
	uint16_t vlan_protocol;
	uint16_t ct_info;
	uint16_t hwaddr_len; /**< bytes of @p hwaddr; 0: there is none */
	uint8_t hwaddr[8];
	uint8_t family;
	uint8_t hook;
};

/**
 * All metadata of a packet at once, for bindings, where every call has its price. It costs neither an
 * allocation nor a system call.
 *
 * @param info  .size set by the caller. Its payload belongs to the packet: see
 *              mnfq_packet_get_payload()
 * @return 0 or -EINVAL
 */
int mnfq_packet_get_info(const struct mnfq_packet *packet, struct mnfq_packet_info *info);

/*
 * The setters below record a change that is sent with the verdict. Each returns 0, or
 *   -EALREADY  the packet is decided
 *   -EINVAL    invalid arguments
 * and the errors documented with it. A setter refuses what the kernel would refuse or silently
 * ignore; mnfq_packet_get_error() returns the reason. A failed setter changes nothing, except
 * mnfq_packet_repair(), which restores the payload as received.
 */

/** The error message of the packet's last failed setter; "" if none failed. Static. */
const char *mnfq_packet_get_error(const struct mnfq_packet *packet);

/** Set the packet's mark. */
int mnfq_packet_set_mark(struct mnfq_packet *packet, uint32_t mark);

/**
 * Set the packet's priority, see mnfq_packet_get_priority(). Kernels before 5.18 ignore it. Set
 * it in FORWARD, OUTPUT or POSTROUTING: IPv4 forwarding overwrites it according to the type of
 * service, and packets delivered to a local socket do not use it.
 */
int mnfq_packet_set_priority(struct mnfq_packet *packet, uint32_t priority);

/**
 * Set the mark of the packet's connection: the bits in @p mask are taken from @p mark, the others
 * are kept.
 * -ENODATA: the packet came without connection tracking data: it is not tracked, or the queue
 * lacks MNFQ_QUEUE_CONNTRACK. -EOPNOTSUPP: the payload has changed its length, or may have because
 * that was unknown (MNFQ_COPY_META), and the connection is TCP with NAT, for which the kernel would
 * then adjust sequence numbers: set the mark with another packet. This does not apply if
 * mnfq_packet_edit() has the kernel adjust them anyway.
 */
int mnfq_packet_set_ct_mark(struct mnfq_packet *packet, uint32_t mark, uint32_t mask);

/**
 * Set the labels of the packet's connection: the bits in @p mask are taken from @p labels, the
 * others are kept. For connections that began while no rule of the namespace used labels, the
 * kernel ignores them and a connection mark in the same verdict; it does not report that.
 *
 * @param labels  MNFQ_CT_LABELS_SIZE bytes
 * @param mask    MNFQ_CT_LABELS_SIZE bytes, NULL for all labels
 * -ENODATA, -EOPNOTSUPP as mnfq_packet_set_ct_mark()
 */
int mnfq_packet_set_ct_labels(struct mnfq_packet *packet, const uint8_t *labels,
			      const uint8_t *mask);

/**
 * Set the VLAN tag of a packet of the bridge family, even if it has none. A tag cannot be
 * removed.
 *
 * @param tci       as mnfq_packet_get_vlan()
 * @param protocol  ETH_P_8021Q or ETH_P_8021AD
 * -EOPNOTSUPP: not of the bridge family; -EINVAL: another protocol
 */
int mnfq_packet_set_vlan(struct mnfq_packet *packet, uint16_t tci, uint16_t protocol);

/**
 * Replace the link-layer header of a packet of the bridge family. The data is copied.
 * @param len  exactly the length of the header that the packet came with
 * -EOPNOTSUPP: it came without one, or is not of the bridge family; -EMSGSIZE: another length
 */
int mnfq_packet_set_l2hdr(struct mnfq_packet *packet, const void *data, size_t len);

/**
 * Replace the packet's payload. The data is copied; it may overlap with the old payload. The
 * kernel repairs neither lengths nor checksums and considers the checksums final. It drops the
 * packet if the payload is shorter than its transport header.
 *
 * @param data  the packet from its network header on; may be NULL if @p len is 0
 * @param len   0 to MNFQ_COPY_RANGE_MAX bytes
 * -EMSGSIZE  more than MNFQ_COPY_RANGE_MAX; or the packet was received truncated, and the missing
 *            part would be cut off: to do that, see mnfq_packet_allow()
 * -ENODATA   with MNFQ_COPY_META, unless MNFQ_ALLOW_CUT is set: the old payload is unknown
 * -EOPNOTSUPP  another length together with a connection mark or labels, as
 *              mnfq_packet_set_ct_mark()
 * -ENOMEM    (retained packets only)
 */
int mnfq_packet_set_payload(struct mnfq_packet *packet, const void *data, size_t len);

/**
 * Allow replacing a truncated packet: the part that was not received is cut off. With
 * MNFQ_COPY_META that is all of it: mnfq_packet_set_payload() then sets a payload, which can be
 * edited, repaired and verified like any other, but nothing shows whether its length is that of the
 * packet.
 */
#define MNFQ_ALLOW_CUT 0x1u
/** Allow resizing TCP data: the caller adjusts the sequence numbers of both directions. */
#define MNFQ_ALLOW_TCP_RESIZE 0x2u

/**
 * Allow changes to a packet that are refused by default.
 * @param what  MNFQ_ALLOW_*, for this packet, in addition to what was allowed before
 */
int mnfq_packet_allow(struct mnfq_packet *packet, uint32_t what);

/**
 * Discard everything that was set on a packet: payload and edits, marks, priority, VLAN tag,
 * link-layer header, connection mark and labels, MNFQ_ALLOW_*. The packet is as it was received,
 * including an unfinished checksum (MNFQ_SKB_CSUMNOTREADY). Pointers that
 * mnfq_packet_get_payload() returned before no longer show the packet.
 * @return 0, or -EALREADY: the packet is decided; -EINVAL: it is NULL.
 */
int mnfq_packet_reset(struct mnfq_packet *packet);

/* ---- packets: editing -------------------------------------------------------------------
 *
 * Editing replaces bytes and repairs lengths and checksums of IPv4 (RFC 791), IPv6 (RFC 8200),
 * TCP (RFC 9293), UDP (RFC 768), UDP-Lite (RFC 3828), ICMP (RFC 792), ICMPv6 (RFC 4443) and SCTP
 * (RFC 9260). If a routing header names the final destination, or an option the home address,
 * checksums are computed with those (RFC 8200 section 8.1, RFC 6275 section 11.3.1).
 */

/** Where the headers of a packet are: offsets in its payload, in bytes. */
struct mnfq_layers {
	size_t size; /**< sizeof(struct mnfq_layers), set by the caller */

	uint8_t family; /**< AF_INET or AF_INET6 */
	/** IPPROTO_* of the transport header, or of the first unknown header. */
	uint8_t protocol;
	uint8_t fragment;         /**< 1: a fragment of a datagram */
	uint8_t more_fragments;   /**< 1: not the last fragment */
	uint32_t fragment_offset; /**< of this fragment in the datagram, in bytes */

	size_t network;   /**< the IP header; above 0 if VLAN tags precede it (bridges) */
	size_t transport; /**< behind the IP header, its options and extension headers */
	/**
	 * Behind the transport header, which is complete if this is larger than `transport`. The
	 * two are equal for an unknown protocol, for later fragments, and if the header was cut
	 * off.
	 */
	size_t data;
	/** The end by the IP header's length (the rest is padding), or of the received bytes. */
	size_t end;
};

/**
 * Find the headers of a packet, or of the new payload if there is one. IPv6 extension headers are
 * skipped up to the first that is unknown, AH, ESP, has a checksum of its own (mobility, HIP,
 * Shim6), or is a routing header of unknown type with segments left; at most 16 of them.
 *
 * @param layers  .size set by the caller
 * @return 0, or
 *   -EPROTONOSUPPORT  neither IPv4 nor IPv6
 *   -EBADMSG          malformed: lengths in a header are invalid
 *   -EMSGSIZE         the packet was truncated within its headers
 *   -EOPNOTSUPP       the length is not in the header: a jumbogram (RFC 2675), or BIG TCP
 *   -ENODATA          with MNFQ_COPY_META: no payload, unless a new one was set
 *   -EINVAL
 */
int mnfq_packet_get_layers(const struct mnfq_packet *packet, struct mnfq_layers *layers);

/**
 * Replace bytes of the packet and repair lengths and checksums. Edits accumulate; each starts
 * from the result of the previous one. Lengths and checksums that an edit overwrites are
 * corrected.
 *
 * An edit never makes a damaged packet look valid: if the checksum is wrong, the edit is refused
 * or the checksum stays wrong. A UDP checksum of 0, which means none, stays 0 (over IPv6 too, see
 * RFC 6936). UDP's length and UDP-Lite's coverage grow and shrink with the bytes inserted and
 * removed within them; a coverage of the whole datagram remains so.
 *
 * Pointers that mnfq_packet_get_payload() returned before an edit no longer show the packet.
 *
 * An edit may make a packet larger than the MTU of its output interface (mnfq_packet_get_mtu()).
 * The kernel then drops forwarded packets of IPv6 or with DF set, and reports "packet too big" to
 * the sender, for a packet that it never sent. It fragments other forwarded packets, and UDP
 * datagrams of local senders.
 *
 * @param offset  a position in the payload: from the transport header to the end as found by
 *                mnfq_packet_get_layers(). Also from the network header on if @p remove equals
 *                @p insert and the structure of the headers does not change: addresses, time to
 *                live, type of service, but not lengths
 * @param remove  the number of bytes to remove
 * @param data    the bytes to insert; may be in the old payload; may be NULL if @p insert is 0
 * @param insert  the number of bytes to insert
 * @return 0, or, with the packet unchanged and the message in mnfq_packet_get_error(),
 *   -EINVAL           the range is not in the packet, or the edit breaks its headers: to build
 *                     new headers, use mnfq_packet_set_payload() and mnfq_packet_repair()
 *   -EPROTONOSUPPORT  not IPv4 or IPv6; or contents of a protocol not listed above, or addresses
 *                     that the checksum of such a protocol may cover
 *   -EBADMSG          the packet is malformed or was damaged in transit
 *   -EMSGSIZE         it would exceed MNFQ_COPY_RANGE_MAX; or it was received truncated without
 *                     MNFQ_ALLOW_CUT. With that flag the packet ends where the received bytes
 *                     end, and damage cannot be detected
 *   -EOPNOTSUPP       a change of the length of TCP data, which shifts sequence numbers, unless
 *                     the kernel will adjust them (a connection over IPv4 with NAT and a helper,
 *                     and the packet has MNFQ_QUEUE_CONNTRACK data); see MNFQ_ALLOW_TCP_RESIZE
 *   -EOPNOTSUPP       a fragment: a change of its length or addresses, or of contents whose
 *                     checksum is in another fragment; the checksum of SCTP needs the whole
 *                     datagram
 *   -EOPNOTSUPP       a large packet (MNFQ_SKB_GSO), unless it is TCP and keeps its length: bind
 *                     with MNFQ_QUEUE_NO_GSO
 *   -EOPNOTSUPP       the unfinished checksum (MNFQ_SKB_CSUMNOTREADY) belongs not to this header
 *                     but to a packet in a tunnel: bind with MNFQ_QUEUE_NO_GSO
 *   -EOPNOTSUPP       as mnfq_packet_get_layers(); as mnfq_packet_set_ct_mark()
 *   -ENODATA          with MNFQ_COPY_META, as mnfq_packet_get_layers()
 *   -EALREADY         the packet is decided
 *   -ENOMEM           (retained packets only)
 */
int mnfq_packet_edit(struct mnfq_packet *packet, size_t offset, size_t remove, const void *data,
		     size_t insert);

/**
 * Set the lengths and checksums of a packet built with mnfq_packet_set_payload(), or complete
 * those of a packet as received. The whole payload from the network header on is the packet. A
 * UDP checksum of 0 over IPv4 stays 0: write any other value to have it computed. A valid
 * UDP-Lite coverage is kept, an invalid one becomes 0, which means everything. For protocols that
 * mnfq_packet_edit() does not know only the IP header is repaired.
 *
 * Use it only for correct contents: a damaged packet looks valid afterwards. Like an edit it is
 * refused if the TCP data has another length than in the packet received, where that is known;
 * mnfq_packet_set_payload() alone checks nothing.
 *
 * A packet that cannot be repaired is never sent as built: after any failure other than -EALREADY
 * and -EINVAL the payload is as received, without earlier edits; marks and all other changes
 * remain. So drop the packet if the change is essential.
 *
 * @return 0, or, with the message in mnfq_packet_get_error(),
 *   -EBADMSG          the headers are malformed
 *   -EPROTONOSUPPORT  neither IPv4 nor IPv6
 *   -EOPNOTSUPP       a fragment: the checksum covers all fragments; a large packet
 *                     (MNFQ_SKB_GSO) that is not TCP; an unfinished checksum in a tunnel; another
 *                     length of TCP data, as mnfq_packet_edit()
 *   -EMSGSIZE         truncated, as mnfq_packet_edit()
 *   -ENODATA, -EALREADY, -ENOMEM, -EINVAL  as mnfq_packet_edit()
 */
int mnfq_packet_repair(struct mnfq_packet *packet);

/**
 * Verify the packet's checksums: those of the IPv4 header and of the transport header.
 *
 * @return 0 if they are correct, or
 *   -EBADMSG  one is wrong, or the headers are malformed
 *   -ENODATA  there is no transport checksum to verify: not computed yet (MNFQ_SKB_CSUMNOTREADY)
 *             or of a large packet (MNFQ_SKB_GSO), if the payload is as received; a fragment;
 *             truncated; a UDP checksum of 0; another protocol; MNFQ_COPY_META, as
 *             mnfq_packet_get_layers()
 *   -EINVAL
 */
int mnfq_packet_verify(const struct mnfq_packet *packet);

/**
 * Keep a packet beyond its callback, or its batch: copy it, with its payload and settings, to memory of
 * its own. The callback then returns MNFQ_DEFER, and mnfq_packet_decide() decides the copy later. If
 * the callback returns another verdict, that decides the packet, and the copy can only be read.
 * Once the copy was decided, changes to the original have no effect. To decide a packet later without
 * reading it again, no copy is needed: see mnfq_queue_decide().
 *
 * @param ret  the copy; release it with mnfq_packet_free()
 * @return 0, or
 *   -EEXIST   this packet was retained before, even if that copy was freed
 *   -EINVAL   not the packet of a running callback, nor a pulled one that is undecided
 *   -ENOMEM
 */
int mnfq_packet_retain(struct mnfq_packet **ret, struct mnfq_packet *packet);

/**
 * Decide a packet: a retained one, a pulled one, or that of a running callback.
 *
 * The verdict for a retained packet is sent immediately; within a callback of the same socket, between
 * mnfq_socket_cork() and mnfq_socket_flush(), or while packets are pulled, it is sent with the others. So
 * is that for a packet that is not retained: MNFQ_DEFER puts it off, as returned by a callback. If
 * the kernel refuses a verdict, mnfq_socket_dispatch() reports and counts that.
 *
 * @return 0, or
 *   -EINVAL    an invalid verdict; MNFQ_DEFER for a retained packet, or for one that was changed and not
 *              retained; or a packet that is neither retained nor of a running callback or batch
 *   -EALREADY  it was decided, here, by its callback, or as its copy
 *   -ENODEV    its queue was unbound, or its socket closed
 *   -ENOMEM, -ENOBUFS, -EMSGSIZE, -EBADF  could not be sent, as in mnfq_socket_dispatch(); the
 *              packet is still undecided
 */
int mnfq_packet_decide(struct mnfq_packet *packet, enum mnfq_verdict verdict);

/**
 * Decide packets that wait, by their ids: those that were deferred without a copy (MNFQ_DEFER), and
 * retained ones, with the changes set on them. Any thread may call it while the queue is bound. One
 * system call sends up to 64 verdicts, and a batch verdict stands for packets that are given oldest
 * first. In the socket's own thread, within a callback or between mnfq_socket_cork() and
 * mnfq_socket_flush(), they are sent with the others.
 *
 * Nothing is copied or allocated for a deferred packet; its id (mnfq_packet_get_id()) is all that is
 * known of it later. Like a retained packet it gets the default verdict when its queue is unbound.
 *
 * @param ids      the ids of @p n packets of the queue
 * @param verdict  for all of them; not MNFQ_DEFER
 * @return how many were decided: ids that do not wait for a verdict are left out; or, if none was decided,
 *   -EINVAL  an invalid verdict or argument
 *   -ENOMEM, -ENOBUFS, -EMSGSIZE, -EBADF  could not be sent, as mnfq_packet_decide(); the packets from there
 *            on are still undecided
 */
int mnfq_queue_decide(struct mnfq_queue *queue, const uint32_t *ids, size_t n,
		      enum mnfq_verdict verdict);

/**
 * Free a retained packet; an undecided one gets its queue's default verdict. If its callback is
 * still running, the packet then counts as not retained, and the callback's verdict decides it.
 * Also for a packet from memory: an undecided one stays undecided.
 */
struct mnfq_packet *mnfq_packet_free(struct mnfq_packet *packet);

/* ---- packets without a kernel -------------------------------------------------------------
 *
 * A packet made of bytes and metadata, to test a callback without a kernel, root or rules: the callback is
 * called with it, and everything that can be asked of a packet or set on it works. examples/test-callback.c is such
 * a test.
 */

/** An interface of a packet's namespace, for mnfq_packet_from_memory(). */
struct mnfq_interface {
	const char *name; /**< at most 15 bytes */
	uint32_t index;   /**< as in the packet's metadata */
	uint32_t mtu;     /**< 0: unknown */
};

/** What struct mnfq_packet_info does not have. All of it is copied. */
struct mnfq_memory_options {
	size_t size; /**< sizeof(struct mnfq_memory_options) */

	const uint8_t *l2hdr; /**< the link-layer header (bridge family), or NULL */
	size_t l2hdr_len;     /**< at most 64 bytes */
	const char *secctx;   /**< the security context, or NULL */
	size_t secctx_len;    /**< at most 4096 bytes */
	const uint8_t *ct;    /**< as mnfq_packet_get_ct(), or NULL */
	size_t ct_len;        /**< at most 8192 bytes */

	/** What mnfq_packet_get_ifname() and mnfq_packet_get_mtu() find; or NULL. */
	const struct mnfq_interface *interfaces;
	size_t interface_count; /**< at most 64 */

	uint32_t queue_flags; /**< MNFQ_QUEUE_*, of the queue that it is to have come from */
};

/**
 * Make a packet from memory. It has no queue and no socket: mnfq_packet_get_queue() returns NULL, and so
 * mnfq_queue_decide() and mnfq_socket_get_ifname() cannot find it. Getters, setters, edits, repairs and
 * mnfq_packet_retain() work as for a packet that a callback received, mnfq_packet_decide() records the verdict, and
 * mnfq_packet_get_changes() tells what was decided and changed. Any thread may use it, one at a time.
 *
 * Numbers are in the byte order of this machine, as getters return them: .hw_protocol of IPv4 is 0x0800. What is
 * given as bytes is as on the wire: headers and payload, .hwaddr, and the attributes of .ct. Nothing of it is
 * checked against the rest: a hook that has no outgoing interface may have one here. Checksums are not corrected,
 * and mnfq_packet_verify() reports what they are.
 *
 * All of it is copied: @p info, @p options and what they point to may be gone when the call returns. Nothing is
 * allocated on failure, and *ret keeps its value.
 *
 * @param ret      the new packet; release it, and copies of it, with mnfq_packet_free()
 * @param info     as mnfq_packet_get_info() returns it. Without .payload_len and MNFQ_INFO_LENGTH the packet is
 *                 as with MNFQ_COPY_META; with bytes, but without MNFQ_INFO_LENGTH, it is whole. A .family of 0 is
 *                 that of the IP header, if there is one. .ethertype and MNFQ_INFO_WHOLE are ignored, because
 *                 they follow from the rest
 * @param options  NULL: nothing of that
 * @return 0, or
 *   -EINVAL    lengths that contradict each other, unknown flags, a name or an address that is too long, a time
 *              before 1970
 *   -EMSGSIZE  more than MNFQ_COPY_RANGE_MAX bytes of payload, or a part that is longer than stated above
 *   -E2BIG     as for all options
 *   -ENOMEM
 */
int mnfq_packet_from_memory(struct mnfq_packet **ret, const struct mnfq_packet_info *info,
			    const struct mnfq_memory_options *options);

/* What was changed, in struct mnfq_packet_changes, in .flags: */
#define MNFQ_CHANGED_VERDICT   0x01u /**< .verdict: it is decided; only of a packet from memory */
#define MNFQ_CHANGED_PAYLOAD   0x02u /**< .payload */
#define MNFQ_CHANGED_MARK      0x04u /**< .mark */
#define MNFQ_CHANGED_PRIORITY  0x08u /**< .priority */
#define MNFQ_CHANGED_CT_MARK   0x10u /**< .ct_mark and .ct_mark_mask */
#define MNFQ_CHANGED_CT_LABELS 0x20u /**< .ct_labels and .ct_labels_mask */
#define MNFQ_CHANGED_VLAN      0x40u /**< .vlan_tci and .vlan_protocol */
#define MNFQ_CHANGED_L2HDR     0x80u /**< .l2hdr */

/** What was set on a packet, and goes out with its verdict. Members without their flag are 0. */
struct mnfq_packet_changes {
	size_t size; /**< sizeof(struct mnfq_packet_changes), set by the caller */

	const uint8_t *payload; /**< the new payload */
	size_t payload_len;
	const uint8_t *l2hdr; /**< the new link-layer header */
	size_t l2hdr_len;
	uint32_t flags;   /**< MNFQ_CHANGED_* */
	uint32_t verdict; /**< an enum mnfq_verdict */
	uint32_t mark;
	uint32_t priority;
	uint32_t ct_mark;
	uint32_t ct_mark_mask;
	uint16_t vlan_tci;
	uint16_t vlan_protocol;
	uint8_t ct_labels[MNFQ_CT_LABELS_SIZE];
	uint8_t ct_labels_mask[MNFQ_CT_LABELS_SIZE];
};

/**
 * What has been set on a packet so far. Of a packet from memory, once it or its copy was decided: what it was
 * decided with, also after the copy was freed.
 *
 * @param changes  .size set by the caller. What it points to belongs to the packet, until that is changed again
 * @return 0 or -EINVAL
 */
int mnfq_packet_get_changes(const struct mnfq_packet *packet,
			    struct mnfq_packet_changes *changes);

#undef MNFQ_ENUM_BASE
#undef MNFQ_CAST

#ifdef __cplusplus
}
#endif

#endif
