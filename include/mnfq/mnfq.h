/* SPDX-License-Identifier: MIT */
/*
 * libmnfq: decide network packets in user space (NFQUEUE), over raw netlink. To receive sockets
 * that other processes opened, or to pass one on, see mnfq/handover.h.
 *
 * The contract, which holds for every function below unless it says otherwise:
 *
 * Objects.   A mnfq_socket is one NETLINK_NETFILTER socket in one network namespace. A mnfq_queue
 *            is one queue number bound on a socket. A mnfq_packet is a view of one packet: the
 *            callback of its queue sees it and returns the verdict.
 *
 * Errors.    0 or a count on success, a negative errno on failure. Results are written through
 *            a pointer only on success; destructors accept NULL and return NULL. Wrong arguments
 *            are -EINVAL, never an abort. mnfq_socket_get_error() returns the error message of
 *            the last failure of a socket; a constructor that fails writes its message to the
 *            buffer named in its options, also if .size was forgotten there. Getters
 *            (mnfq_…_get_…) fail without a message.
 *
 * Getters.   A number whose 0 means "none" is returned, and so are flags. Bytes are returned as
 *            `const uint8_t *get_x(object, &len)`: NULL and a length of 0 where there are none,
 *            &len may be NULL. Only where "absent" differs from 0 a getter returns 0 or -ENODATA,
 *            and writes the number through a pointer. Without an object there is nothing to get:
 *            0, NULL or -EINVAL. What the kernel sent malformed is absent, unless a function says
 *            -EBADMSG.
 *
 * Options.   Structs that begin with `size_t size`. Initialise them with MNFQ_INIT(), then set
 *            what you want to change: zero always means the default, and NULL means all
 *            defaults. A struct that is larger than this library knows is accepted while the part
 *            that it does not know is zero, otherwise -E2BIG. A .size that no version can have
 *            (0 because it was forgotten, below sizeof(size_t), above 4096, or not a multiple of
 *            the alignment of size_t) is
 *            -EINVAL. The same holds for structs that a function fills in: .size is the room
 *            that the caller has.
 *
 * Ownership. What a getter returns belongs to the object it was asked of and lives as long as
 *            that. A packet handed to a callback lives until the callback returns; to keep it,
 *            mnfq_packet_retain().
 *
 * Bytes.     Numbers are in host byte order. Hardware addresses and payloads are bytes as they
 *            are on the wire.
 *
 * Threads.   One thread at a time may use a socket, its queues and the packets in its callbacks,
 *            and all sockets that share a ring.
 *            Any thread may use a retained packet (one thread at a time each), and any thread or
 *            signal handler may call mnfq_socket_stop(). No global state, no signal handlers;
 *            every descriptor is close-on-exec. No function is a cancellation point to rely on:
 *            do not pthread_cancel() a thread that may be in one.
 *
 * Rights.    Everything sent to the kernel, verdicts included, needs CAP_NET_ADMIN in the user
 *            namespace that owns the socket's network namespace, of the thread that sends. To
 *            bind and configure queues on an adopted socket, who opened it must have had that
 *            right, too, unless MNFQ_SOCKET_LEND is set. Receiving needs no right.
 *
 * fork().    A child has the descriptors too: let it close(2) mnfq_socket_get_fd(), and leave
 *            mnfq_socket_close() to the parent, since it would unbind the parent's queues. A
 *            queue lives until the last copy of its descriptor is closed.
 *
 * The kernel's side: net/netfilter/nfnetlink_queue.c,
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
 * The initialiser of a struct with .size; all else is zero, the default:
 * `struct mnfq_queue_options options = MNFQ_INIT(options);`. In C, and in C++ from C++20 on,
 * `{ .size = sizeof(options), .max_len = 4096 }` is the same with other members set.
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

/** The version of the library that is running, "MAJOR.MINOR.PATCH". */
const char *mnfq_get_version(void);

/** Bytes of the longest error message, with its terminating zero. */
#define MNFQ_ERRMSG_SIZE 384

/* ---- verdicts --------------------------------------------------------------------------- */

/**
 * What becomes of a packet. The values below 256 are the kernel's (linux/netfilter.h).
 * For another queue see mnfq_verdict_queue().
 */
enum mnfq_verdict MNFQ_ENUM_BASE {
	MNFQ_DROP = 0,   /**< free it */
	MNFQ_ACCEPT = 1, /**< leave this base chain (iptables: table) and go on with the next */
	MNFQ_REPEAT = 4, /**< through the same base chain again: set a mark, or it loops */
	MNFQ_STOP = 5,   /**< accept and skip the rest of this hook */
	MNFQ_DEFER = 256 /**< only from a callback that retained the packet: decided later */
};

/** Hand the packet to queue @p num; without a program bound there it is dropped. */
static inline enum mnfq_verdict mnfq_verdict_queue(uint16_t num)
{
	return MNFQ_CAST(enum mnfq_verdict, 3u | MNFQ_CAST(uint32_t, num) << 16);
}

/** Hand the packet to queue @p num; without a program bound there it is accepted. */
static inline enum mnfq_verdict mnfq_verdict_queue_bypass(uint16_t num)
{
	return MNFQ_CAST(enum mnfq_verdict, 3u | 0x8000u | MNFQ_CAST(uint32_t, num) << 16);
}

/* ---- counters --------------------------------------------------------------------------- */

/** In place of a number that the kernel does not tell. */
#define MNFQ_UNKNOWN UINT64_MAX

/**
 * What happened since a socket was opened or a queue was bound, as the library knows it. What the
 * kernel drops because the queue is full never gets here: mnfq_queue_get_kernel_stats(). What it
 * accepts by itself with MNFQ_QUEUE_FAIL_OPEN is counted by nobody.
 */
struct mnfq_stats {
	size_t size; /**< sizeof(struct mnfq_stats), set by the caller */

	uint64_t packets; /**< packets that a callback has seen */
	uint64_t bytes;   /**< their true lengths, or received lengths where that is not known */

	/* Decisions sent, each packet once: what could not be sent counts as defaulted. */
	uint64_t accepted;
	uint64_t dropped;
	uint64_t repeated;
	uint64_t stopped;
	uint64_t requeued;  /**< handed to another queue */
	uint64_t marked;    /**< of all these, decisions that carried a mark */
	uint64_t rewritten; /**< decisions that carried a payload */
	/**
	 * The queue's default verdict, for want of another. What waited unread when the queue was
	 * unbound is counted as it is found in the receive buffer: if somebody else reads from
	 * the socket there was more. What the time for unbinding did not suffice for is among these
	 * and among `dropped`, whatever the default verdict is.
	 */
	uint64_t defaulted;
	uint64_t invalid;  /**< of `defaulted`: what a callback returned was no verdict */
	uint64_t deferred; /**< packets that a callback put off */
	uint64_t held;     /**< of those, not decided yet: a level, not a sum */

	/*
	 * What did not go well. A refused verdict is normal life for packets that the kernel
	 * flushed meanwhile, because a link went down or a base chain was removed. They stay
	 * counted above.
	 */
	/**
	 * Ids that never reached us, as a later packet shows: what did not fit into the receive
	 * buffer, what a second reader took, what a filter swallowed.
	 */
	uint64_t lost;
	uint64_t truncated; /**< messages cut in transit, their packets decided by default */
	uint64_t refused;   /**< verdict messages that the kernel answered with an error */
	/**
	 * Of `defaulted`: decided otherwise, but that could not be sent. If another user of the
	 * socket shrank its send buffer, and memory runs out as well, some of them may have been
	 * sent.
	 */
	uint64_t unsent;

	/* Of a socket only; 0 for a queue. */
	/**
	 * Messages that the kernel dropped because the receive buffer was full, with their
	 * packets unless MNFQ_QUEUE_FAIL_OPEN is set: its own count (SO_MEMINFO), at once and exact, in
	 * 32 bits, which wrap around. Later packets show them as `lost`, too. MNFQ_UNKNOWN before
	 * Linux 4.12.
	 */
	uint64_t overruns;
	uint64_t forged;    /**< datagrams that did not come from the kernel, ignored */
	uint64_t malformed; /**< messages from the kernel that are malformed, ignored */
	uint64_t unclaimed; /**< packets of a queue that was never bound here, ignored */
};

/* ---- rings ------------------------------------------------------------------------------ */

/**
 * Memory for receiving that the sockets of one thread share (.ring in their options), so that a
 * thousand sockets do not cost a thousand rings. A socket that is given none has one of its own.
 * Nothing is in it between two calls of mnfq_socket_dispatch() or mnfq_socket_feed(). One thread
 * at a time may use the sockets of a ring.
 *
 * @param ret    the new ring; release it with mnfq_ring_free()
 * @param batch  packets received with one system call, 1 to 1024; 0: 64
 * @return 0, -EINVAL or -ENOMEM. For each packet of a batch 64 KiB of address space are reserved,
 * but memory is used only as far as packets touch it: 4 or 8 KiB for one of usual size.
 */
int mnfq_ring_new(struct mnfq_ring **ret, unsigned int batch);

/** Give the ring up. The sockets that share it keep it alive: it goes with the last of them. */
struct mnfq_ring *mnfq_ring_free(struct mnfq_ring *ring);

/* ---- sockets ---------------------------------------------------------------------------- */

/**
 * Of mnfq_socket_adopt(): bind queues with the rights of the caller alone, although who opened
 * the socket may have had none. Whoever has a copy of the socket can then read what the caller's
 * rights let it receive: set this only for a socket whose origin the caller knows.
 */
#define MNFQ_SOCKET_LEND 0x1u

/** Options of mnfq_socket_open() and its sisters. */
struct mnfq_socket_options {
	size_t size; /**< sizeof(struct mnfq_socket_options) */

	/** Where the constructor writes its error message, or NULL. Terminated. */
	char *error;
	size_t error_size; /**< bytes at @p error; MNFQ_ERRMSG_SIZE holds any message */

	/**
	 * Kernel memory for packets on their way to us, in bytes as the kernel accounts for it.
	 * 0: 64 MiB, a full default queue of 64 KiB packets. The limit net.core.rmem_max applies
	 * to callers without CAP_NET_ADMIN in the initial user namespace; the effective size is
	 * mnfq_socket_get_receive_buffer().
	 */
	uint32_t receive_buffer;

	/** Packets received with one system call, 1 to 1024. 0: 64. */
	uint32_t batch;

	/**
	 * How long a request to the kernel may go unanswered, and for how long packets that wait when
	 * a queue ends get its default verdict, in milliseconds. 0: 2000.
	 */
	uint32_t timeout_ms;

	/**
	 * Before mnfq_socket_dispatch() and mnfq_socket_run() go to sleep they look for packets
	 * again and again, for so many microseconds, 1,000,000 at most. That saves the time that
	 * waking up takes, at the price of a processor. They stop doing so as far as packets come
	 * more rarely, and begin again when they come more often. 0: never.
	 */
	uint32_t busy_poll_us;

	/**
	 * A ring to share with other sockets of the same thread; it says how large a batch is, so
	 * .batch must be 0. NULL: one of its own.
	 */
	struct mnfq_ring *ring;

	uint32_t flags; /**< MNFQ_SOCKET_LEND, for mnfq_socket_adopt() only */

	/**
	 * How long one round of mnfq_socket_dispatch() should take at most, in microseconds: receiving,
	 * callbacks, and the verdicts. A packet that is accepted goes on with its path inside the call
	 * that sends its verdict, and how long that path is, is up to the namespace. So a round begins
	 * with one packet; as long as a full one took less than half of this the next may have twice as
	 * many, up to the batch, and after one that took longer, half of what that one had, but one at
	 * least. What packets cost can change from one to the next: a round may take longer once.
	 * Packets that got lost and get the default verdict are decided likewise, in steps. 0: no limit.
	 */
	uint32_t round_us;

	/**
	 * Coalescing, as network cards have it: where packets come faster than one in so many
	 * microseconds, mnfq_socket_dispatch() with a timeout and mnfq_socket_run() wait for so long
	 * before they receive the next batch, so that it is larger and a packet costs less; 10,000 at
	 * most. Each packet may be delayed by that. A packet after a longer pause is not; nor are those of
	 * which each waits for the reply to the one before, but for a few by which it is found out. The
	 * wait is shorter where more packets would come in it than fit into a quarter of the room in the
	 * queue and in the receive buffer, and there is none in a thread whose timer slack (prctl(2),
	 * PR_SET_TIMERSLACK; 50 us by default) is longer. Excludes .busy_poll_us. 0: never.
	 */
	uint32_t coalesce_us;
};

/**
 * Open a socket in the caller's network namespace.
 *
 * @param ret      the new socket; release it with mnfq_socket_close()
 * @param options  NULL for the defaults
 * @return 0, or
 *   -EINVAL           wrong arguments
 *   -EPROTONOSUPPORT  this kernel has no nfnetlink
 *   -EAFNOSUPPORT, -EACCES, -EPERM  a sandbox or a security module forbids netlink sockets
 *   -EMFILE, -ENFILE  the process, or the system, has no descriptor left
 *   -ENOMEM
 * Needs no capability; binding a queue does.
 */
int mnfq_socket_open(struct mnfq_socket **ret, const struct mnfq_socket_options *options);

/**
 * Open a socket in another network namespace. The caller's own namespace is never changed, not
 * even for a moment: a short-lived thread goes there and comes back with the socket.
 *
 * @param netns  a name under /run/netns; a path (it contains a '/') to a namespace file; or a
 *               process id in decimal digits, where no name under /run/netns is spelled like it
 * @return what mnfq_socket_open() does, and
 *   -ENOENT  no such namespace or process
 *   -EINVAL  the path is not a network namespace, or the name is none
 *   -ENOTDIR, -ELOOP, … as open(2) refuses the path
 *   -EPERM   CAP_SYS_ADMIN is missing, in the caller's user namespace or in the one that owns the
 *            network namespace
 *   -EACCES  the namespace file may not be opened
 *   -EAGAIN  no thread can be started: the user or the control group has too many processes
 *            (ulimit -u, pids.max), or there is no memory for it
 * See setns(2).
 */
int mnfq_socket_open_netns(struct mnfq_socket **ret, const char *netns,
			   const struct mnfq_socket_options *options);

/**
 * As mnfq_socket_open_netns(), for a namespace given by descriptor: of a namespace file, or a
 * pidfd. The descriptor stays the caller's. -EBADF: it is not open.
 */
int mnfq_socket_open_netns_fd(struct mnfq_socket **ret, int netns_fd,
			      const struct mnfq_socket_options *options);

/**
 * Use a netlink socket that somebody else opened: passed over a Unix socket, inherited, made by
 * another library. It works in the namespace in which it was opened, wherever the caller is.
 *
 * It lends nobody the caller's rights: the kernel is asked, with the first request for a queue,
 * whether the process that opened the socket had CAP_NET_ADMIN over its namespace (a message
 * without an address, netlink_ns_capable() in net/netlink/af_netlink.c). See MNFQ_SOCKET_LEND.
 *
 * On success the descriptor belongs to the socket object and is closed with it; on failure it is
 * still the caller's. Its port id is used as it is (a socket that has none gets one) and its file
 * status flags are left alone. What is set holds for everybody who shares it: close-on-exec for
 * this descriptor, NETLINK_NO_ENOBUFS, larger buffers, and a lock so that nobody can attach a
 * socket filter later, which also stays if memory runs out afterwards (-ENOMEM).
 *
 * @return 0, or
 *   -EBADF            not an open descriptor, or opened with O_PATH
 *   -ENOTSOCK         a file, a pipe, a device
 *   -EAFNOSUPPORT     not a netlink socket
 *   -EPROTONOSUPPORT  a netlink socket, but not of NETLINK_NETFILTER
 *   -EISCONN          connected to a peer: the kernel would deliver nothing to it
 *   -EBADFD           somebody attached a socket filter: packets would vanish
 *   -EINVAL, -ENOMEM
 */
int mnfq_socket_adopt(struct mnfq_socket **ret, int fd,
		      const struct mnfq_socket_options *options);

/**
 * Unbind all queues as mnfq_queue_unbind() does, within one timeout_ms together, close the
 * descriptor and free the socket. The queues are gone with it; retained packets may still be
 * read and must still be freed. Until then the socket keeps its network namespace alive, also
 * when nobody else is left there. Take it out of an epoll descriptor first: while others have a
 * copy of the descriptor, closing does not. From within a callback of the socket it takes effect
 * once the callback returned; no further callback is called, mnfq_socket_dispatch() returns
 * -ECANCELED, and mnfq_socket_run() returns 0: whoever closes it there must know that it is gone.
 */
struct mnfq_socket *mnfq_socket_close(struct mnfq_socket *sock);

/**
 * Give up the socket object, but not the netlink socket: its queues stay bound, and what waits in
 * them goes to whoever reads from the descriptor next: another process that has it, or
 * mnfq_socket_adopt() and mnfq_queue_bind(), which take the queues over. Packets that were
 * received and not decided yet, retained ones too, get their default verdict from there.
 *
 * @return the descriptor, which is the caller's, or -EINVAL, or -EBUSY from within a callback.
 */
int mnfq_socket_detach(struct mnfq_socket *sock);

/**
 * Use another ring from now on, so that another thread can serve the socket. Nothing of the
 * socket is in its ring between two rounds: queues, retained packets and what waits are not
 * touched. Call it in the thread that uses the socket so far, or once that thread has let go of
 * it.
 *
 * @param ring  the new one, of which the socket takes a reference: mnfq_ring_free() may follow.
 *              NULL: one of its own, as large as the ring before
 * @return 0, or, with the ring as it was,
 *   -EBUSY   called from within a callback of the socket, or of one that has the old or the new
 *            ring; or another thread is in one
 *   -EINVAL  no socket
 *   -ENOMEM
 */
int mnfq_socket_set_ring(struct mnfq_socket *sock, struct mnfq_ring *ring);

/**
 * The netlink descriptor, readable (POLLIN, level-triggered) whenever mnfq_socket_dispatch() has
 * something to do. It stays the socket's. -EINVAL without a socket.
 */
int mnfq_socket_get_fd(const struct mnfq_socket *sock);

/**
 * The netlink port id, by which the kernel knows the owner of a queue. A random one above 2^31,
 * but an adopted socket keeps the one that it has.
 */
uint32_t mnfq_socket_get_portid(const struct mnfq_socket *sock);

/**
 * The inode number of the socket's network namespace, which tells namespaces apart.
 * @return 0, or
 *   -EPERM  no CAP_NET_ADMIN over it
 *   -EMFILE, -ENFILE  no descriptor left: looking takes one
 *   -EBADF  somebody closed the socket's descriptor
 *   -ENOMEM, -EINVAL, and -ENOTTY before Linux 4.10
 * See SIOCGSKNS.
 */
int mnfq_socket_get_netns_inode(const struct mnfq_socket *sock, uint64_t *inode);

/**
 * The name of the socket's network namespace: as under /run/netns if it has one there, else
 * "net:[INODE]".
 *
 * @param size  bytes at @p name
 * @return 0, -ENOSPC if it does not fit with its terminating zero, or as
 * mnfq_socket_get_netns_inode().
 */
int mnfq_socket_get_netns_name(const struct mnfq_socket *sock, char *name, size_t size);

/**
 * The name of interface @p ifindex in the socket's namespace. @p name takes IF_NAMESIZE (16)
 * bytes. Names are remembered for a second, so that asking for each packet costs no system call.
 * @return 0, -ENODEV if there is no such interface (any more), -EBADF if somebody closed the
 * socket's descriptor, -EINVAL.
 */
int mnfq_socket_get_ifname(struct mnfq_socket *sock, uint32_t ifindex, char *name);

/**
 * Ask for a receive buffer of @p bytes, as the kernel accounts for it; 0 asks for the default.
 * @return 0 even if the limits allow less: see mnfq_socket_get_receive_buffer(). -EINVAL: above
 * 2 GiB. -EBADF: somebody closed the socket's descriptor.
 */
int mnfq_socket_set_receive_buffer(struct mnfq_socket *sock, uint32_t bytes);

/** The effective size of the receive buffer in bytes, -EBADF if somebody closed it, -EINVAL. */
int64_t mnfq_socket_get_receive_buffer(const struct mnfq_socket *sock);

/**
 * Receive what is there, at most one batch, call the callbacks and send their verdicts: all at the
 * end, but before a callback begins those that were decided more than a millisecond ago, as exactly
 * as the kernel's coarse clock goes (a few milliseconds).
 *
 * @param timeout_ms  how long to wait for a first packet: 0 not at all, negative without end
 * @return the number of packets handled, 0 if none came in time, or
 *   -ECANCELED  mnfq_socket_stop() was called (this call consumed it), perhaps in one of its
 *               callbacks: then no other was called, and what else was received comes with the next
 *               dispatch, for which the descriptor is readable
 *   -EINTR      a signal arrived while waiting
 *   -EBUSY      called from within a callback, of this socket or of one that shares its ring; or
 *               another thread is using the ring, which must not be
 *   -EPERM      the kernel refuses verdicts for a queue: the capability or the queue was lost
 *   -ENODEV     another user of the socket unbound a queue
 *   -ENOMEM, -ENOBUFS, -EMSGSIZE  verdicts could not be sent: no memory, or another user of the
 *               socket shrank its send buffer below the size of one verdict
 *   -EBADF      somebody closed the descriptor
 *   -EMFILE, -ENFILE  no descriptor left for waiting
 * After any of these the socket can be used further. A failure of a queue that lasts is returned
 * once, until verdicts for that queue work again; it counts in `refused` all the same.
 *
 * Packets whose verdicts could not be sent get their queue's default verdict before any later
 * packet is decided; those whose verdicts were refused with -EPERM get it as soon as the refusal
 * was read, which may be after later verdicts, and the kernel answers only once for all that were
 * sent together. While that fails it is tried again after 0.1 to 1 second, by a dispatch that
 * waits; an event loop that was told calls mnfq_socket_dispatch(sock, 0) by a timer.
 *
 * A socket that the library opened waits in the receive itself if the wait has no end, which saves a
 * system call for each wait; it sets SO_RCVTIMEO to 1 second for that. All others, those that share
 * a ring, and a wait that has lasted for a second, wait in poll(2).
 *
 * The descriptor's O_NONBLOCK flag is neither needed nor touched: it is shared with everyone else
 * who holds the descriptor.
 */
int mnfq_socket_dispatch(struct mnfq_socket *sock, int timeout_ms);

/**
 * Dispatch until mnfq_socket_stop(); signals do not end it.
 * @return 0 once stopped, or an error of mnfq_socket_dispatch()
 */
int mnfq_socket_run(struct mnfq_socket *sock);

/**
 * End the mnfq_socket_run() or mnfq_socket_dispatch() that is under way, with the callback that is
 * running, or else the next one. The verdicts given so far are sent.
 * Safe in signal handlers, in callbacks and from any thread while the socket exists; it needs no
 * right. It does not make mnfq_socket_get_fd() readable unless another thread waits in
 * mnfq_socket_dispatch(): an event loop ends by a descriptor of its own. If another process that has
 * the descriptor takes the message that ends the wait, it ends within a second.
 */
void mnfq_socket_stop(struct mnfq_socket *sock);

/**
 * Handle a datagram that the caller received from the socket by itself (recvmsg(2), io_uring, a
 * wrapper of another language). It takes the same path as with mnfq_socket_dispatch(), and the
 * verdicts are sent before this returns. Feed in the order of reception. Let no receive of your
 * own be under way while you bind, configure or unbind: it would take the kernel's answer. Feed
 * or throw away all that you received before you unbind a queue, and never feed it to a
 * successor.
 *
 * @param datagram  the bytes, unchanged for the duration of the call
 * @param len       how many were received
 * @param from      the sender, as recvmsg(2) gave it: datagrams of other senders than the kernel
 *                  are counted as forged and ignored
 * @return the number of packets handled, or an error as mnfq_socket_dispatch(). After -ENOMEM the
 * datagram may have been lost, which is counted.
 */
int mnfq_socket_feed(struct mnfq_socket *sock, const void *datagram, size_t len,
		     const struct sockaddr *from, socklen_t from_len);

/**
 * The counters of the socket and of all queues it ever had.
 * @return 0 or -EINVAL
 */
int mnfq_socket_get_stats(const struct mnfq_socket *sock, struct mnfq_stats *stats);

/** The error message of the last failure of this socket; "" if there was none. */
const char *mnfq_socket_get_error(const struct mnfq_socket *sock);

/* ---- queues ----------------------------------------------------------------------------- */

/** How much of each packet the kernel copies to us. */
enum mnfq_copy MNFQ_ENUM_BASE {
	MNFQ_COPY_DEFAULT = 0, /**< MNFQ_COPY_PACKET */
	MNFQ_COPY_META = 1,    /**< no payload: its bytes and its length are unknown */
	MNFQ_COPY_PACKET = 2,  /**< the first copy_range bytes */
	MNFQ_COPY_NONE = 3     /**< nothing: the kernel drops what reaches the queue */
};

#define MNFQ_COPY_RANGE_MAX  65531u /**< the most payload bytes a message can carry */
#define MNFQ_MAX_LEN_DEFAULT 1024u  /**< the kernel's default queue length */

/*
 * Flags of a queue: the kernel's NFQA_CFG_F_*, but NO_GSO, which is the opposite of one. Large
 * packets come as they are otherwise, and checksums may be incomplete (MNFQ_SKB_CSUMNOTREADY).
 */
#define MNFQ_QUEUE_FAIL_OPEN 0x01u /**< when the queue is full the kernel accepts, unseen */
#define MNFQ_QUEUE_CONNTRACK 0x02u /**< send connection tracking data along */
#define MNFQ_QUEUE_NO_GSO    0x04u /**< split large packets first, complete their checksums */
#define MNFQ_QUEUE_UID_GID   0x08u /**< send the owner of a local sender's socket along */
#define MNFQ_QUEUE_SECCTX    0x10u /**< send the security context along */
#define MNFQ_QUEUE_FLAGS     0x1fu /**< all of them */

/**
 * Hears that the kernel refused a verdict.
 *
 * @param queue  the queue of the packet
 * @param id     the id of the packet; of a batch verdict, which the library makes of equal
 *               verdicts on consecutive packets, the id of the last one. Of several verdicts
 *               that were refused with
 *               -EPERM together, the kernel tells of the first only
 * @param error  a negative errno: -ENOENT if the packet was gone (or all those of the batch
 *               were), because an interface went down or a base chain was removed; -EPERM,
 *               -ENODEV, -EINVAL,
 *               -ENOMEM
 * @param data   as given to mnfq_queue_bind()
 * Called from within mnfq_socket_dispatch() and mnfq_socket_feed(), after the refusal was
 * counted. It may call what a mnfq_callback may.
 */
typedef void (*mnfq_refused_callback)(struct mnfq_queue *queue, uint32_t id, int error,
				      void *data);

/** Settings of a queue. */
struct mnfq_queue_options {
	size_t size; /**< sizeof(struct mnfq_queue_options) */

	enum mnfq_copy copy_mode;
	uint32_t copy_range; /**< bytes of payload, 1 to MNFQ_COPY_RANGE_MAX; 0: all of them */
	uint32_t max_len;    /**< packets the kernel holds for us; 0: MNFQ_MAX_LEN_DEFAULT */

	uint32_t flags; /**< MNFQ_QUEUE_* */

	/**
	 * Those of the flags that the caller can do without: where the kernel lacks what such a
	 * flag asks for, the flag is left out. mnfq_queue_get_options() tells what is in force.
	 * Those that are not among the flags count for mnfq_queue_set_flags().
	 */
	uint32_t flags_optional;

	/** For what nobody decided. The default is MNFQ_DROP: fail-closed. Not MNFQ_DEFER. */
	enum mnfq_verdict default_verdict;

	/** Called when the kernel refuses a verdict, or NULL. It counts as `refused` anyway. */
	mnfq_refused_callback refused;
};

/**
 * Sees a packet and decides it.
 *
 * @param packet  valid until the callback returns
 * @param data    as given to mnfq_queue_bind()
 * @return the verdict. MNFQ_DEFER counts only if the packet was retained. Anything that is no
 * verdict becomes the queue's default verdict and is counted as invalid.
 * It may call everything but mnfq_socket_dispatch(), mnfq_socket_run() and mnfq_socket_feed(),
 * also close other sockets that share the ring.
 */
typedef enum mnfq_verdict (*mnfq_callback)(struct mnfq_packet *packet, void *data);

/**
 * Bind a queue number and configure it, in one request to the kernel. Packets that arrive during
 * the call are delivered by the next mnfq_socket_dispatch().
 *
 * A socket that was adopted may own the queue already, bound by whoever opened it: then it is
 * taken over. Packets that the former reader received and did not decide get the default verdict,
 * which is not counted, and so may those that arrive in this moment; what nobody received yet is
 * delivered. Unless that verdict is MNFQ_DROP each packet goes on with its path in here, which may
 * take long: after the socket's timeout_ms the call fails with -ETIMEDOUT, and the next one goes
 * on. Those more than 65,536 ids before the first that is delivered are dropped; and if that one
 * is not known, because nothing was left to deliver and the kernel's counters cannot be read, so
 * is all that waits: the queue is unbound and bound anew.
 *
 * Binding a number again on a socket, and binding on an adopted one, waits for a grace period of
 * the kernel (membarrier(2), about 20 ms), so that packets of the former queue are not taken for
 * those of the new one.
 *
 * @param ret       the new queue, for mnfq_queue_unbind() and settings; NULL: it is not needed,
 *                  as the queue belongs to its socket and ends with that
 * @param num       0 to 65535
 * @param options   NULL for the defaults
 * @param callback  called for each packet, from within mnfq_socket_dispatch() and
 *                  mnfq_socket_feed()
 * @param data      handed to the callback
 * @return 0, or, each with its message in mnfq_socket_get_error(),
 *   -EINVAL           a number, length, mode, flag or verdict out of range
 *   -EPERM            no CAP_NET_ADMIN, here or where an adopted socket was opened: the message
 *                     says whose, and over what
 *   -EBUSY            another socket owns the queue, after a second look as well: the message
 *                     says which, and whose
 *   -EEXIST           this socket has bound the queue already, or somebody who shares it just did
 *   -EOPNOTSUPP       the kernel lacks what a flag asks for
 *   -EPROTONOSUPPORT  the kernel has no NFQUEUE support
 *   -ETIMEDOUT        no answer in time: somebody else reads from the socket; or no time for all that
 *                     the former reader left, which stays in the queue with the settings of this call
 *   -EBADF            somebody closed the socket's descriptor
 *   -ENOMEM, -ENOBUFS
 */
int mnfq_queue_bind(struct mnfq_queue **ret, struct mnfq_socket *sock, unsigned int num,
		    const struct mnfq_queue_options *options, mnfq_callback callback, void *data);

/**
 * Give the default verdict to all packets of the queue that are not decided yet, retained ones
 * included, unbind it and free it. Packets that arrive in between are dropped by the kernel, and
 * so is what another reader of the socket took. Unless that verdict is MNFQ_DROP each packet
 * goes on with its path in here, which may take long: what is left after the socket's timeout_ms
 * is dropped. It cannot fail as far as the program is concerned; but without CAP_NET_ADMIN the
 * kernel refuses, and the queue ends when the socket is closed. Packets that waited count as
 * `defaulted`. From within a callback of the socket it takes effect once the callback returned.
 */
struct mnfq_queue *mnfq_queue_unbind(struct mnfq_queue *queue);

/**
 * Change the settings of a queue while it is running: all of them, as in mnfq_queue_bind(). To
 * change one, mnfq_queue_get_options() first.
 * @return as mnfq_queue_bind(), or -ENODEV if the
 * queue was unbound behind our back. After a failure the settings are as before; only after
 * -ETIMEDOUT and -ENOMEM nobody knows, so configure again.
 */
int mnfq_queue_configure(struct mnfq_queue *queue, const struct mnfq_queue_options *options);

/**
 * Set and clear flags of a queue while it is running; all other settings stay as they are.
 *
 * @param flags  MNFQ_QUEUE_* to set
 * @param mask   the flags that this is about: those of them that are not in @p flags are cleared
 * @return as mnfq_queue_configure(); -EINVAL: unknown flags, or some outside of the mask. A flag
 * that is among the queue's flags_optional and that the kernel lacks stays cleared.
 */
int mnfq_queue_set_flags(struct mnfq_queue *queue, uint32_t flags, uint32_t mask);

/**
 * The settings in force, with defaults filled in and limits applied: copy_range is 0 without
 * MNFQ_COPY_PACKET, and flags are those that the kernel has.
 * @param options  .size set by the caller
 * @return 0 or -EINVAL.
 */
int mnfq_queue_get_options(const struct mnfq_queue *queue, struct mnfq_queue_options *options);

/** The number of the queue. */
uint16_t mnfq_queue_get_num(const struct mnfq_queue *queue);

/** What mnfq_queue_bind() was given for the callback. */
void *mnfq_queue_get_data(const struct mnfq_queue *queue);

/** The socket it is bound on. */
struct mnfq_socket *mnfq_queue_get_socket(const struct mnfq_queue *queue);

/**
 * The counters of the queue.
 * @return 0 or -EINVAL
 */
int mnfq_queue_get_stats(const struct mnfq_queue *queue, struct mnfq_stats *stats);

/**
 * What the kernel says of a queue, since it was bound: its line in
 * /proc/net/netfilter/nfnetlink_queue. The kernel counts in 32 bits, which wrap around.
 */
struct mnfq_kernel_stats {
	size_t size; /**< sizeof(struct mnfq_kernel_stats), set by the caller */

	uint64_t waiting;       /**< packets without a verdict now: unread, or retained */
	uint64_t queue_dropped; /**< packets dropped because the queue was full (max_len) */
	uint64_t user_dropped;  /**< packets dropped because the receive buffer was full */
	uint32_t portid;        /**< the owner: mnfq_socket_get_portid() */
	uint32_t last_id;       /**< of the last packet */
	uint32_t queues;        /**< how many queues these numbers are of */
};

/**
 * Read the kernel's counters of a queue. The first call for a socket opens the file of its
 * network namespace, which stays open as long as the socket: a program that gives up rights
 * calls this once before. Takes CAP_NET_ADMIN and, if the socket is of another namespace than
 * the caller, CAP_SYS_ADMIN, over that namespace; and only its root may open the file.
 *
 * @return 0, or, each with its message in mnfq_socket_get_error(),
 *   -ENODATA  the file cannot be read: a right is missing, there is no /proc, or no descriptor is
 *             left
 *   -ENODEV   the queue is not bound on this socket any more
 *   -EINVAL   wrong arguments
 */
int mnfq_queue_get_kernel_stats(struct mnfq_queue *queue, struct mnfq_kernel_stats *stats);

/**
 * The sum over all queues that are bound on a socket now; last_id is 0. Of a queue that was
 * unbound behind our back, so that there are fewer queues than expected, the counters are gone.
 * @return as mnfq_queue_get_kernel_stats(), but not -ENODEV
 */
int mnfq_socket_get_kernel_stats(struct mnfq_socket *sock, struct mnfq_kernel_stats *stats);

/* ---- packets ---------------------------------------------------------------------------- */

/* Flags of mnfq_packet_get_skb_info(), as the kernel's NFQA_SKB_*. */
#define MNFQ_SKB_CSUMNOTREADY     0x1u /**< transport checksum not computed yet; not an error */
#define MNFQ_SKB_GSO              0x2u /**< will be split into several packets */
#define MNFQ_SKB_CSUM_NOTVERIFIED 0x4u /**< nobody checked the checksum so far */

/** The queue that it came from; NULL for a retained packet whose queue was unbound. */
struct mnfq_queue *mnfq_packet_get_queue(const struct mnfq_packet *packet);

/** The number of its queue, also of one that was unbound. */
uint16_t mnfq_packet_get_queue_num(const struct mnfq_packet *packet);

/**
 * Keep a pointer of the caller's with a packet. The library does not look at what it points to,
 * and frees nothing.
 *
 * A retained packet begins with the pointer of the original. While the callback of the original
 * runs, setting it there sets it on the copy, too; what is set on the copy is on the copy alone.
 */
void mnfq_packet_set_data(struct mnfq_packet *packet, void *data);

/** What mnfq_packet_set_data() was given; NULL if nothing was. */
void *mnfq_packet_get_data(const struct mnfq_packet *packet);

/** The kernel's id, counting up from 1 in each queue. */
uint32_t mnfq_packet_get_id(const struct mnfq_packet *packet);

/** The protocol family of the hook: NFPROTO_IPV4, _IPV6, _BRIDGE, … (linux/netfilter.h). */
uint8_t mnfq_packet_get_family(const struct mnfq_packet *packet);

/** The hook within its family: NF_INET_PRE_ROUTING and so on (linux/netfilter.h). */
uint8_t mnfq_packet_get_hook(const struct mnfq_packet *packet);

/**
 * The hook as a word: prerouting, input, forward, output, postrouting, ingress, egress; "unknown"
 * for what this version does not know. The string is static.
 */
const char *mnfq_packet_get_hook_name(const struct mnfq_packet *packet);

/** The EtherType (linux/if_ether.h), 0 if the packet has none. */
uint16_t mnfq_packet_get_hw_protocol(const struct mnfq_packet *packet);

/** The packet's mark; 0 where none is set. A mark set for the verdict does not change it. */
uint32_t mnfq_packet_get_mark(const struct mnfq_packet *packet);

/**
 * The interfaces, in the socket's namespace; 0 where there is none. Behind the physical ones are
 * the ports of a bridge, as far as the packet came or goes through one.
 */
uint32_t mnfq_packet_get_indev(const struct mnfq_packet *packet);
uint32_t mnfq_packet_get_outdev(const struct mnfq_packet *packet);
uint32_t mnfq_packet_get_physindev(const struct mnfq_packet *packet);
uint32_t mnfq_packet_get_physoutdev(const struct mnfq_packet *packet);

/**
 * The name of interface @p ifindex in the packet's namespace, where that is one of the above. As
 * mnfq_socket_get_ifname(), but any thread may ask for a retained packet: then nothing is
 * remembered, each call is a system call.
 *
 * @param name  takes IF_NAMESIZE (16) bytes
 * @return 0, or -ENODEV: there is no such interface (any more), or the queue of the retained
 * packet was unbound, or its socket closed; -EBADF: somebody closed the socket's descriptor;
 * -EINVAL.
 */
int mnfq_packet_get_ifname(const struct mnfq_packet *packet, uint32_t ifindex, char *name);

/**
 * The MTU in bytes of the interface through which the packet leaves: the port where it goes
 * through a bridge. It is the device's; that of the path may be smaller. A packet that an edit
 * made larger than this is lost, or goes in fragments, see mnfq_packet_edit(). Large ones
 * (MNFQ_SKB_GSO) are split later and may be larger. As with mnfq_socket_get_ifname(), MTUs are
 * remembered for a second (not for retained packets).
 * @return 0, or -ENODATA: no interface to leave through is known (in INPUT there is none, in
 * PREROUTING not yet); -ENODEV: it is gone, or the queue of the retained packet is; -EBADF:
 * somebody closed the socket's descriptor; -EINVAL.
 */
int mnfq_packet_get_mtu(const struct mnfq_packet *packet, uint32_t *mtu);

/**
 * The sender's link-layer address, NULL where there is none.
 * @param len  its length in bytes, 6 for Ethernet; 0 where there is none
 */
const uint8_t *mnfq_packet_get_hwaddr(const struct mnfq_packet *packet, size_t *len);

/**
 * When the packet was received, in microseconds since 1970 by the system's real-time clock. The
 * kernel stamps received packets only while some socket on the system asks for it; 0 where it did
 * not.
 */
int64_t mnfq_packet_get_timestamp(const struct mnfq_packet *packet);

/** MNFQ_SKB_* flags; 0 where none is set. */
uint32_t mnfq_packet_get_skb_info(const struct mnfq_packet *packet);

/**
 * The user and group id of a local sender's socket, as the initial user namespace counts them.
 * @return 0, or -ENODATA: not asked for with MNFQ_QUEUE_UID_GID, or no local socket behind it.
 */
int mnfq_packet_get_uid(const struct mnfq_packet *packet, uint32_t *uid);
int mnfq_packet_get_gid(const struct mnfq_packet *packet, uint32_t *gid);

/**
 * The security context of the packet, from its SECMARK, as a text of the security module
 * (SELinux, Smack), which need not end with a zero. Of locally sent packets only. NULL: not asked
 * for with MNFQ_QUEUE_SECCTX, no local socket behind it, or no SECMARK on it.
 *
 * @param len  its length in bytes
 */
const char *mnfq_packet_get_secctx(const struct mnfq_packet *packet, size_t *len);

/**
 * The packet's priority: skb->priority, which SO_PRIORITY sets, the type of service, or a rule,
 * and which queueing disciplines look at (tc(8), major:minor in the upper and lower 16 bits). 0
 * also before Linux 5.18, which does not tell.
 */
uint32_t mnfq_packet_get_priority(const struct mnfq_packet *packet);

/**
 * The class id of the local sender's control group (net_cls.classid, cgroup v1). 0: it has none,
 * there is no local socket behind the packet, or the kernel does not tell (6.4 does).
 */
uint32_t mnfq_packet_get_cgroup_classid(const struct mnfq_packet *packet);

/**
 * The VLAN tag that the packet carries beside its bytes. Of packets of the bridge family only.
 *
 * @param tci       priority (3 bits), drop eligible (1 bit), VLAN id (12 bits); may be NULL
 * @param protocol  ETH_P_8021Q or ETH_P_8021AD (linux/if_ether.h); may be NULL
 * @return 0, -ENODATA if it has none, -EBADMSG if the kernel's attribute is malformed, -EINVAL.
 */
int mnfq_packet_get_vlan(const struct mnfq_packet *packet, uint16_t *tci, uint16_t *protocol);

/**
 * The link-layer header, from the first byte of the frame to the network header. Of packets of
 * the bridge family only.
 * @param len  its length in bytes: 14 for Ethernet, since a VLAN tag is kept beside it
 */
const uint8_t *mnfq_packet_get_l2hdr(const struct mnfq_packet *packet, size_t *len);

/** What tells packets of one flow from others: of a packet, or of one direction of a connection. */
struct mnfq_tuple {
	size_t size; /**< sizeof(struct mnfq_tuple), set by the caller */

	uint8_t family;   /**< AF_INET, AF_INET6; of a connection 0 if the kernel did not tell */
	uint8_t protocol; /**< IPPROTO_* */
	uint16_t zone; /**< of this direction of a connection only; 0 if it has none of its own */
	uint8_t src[16]; /**< as on the wire: 4 bytes of AF_INET, 16 of AF_INET6 */
	uint8_t dst[16];
	uint16_t sport; /**< 0 where the protocol has none */
	uint16_t dport;
	uint16_t id; /**< of ICMP and ICMPv6, likewise type and code */
	uint8_t type;
	uint8_t code;
};

/**
 * The addresses and ports in the packet; of the new payload if there is one. What is not there,
 * because the packet is a later fragment or was cut off, is 0. ICMP and ICMPv6 have type and
 * code, and echo requests and replies an id.
 *
 * @param tuple  .size set by the caller
 * @return 0, or as mnfq_packet_get_layers()
 */
int mnfq_packet_get_tuple(const struct mnfq_packet *packet, struct mnfq_tuple *tuple);

/* ---- packets: connection tracking --------------------------------------------------------
 *
 * What the kernel knows about the packet's connection, for queues with MNFQ_QUEUE_CONNTRACK, of
 * packets that are tracked (nf_conntrack and nf_conntrack_netlink are loaded, some rule or NAT
 * asks for tracking in the namespace, and no rule exempts the packet). Whether there is any:
 * mnfq_packet_get_ct(). See net/netfilter/nf_conntrack_netlink.c.
 */

/** Which way: as the packet that began the connection, or against it. */
enum mnfq_ct_direction MNFQ_ENUM_BASE { MNFQ_CT_ORIGINAL = 0, MNFQ_CT_REPLY = 1 };

/**
 * State and direction of the packet within its connection, as a number: the kernel's enum
 * ip_conntrack_info (linux/netfilter/nf_conntrack_common.h).
 * @return 0, or -ENODATA, -EINVAL.
 */
int mnfq_packet_get_ct_info(const struct mnfq_packet *packet, uint32_t *info);

/**
 * The state as a word: new, established, related, untracked; "unknown" for what this version does
 * not know, NULL where there is none. The string is static.
 */
const char *mnfq_packet_get_ct_state_name(const struct mnfq_packet *packet);

/** The direction: original, reply; NULL where there is none. The string is static. */
const char *mnfq_packet_get_ct_direction_name(const struct mnfq_packet *packet);

/** The connection mark; 0 if none was ever set. */
uint32_t mnfq_packet_get_ct_mark(const struct mnfq_packet *packet);

/** The number that the kernel gave to the connection, as conntrack --output id shows it. */
uint32_t mnfq_packet_get_ct_id(const struct mnfq_packet *packet);

/** The status bits of the connection: IPS_* (linux/netfilter/nf_conntrack_common.h). */
uint32_t mnfq_packet_get_ct_status(const struct mnfq_packet *packet);

/** The tracking zone of the connection; 0 is the usual one. */
uint16_t mnfq_packet_get_ct_zone(const struct mnfq_packet *packet);

#define MNFQ_CT_LABELS_SIZE 16 /**< bytes of connection labels: 128 bits */

/**
 * The connection labels: 128 bits, label n is bit n % 8 of byte n / 8 on little-endian machines
 * (the kernel keeps them in machine words). NULL if none was ever set.
 * @param len  MNFQ_CT_LABELS_SIZE, as all kernels so far have it
 */
const uint8_t *mnfq_packet_get_ct_labels(const struct mnfq_packet *packet, size_t *len);

/**
 * The addresses of the connection in direction @p direction, as netfilter sees them after NAT.
 * @param tuple  .size set by the caller
 * @return 0, or -ENODATA, -EINVAL, or -EBADMSG: the kernel's attribute is malformed.
 */
int mnfq_packet_get_ct_tuple(const struct mnfq_packet *packet, enum mnfq_ct_direction direction,
			     struct mnfq_tuple *tuple);

/**
 * All of it: the contents of NFQA_CT, a sequence of CTA_* attributes (linux/netfilter/
 * nfnetlink_conntrack.h), for a parser of your own or nfct_payload_parse() of
 * libnetfilter_conntrack. Aligned to 4 bytes; nothing inside has been checked. NULL: the packet
 * came without connection tracking data.
 * @param len  in bytes
 */
const uint8_t *mnfq_packet_get_ct(const struct mnfq_packet *packet, size_t *len);

/* ---- packets: what they carry, and what is changed with the verdict ----------------------- */

/**
 * The packet from its network header on (from the hardware header's end for bridges), or the new
 * payload if one was set.
 * @param len  bytes there are, at most copy_range; 0 with MNFQ_COPY_META; may be NULL
 * @return a pointer for @p len bytes; never NULL, also if @p len is 0.
 */
const uint8_t *mnfq_packet_get_payload(const struct mnfq_packet *packet, size_t *len);

/**
 * The true length in bytes of the packet as the kernel queued it, which is more than the payload
 * of a truncated one.
 * @return 0, or -ENODATA with MNFQ_COPY_META
 */
int mnfq_packet_get_length(const struct mnfq_packet *packet, size_t *len);

/**
 * Is all of the packet in the payload that was received? 1: yes. 0: it was truncated, by
 * copy_range or because it is larger than a message can carry (MNFQ_COPY_RANGE_MAX); or nothing
 * was copied (MNFQ_COPY_META); or @p packet is NULL. Whoever looks for content must not let pass
 * what cannot be seen: drop what is not whole.
 */
int mnfq_packet_is_whole(const struct mnfq_packet *packet);

/*
 * The setters below keep what is to be changed along with the verdict. Each returns 0, or
 *   -EALREADY  the packet is decided
 *   -EINVAL    wrong arguments
 * and what is said there. What the kernel would refuse, or ignore without a word, is refused
 * here: mnfq_packet_get_error() says why. After a failure everything is as before, but for
 * mnfq_packet_repair(), which puts the payload back as it was received.
 */

/** The error message of this packet's setter that failed last; "" if none did. Static. */
const char *mnfq_packet_get_error(const struct mnfq_packet *packet);

/** Set the mark that the packet gets. */
int mnfq_packet_set_mark(struct mnfq_packet *packet, uint32_t mark);

/**
 * Set the priority that the packet gets, see mnfq_packet_get_priority(). Kernels before 5.18
 * ignore it. Set it in FORWARD, OUTPUT or POSTROUTING: IPv4 forwarding gives the packet another
 * one, by its type of service, and on the way to a local socket it is of no use.
 */
int mnfq_packet_set_priority(struct mnfq_packet *packet, uint32_t priority);

/**
 * Set the mark of the packet's connection: those bits of it that are in @p mask become those of
 * @p mark.
 * -ENODATA: the packet came without connection tracking data, so there is nothing to mark, or
 * nobody knows: bind with MNFQ_QUEUE_CONNTRACK. -EOPNOTSUPP: the packet's payload has another
 * length now, and it is of TCP with NAT, for which the kernel would take this for the wish to
 * adjust the sequence numbers: change the one with this packet, the other with another. Unless
 * mnfq_packet_edit() has the kernel adjust them anyway.
 */
int mnfq_packet_set_ct_mark(struct mnfq_packet *packet, uint32_t mark, uint32_t mask);

/**
 * Set the labels of the packet's connection: those bits of them that are in @p mask become those
 * of
 * @p labels. The kernel ignores them, and a connection mark set with the same verdict, for
 * connections that began while no rule of the namespace mentioned labels (it tells neither that
 * nor whether).
 *
 * @param labels  MNFQ_CT_LABELS_SIZE bytes
 * @param mask    MNFQ_CT_LABELS_SIZE bytes, NULL for all labels
 * -ENODATA, -EOPNOTSUPP as mnfq_packet_set_ct_mark()
 */
int mnfq_packet_set_ct_labels(struct mnfq_packet *packet, const uint8_t *labels,
			      const uint8_t *mask);

/**
 * Set the VLAN tag of a packet of the bridge family, also of one that has none. A tag cannot be
 * taken away.
 *
 * @param tci       as mnfq_packet_get_vlan()
 * @param protocol  ETH_P_8021Q or ETH_P_8021AD
 * -EOPNOTSUPP: not of the bridge family; -EINVAL: another protocol
 */
int mnfq_packet_set_vlan(struct mnfq_packet *packet, uint16_t tci, uint16_t protocol);

/**
 * Replace the link-layer header of a packet of the bridge family. The data is copied.
 * @param len  exactly that of the header that the packet came with
 * -EOPNOTSUPP: it came without one, or not of the bridge family; -EMSGSIZE: another length
 */
int mnfq_packet_set_l2hdr(struct mnfq_packet *packet, const void *data, size_t len);

/**
 * Replace the packet's bytes along with its verdict. The data is copied; it may overlap with the
 * old payload. The kernel repairs neither lengths nor checksums, takes the checksums for final,
 * and drops the packet if it is shorter than its transport header.
 *
 * @param data  the packet from its network header on; may be NULL if @p len is 0
 * @param len   0 to MNFQ_COPY_RANGE_MAX bytes
 * -EMSGSIZE  more than MNFQ_COPY_RANGE_MAX; or the packet was received truncated, and the part
 *            that nobody saw would be cut off: if that is what you want, mnfq_packet_allow()
 * -ENODATA   with MNFQ_COPY_META: nobody knows what would be replaced
 * -EOPNOTSUPP  another length along with a connection mark or labels, as
 *              mnfq_packet_set_ct_mark()
 * -ENOMEM    (retained packets only)
 */
int mnfq_packet_set_payload(struct mnfq_packet *packet, const void *data, size_t len);

/** A truncated packet may be replaced: what was not received is cut off. */
#define MNFQ_ALLOW_CUT 0x1u
/** The length of TCP data may change: the caller adjusts the numbers of both directions. */
#define MNFQ_ALLOW_TCP_RESIZE 0x2u

/**
 * Insist on what is refused for good reasons.
 * @param what  MNFQ_ALLOW_*, for this packet, in addition to what was allowed before
 */
int mnfq_packet_allow(struct mnfq_packet *packet, uint32_t what);

/**
 * Forget everything that was set on a packet: payload and edits, marks, priority, VLAN tag,
 * link-layer header, connection mark and labels, MNFQ_ALLOW_*. It is what it was received as,
 * also with an unfinished checksum (MNFQ_SKB_CSUMNOTREADY). What mnfq_packet_get_payload()
 * returned before is no longer the packet.
 * @return 0, or -EALREADY: the packet is decided; -EINVAL: it is NULL.
 */
int mnfq_packet_reset(struct mnfq_packet *packet);

/* ---- packets: editing -------------------------------------------------------------------
 *
 * Bytes are replaced, and lengths and checksums repaired: those of IPv4 (RFC 791), IPv6 (RFC
 * 8200), TCP (RFC 9293), UDP (RFC 768), UDP-Lite (RFC 3828), ICMP (RFC 792), ICMPv6 (RFC 4443)
 * and SCTP (RFC 9260). Where a route to a final destination is in the packet, or a home address,
 * the sums are made with those (RFC 8200 section 8.1, RFC 6275 section 11.3.1).
 */

/** Where the headers of a packet are: offsets in its payload, in bytes. */
struct mnfq_layers {
	size_t size; /**< sizeof(struct mnfq_layers), set by the caller */

	uint8_t family; /**< AF_INET or AF_INET6 */
	/** IPPROTO_* of the transport header, or of the first header that is not understood. */
	uint8_t protocol;
	uint8_t fragment;         /**< 1: only a part of a datagram */
	uint8_t more_fragments;   /**< 1: and not the last one */
	uint32_t fragment_offset; /**< of this part in the datagram, in bytes */

	size_t network; /**< the IP header; more than 0 behind VLAN tags in the frame (bridges) */
	size_t transport; /**< behind the IP header, its options and extension headers */
	/**
	 * Behind the transport header, all of which is there if this is more than `transport`. It
	 * is equal for an unknown protocol, for later fragments, and where the header was cut
	 * off.
	 */
	size_t data;
	/** By the IP header's length (bytes behind it are padding), or where the received bytes end. */
	size_t end;
};

/**
 * Find the headers of a packet; of the new payload if there is one. Extension headers of IPv6 are
 * passed over up to the first that is unknown, AH, ESP, has a checksum of its own (mobility, HIP,
 * Shim6), or is a routing header of unknown type with segments left; at most 16 of them.
 *
 * @param layers  .size set by the caller
 * @return 0, or
 *   -EPROTONOSUPPORT  neither IPv4 nor IPv6
 *   -EBADMSG          malformed: what a header says of lengths cannot be
 *   -EMSGSIZE         the packet was received truncated, within its headers
 *   -EOPNOTSUPP       the length is not in the header: a jumbogram (RFC 2675), or BIG TCP
 *   -ENODATA          with MNFQ_COPY_META: no payload
 *   -EINVAL
 */
int mnfq_packet_get_layers(const struct mnfq_packet *packet, struct mnfq_layers *layers);

/**
 * Replace some bytes of the packet by others, and repair lengths and checksums. Edits add up;
 * each begins with the result of the one before. What an edit writes to a field that is a length
 * or a checksum is replaced by what is right.
 *
 * An edit never makes a damaged packet look whole: with a packet whose checksum is wrong it is
 * refused, or the checksum stays as wrong as it was. UDP's checksum 0, which means that there is
 * none, stays 0 (with IPv6 too, see RFC 6936). UDP's length and UDP-Lite's coverage change by the
 * bytes that come and go within what they cover; a coverage of the whole datagram stays that.
 *
 * What mnfq_packet_get_payload() returned before an edit is no longer the packet.
 *
 * An edit may make a packet larger than the MTU of its way out (mnfq_packet_get_mtu()). Forwarded
 * ones the kernel then drops, if they are of IPv6 or have DF set, and tells the sender of a
 * packet too big that it never sent; others, and UDP datagrams of local senders, it fragments.
 *
 * @param offset  where, in the payload: from the transport header to the end as
 *                mnfq_packet_get_layers() finds them. Also from the network header on if @p
 *                remove equals
 *                @p insert, and the headers' structure stays as it is: addresses, time to live,
 *                type of service, but no length
 * @param remove  how many bytes go
 * @param data    what comes; may be within the old payload; may be NULL if @p insert is 0
 * @param insert  how many bytes come
 * @return 0, or, with the packet as it was and the message in mnfq_packet_get_error(),
 *   -EINVAL           the range is not in the packet, or the edit breaks its headers: whoever
 *                     builds headers anew uses mnfq_packet_set_payload(), mnfq_packet_repair()
 *   -EPROTONOSUPPORT  not IPv4 or IPv6; or the contents of a protocol that is not listed above,
 *                     or addresses where such a protocol may have them in its checksum
 *   -EBADMSG          the packet is malformed or was damaged on its way
 *   -EMSGSIZE         larger than MNFQ_COPY_RANGE_MAX then; or it was received truncated and
 *                     MNFQ_ALLOW_CUT was not given. With it, the packet ends where the received
 *                     bytes end, and nobody can tell whether it was damaged
 *   -EOPNOTSUPP       another length of TCP, which shifts sequence numbers: unless the kernel
 *                     will adjust them (a connection over IPv4 with NAT and a helper, of which
 *                     the packet has MNFQ_QUEUE_CONNTRACK data), see MNFQ_ALLOW_TCP_RESIZE
 *   -EOPNOTSUPP       another length of a fragment, other addresses of it, or contents whose
 *                     checksum is not here; SCTP's needs all of the datagram
 *   -EOPNOTSUPP       a large packet (MNFQ_SKB_GSO), of which only TCP can be edited, without
 *                     changing its length: bind with MNFQ_QUEUE_NO_GSO
 *   -EOPNOTSUPP       an unfinished checksum (MNFQ_SKB_CSUMNOTREADY) that is not this header's
 *                     but that of a packet in a tunnel: bind with MNFQ_QUEUE_NO_GSO
 *   -EOPNOTSUPP       as mnfq_packet_get_layers(); as mnfq_packet_set_ct_mark()
 *   -ENODATA          with MNFQ_COPY_META
 *   -EALREADY         the packet is decided
 *   -ENOMEM           (retained packets only)
 */
int mnfq_packet_edit(struct mnfq_packet *packet, size_t offset, size_t remove, const void *data,
		     size_t insert);

/**
 * Set the lengths and checksums of a packet that was put together by mnfq_packet_set_payload(),
 * or complete that of one as it was received. All of the payload from the network header on is
 * taken for the packet. UDP's checksum 0 stays 0 over IPv4: put anything else there to have it
 * computed. A coverage of UDP-Lite that is possible stays, another one becomes 0, which is all.
 * Of a protocol that mnfq_packet_edit() does not know only the IP header is repaired.
 *
 * This is for contents that are as they should be: a damaged packet looks whole afterwards. As an
 * edit it is refused if TCP's data has another length than that of the packet that was received;
 * mnfq_packet_set_payload() alone looks at nothing.
 *
 * What was put together and cannot be repaired is never sent: after any failure but -EALREADY and
 * -EINVAL the payload is as it was received, earlier edits are gone too, and marks and all other
 * changes stay. So a program that cannot do without the change drops the packet.
 *
 * @return 0, or, with the message in mnfq_packet_get_error(),
 *   -EBADMSG          the headers are malformed
 *   -EPROTONOSUPPORT  neither IPv4 nor IPv6
 *   -EOPNOTSUPP       a fragment: the checksum is over all of them; a large packet
 *                     (MNFQ_SKB_GSO) that is not TCP; an unfinished checksum in a tunnel; another
 *                     length of TCP, as mnfq_packet_edit()
 *   -EMSGSIZE         truncated, as mnfq_packet_edit()
 *   -ENODATA, -EALREADY, -ENOMEM, -EINVAL  as mnfq_packet_edit()
 */
int mnfq_packet_repair(struct mnfq_packet *packet);

/**
 * Are the packet's checksums right: that of the IPv4 header, and that of the transport header?
 *
 * @return 0, or
 *   -EBADMSG  wrong, or the headers are malformed
 *   -ENODATA  there is no transport checksum to be looked at: not computed yet
 *             (MNFQ_SKB_CSUMNOTREADY) or of a large packet (MNFQ_SKB_GSO), with the payload as
 *             it was received; a fragment; truncated; UDP's 0; another protocol; MNFQ_COPY_META
 *   -EINVAL
 */
int mnfq_packet_verify(const struct mnfq_packet *packet);

/**
 * Keep a packet beyond its callback: copies it, payload and settings included, to memory of its
 * own. The callback then returns MNFQ_DEFER, and mnfq_packet_decide() decides the copy later. If
 * the callback returns another verdict, that decides the packet, and the copy can only be read.
 * Once the copy was decided, what is set on the original counts for nothing.
 *
 * @param ret  the copy; release it with mnfq_packet_free()
 * @return 0, or
 *   -EEXIST   this packet was retained before, even if that copy was freed
 *   -EINVAL   not the packet of a callback that is running
 *   -ENOMEM
 */
int mnfq_packet_retain(struct mnfq_packet **ret, struct mnfq_packet *packet);

/**
 * Decide a retained packet. Verdicts are sent at once; within a callback of the same socket they
 * travel with those of the batch. Should the kernel refuse the verdict, mnfq_socket_dispatch()
 * tells and counts it.
 *
 * @return 0, or
 *   -EINVAL    no verdict, MNFQ_DEFER, or not a retained packet
 *   -EALREADY  it was decided, here or by its callback
 *   -ENODEV    its queue was unbound, or its socket closed
 *   -ENOMEM, -ENOBUFS, -EMSGSIZE, -EBADF  could not be sent, as mnfq_socket_dispatch() has it; it
 *              is still undecided
 */
int mnfq_packet_decide(struct mnfq_packet *packet, enum mnfq_verdict verdict);

/**
 * Free a retained packet; an undecided one gets its queue's default verdict. While its callback
 * is running it counts as not retained then, and the callback's verdict decides.
 */
struct mnfq_packet *mnfq_packet_free(struct mnfq_packet *packet);

#undef MNFQ_ENUM_BASE
#undef MNFQ_CAST

#ifdef __cplusplus
}
#endif

#endif
