// SPDX-License-Identifier: MIT
/* The system calls of the library, answered without a kernel. */
#include "fake-kernel.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "message.h"
#include "wire.h"

struct fake_kernel fake;

struct datagram {
	struct datagram *next;
	int fd; /* for which socket */
	uint32_t pid;
	size_t len;
	uint8_t bytes[];
};

static struct datagram *first, **last = &first;
static int current; /* the socket that a queue, or else an answer or a datagram, is of */
static struct message scratch;

/* What the library asks of a descriptor: always that it is a netlink socket. Its port id: */
static uint32_t portids[1024];

int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len);
int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len);
ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
		      socklen_t to_len);
ssize_t __wrap_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from,
			socklen_t *from_len);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *t);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);

int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left);
int __wrap_prctl(int option, ...);
int __wrap_sched_getscheduler(pid_t pid);
long __wrap_syscall(long number, ...);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

void *__real_malloc(size_t size); /* ours is not the library's memory, which may fail */

/* Where the first datagram for a socket hangs; at the end of the list if there is none. */
static struct datagram **first_of(int fd)
{
	struct datagram **link = &first;

	while (*link && (*link)->fd != fd)
		link = &(*link)->next;
	return link;
}

static void take(struct datagram **link)
{
	struct datagram *gone = *link;

	*link = gone->next;
	if (!gone->next)
		last = link;
	free(gone);
}

int __wrap_socket(int domain, int type, int protocol)
{
	(void)domain, (void)type, (void)protocol;
	if (fake.socket_error) {
		errno = fake.socket_error;
		return -1;
	}
	current = eventfd(0, EFD_CLOEXEC);
	if (current < 0 || current >= 1024)
		abort();
	portids[current] = 0;
	while (*first_of(current)) /* of one that had this number before */
		take(first_of(current));
	return current;
}

int __wrap_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)len;
	if (fake.portid_taken) {
		portids[fd] = fake.portid_taken;
		fake.portid_taken = 0;
		errno = EINVAL;
		return -1;
	}
	portids[fd] = ((const struct sockaddr_nl *)addr)->nl_pid;
	return 0;
}

int __wrap_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	(void)len;
	*(struct sockaddr_nl *)addr =
		(struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = portids[fd] };
	return 0;
}

/* Not connected. */
int __wrap_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	(void)fd, (void)len;
	*(struct sockaddr_nl *)addr = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
	return 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	(void)fd, (void)level, (void)len;
	if (name == SO_RCVTIMEO && fake.no_timeout) {
		errno = EACCES;
		return -1;
	}
	if (name == SO_RCVBUFFORCE)
		fake.buffer = 2 * *(const unsigned int *)value;
	return 0;
}

int __wrap_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	(void)fd, (void)level;
	if (name == MNFQ_I_SO_MEMINFO) {
		if (fake.no_meminfo || *len < 9 * sizeof(uint32_t)) {
			errno = ENOPROTOOPT;
			return -1;
		}
		((uint32_t *)value)[8] = fake.drops;
		return 0;
	}
	if (value) /* else the length of a filter is asked for: there is none */
		*(int *)value = name == SO_DOMAIN                          ? AF_NETLINK
				: name == SO_PROTOCOL                      ? NETLINK_NETFILTER
				: name == SO_SNDBUF && fake.send_buffer    ? fake.send_buffer
				: name == SO_RCVBUF && fake.receive_buffer ? fake.receive_buffer
									   : 1 << 20;
	return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	bool readable;

	fake.polls++;
	fake.poll_timeout = timeout;
	if (fake.on_poll)
		fake.on_poll();
	readable = *first_of(fds[0].fd) != NULL;
	if (!readable && timeout > 0)
		fake.clock_ms += timeout;
	fds[0].revents = readable ? POLLIN : 0;
	if (n > 1)
		fds[1].revents = 0;
	return readable;
}

static int tell_mtu(struct ifreq *req)
{
	unsigned int index;

	fake.mtu_calls++;
	if (sscanf(req->ifr_name, "eth%u", &index) == 1 && index <= fake.interfaces) {
		req->ifr_mtu = (int)(1000 + index);
		return 0;
	}
	errno = ENODEV;
	return -1;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct ifreq *req;
	va_list args;

	if (request != SIOCGIFNAME && request != SIOCGIFMTU)
		return __real_ioctl(fd, request); /* all that is left takes no argument */
	va_start(args, request);
	req = va_arg(args, struct ifreq *);
	va_end(args);
	if (request == SIOCGIFMTU)
		return tell_mtu(req);
	fake.name_calls++;
	if (!fake.name_error && (unsigned int)req->ifr_ifindex <= fake.interfaces) {
		snprintf(req->ifr_name, sizeof(req->ifr_name), "eth%d", req->ifr_ifindex);
		return 0;
	}
	errno = fake.name_error ? fake.name_error : ENODEV;
	return -1;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
	int64_t ns;

	if (clock == CLOCK_MONOTONIC)
		fake.clock_ns += fake.clock_step;
	ns = clock == CLOCK_THREAD_CPUTIME_ID ? ++fake.cpu_ns
					      : fake.clock_ms * 1000000 + fake.clock_ns;
	*now = (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
	return 0;
}

int __wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
	(void)left;
	fake.sleeps++;
	fake.slept_ns = pause->tv_nsec;
	fake.clock_ns += pause->tv_nsec;
	if (fake.interrupt) {
		fake.interrupt = false;
		errno = EINTR;
		return -1;
	}
	if (fake.on_sleep)
		fake.on_sleep();
	return 0;
}

/* The library asks for the timer slack alone. */
int __wrap_prctl(int option, ...)
{
	(void)option;
	return fake.slack;
}

int __wrap_sched_getscheduler(pid_t pid)
{
	(void)pid;
	return fake.policy;
}

/* The library calls no other system call in this way than membarrier. */
long __wrap_syscall(long number, ...)
{
	fake.membarriers += number == SYS_membarrier;
	return 0;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	return fake.thread_error ? fake.thread_error
				 : __real_pthread_create(thread, attr, run, arg);
}

void fake_reset(void)
{
	while (first)
		take(&first);
	memset(&fake, 0, sizeof(fake));
	fake.clock_ms = 1000000;
	fake.slack = 50000;
}

struct fake_queue *fake_queue(uint16_t num)
{
	for (size_t i = 0; i < 2; i++)
		if (fake.queues[i].bound && fake.queues[i].num == num)
			return &fake.queues[i];
	return NULL;
}

void fake_set_base(uint16_t num, uint32_t base)
{
	struct fake_queue *queue = fake_queue(num);

	queue->base = base;
	queue->next_id = base + 1;
}

struct fake_decision *fake_decision(struct fake_queue *queue, uint32_t id)
{
	if (id - queue->base >= FAKE_IDS)
		abort();
	return &queue->decisions[id - queue->base];
}

void fake_datagram(const void *data, size_t len, uint32_t pid)
{
	struct datagram *datagram = __real_malloc(sizeof(*datagram) + len);

	*datagram = (struct datagram){ .fd = current, .pid = pid, .len = len };
	memcpy(datagram->bytes, data, len);
	*last = datagram;
	last = &datagram->next;
}

static struct fake_decision *new_packet(struct fake_queue *queue)
{
	struct fake_decision *decision = fake_decision(queue, queue->next_id);

	*decision = (struct fake_decision){ .verdict = FAKE_UNDECIDED,
					    .payload_len = SIZE_MAX,
					    .vlan_len = SIZE_MAX,
					    .l2hdr_len = SIZE_MAX,
					    .ct_len = SIZE_MAX };
	queue->next_id++;
	return decision;
}

uint32_t fake_packet(uint16_t num, size_t len, bool sent)
{
	struct fake_queue *queue = fake_queue(num);
	uint32_t id = queue->next_id;

	new_packet(queue)->queued = true;
	if (sent) {
		message_packet(&scratch, num, id, len);
		current = queue->fd;
		fake_datagram(scratch.bytes, scratch.len, 0);
	}
	return id;
}

void fake_overrun(uint16_t num)
{
	new_packet(fake_queue(num));
	fake.drops++;
}

void fake_steal(void)
{
	take(&first);
}

unsigned int fake_queued(uint16_t num)
{
	struct fake_queue *queue = fake_queue(num);
	unsigned int n = 0;

	for (uint32_t id = queue ? queue->base + 1 : 0; queue && id != queue->next_id; id++)
		n += fake_decision(queue, id)->queued;
	return n;
}

size_t fake_unread(void)
{
	struct datagram *d;
	size_t n = 0;

	for (d = first; d; d = d->next)
		n++;
	return n;
}

static const struct nlattr *find(const struct nlmsghdr *nlh, uint16_t type)
{
	const uint8_t *bytes = (const uint8_t *)nlh;
	uint32_t at = MNFQ_I_HDRLEN;

	while (at + sizeof(struct nlattr) <= nlh->nlmsg_len) {
		const struct nlattr *attr = (const void *)(bytes + at);

		if (attr->nla_len < sizeof(*attr) || attr->nla_len > nlh->nlmsg_len - at)
			abort(); /* the library built nonsense */
		if ((attr->nla_type & NLA_TYPE_MASK) == type)
			return attr;
		at += (uint32_t)NLA_ALIGN(attr->nla_len);
	}
	return NULL;
}

static size_t length(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *attr = find(nlh, type);

	return attr ? attr->nla_len - sizeof(*attr) : SIZE_MAX;
}

static void decide(struct fake_decision *decision, uint32_t verdict, const struct nlmsghdr *nlh)
{
	const struct nlattr *mark = find(nlh, NFQA_MARK);
	const struct nlattr *priority = find(nlh, MNFQ_I_NFQA_PRIORITY);

	fake.clock_ns += fake.verdict_ns;
	decision->queued = false;
	decision->verdict = verdict;
	if (mark) {
		decision->has_mark = true;
		decision->mark = mnfq_i_be32(mark + 1);
	}
	if (priority) {
		decision->has_priority = true;
		decision->priority = mnfq_i_be32(priority + 1);
	}
	decision->payload_len = length(nlh, NFQA_PAYLOAD);
	decision->vlan_len = length(nlh, MNFQ_I_NFQA_VLAN);
	decision->l2hdr_len = length(nlh, MNFQ_I_NFQA_L2HDR);
	decision->ct_len = length(nlh, NFQA_CT);
}

static int verdict(const struct nlmsghdr *nlh, struct fake_queue *queue, bool batch)
{
	const struct nlattr *attr = find(nlh, NFQA_VERDICT_HDR);
	uint32_t value = mnfq_i_be32(attr + 1), id = mnfq_i_be32((const uint8_t *)(attr + 1) + 4);
	uint32_t found = 0;

	if (batch)
		fake.batch_verdicts++;
	else
		fake.single_verdicts++;
	if (fake.verdict_error)
		return fake.verdict_error;
	if (!queue)
		return -ENODEV;
	if (queue->error)
		return queue->error;
	for (uint32_t i = batch ? queue->base + 1 : id; mnfq_i_after(queue->next_id, i); i++) {
		if (mnfq_i_after(i, id) || i - queue->base >= FAKE_IDS)
			break;
		if (fake_decision(queue, i)->queued) {
			decide(fake_decision(queue, i), value, nlh);
			found++;
		}
	}
	return found ? 0 : -ENOENT;
}

static int bind_queue(uint16_t num)
{
	for (size_t i = 0; i < 2; i++) {
		if (fake.queues[i].bound)
			continue;
		memset(&fake.queues[i], 0, sizeof(fake.queues[i]));
		fake.queues[i].bound = true;
		fake.queues[i].num = num;
		fake.queues[i].fd = current;
		fake.queues[i].next_id = 1;
		return 0;
	}
	return -ENOMEM;
}

static void set_params(const struct nlmsghdr *nlh, struct fake_queue *queue)
{
	const struct nlattr *params = find(nlh, NFQA_CFG_PARAMS);
	const struct nlattr *max_len = find(nlh, NFQA_CFG_QUEUE_MAXLEN);
	const struct nlattr *flags = find(nlh, NFQA_CFG_FLAGS);
	uint32_t mask = flags ? mnfq_i_be32(find(nlh, NFQA_CFG_MASK) + 1) : 0;

	if (params) {
		queue->copy_range = mnfq_i_be32(params + 1);
		queue->copy_mode = ((const uint8_t *)(params + 1))[4];
	}
	if (max_len)
		queue->max_len = mnfq_i_be32(max_len + 1);
	if (flags)
		queue->flags = (queue->flags & ~mask) | (mnfq_i_be32(flags + 1) & mask);
}

/* The kernel looks at the flags before it looks for the queue. */
static int check_flags(const struct nlmsghdr *nlh)
{
	const struct nlattr *flags = find(nlh, NFQA_CFG_FLAGS), *mask = find(nlh, NFQA_CFG_MASK);

	if (!flags)
		return 0;
	if (!mask)
		return -EINVAL;
	return mnfq_i_be32(flags + 1) & mnfq_i_be32(mask + 1) & fake.unsupported_flags
		       ? -EOPNOTSUPP
		       : 0;
}

static int config(const struct nlmsghdr *nlh, uint16_t num)
{
	const struct nlattr *attr = find(nlh, NFQA_CFG_CMD);
	uint8_t command = attr ? *(const uint8_t *)(attr + 1) : 0;
	struct fake_queue *queue = fake_queue(num);
	int err = check_flags(nlh);

	if (command == NFQNL_CFG_CMD_PF_BIND && fake.on_probe)
		fake.on_probe();
	if (command == NFQNL_CFG_CMD_PF_BIND)
		return 0;
	if (err < 0)
		return err;
	if (num >= FAKE_PLAIN)
		return command == NFQNL_CFG_CMD_NONE ? -ENODEV : 0;
	if (command == NFQNL_CFG_CMD_BIND) {
		err = fake.bind_error ? fake.bind_error : queue ? -EBUSY : bind_queue(num);
		queue = fake_queue(num);
	}
	if (err == 0 && !queue)
		err = -ENODEV;
	if (err < 0)
		return err;
	if (command == NFQNL_CFG_CMD_UNBIND) {
		queue->bound = false;
		return 0;
	}
	set_params(nlh, queue);
	for (unsigned int i = 0; command == NFQNL_CFG_CMD_BIND && i < fake.packets_on_bind; i++)
		fake_packet(num, 60, true);
	return 0;
}

static void answer_stats(void)
{
	message_begin(&scratch, 0);
	((struct nlmsghdr *)scratch.bytes)->nlmsg_type =
		NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS;
	message_attr32(&scratch, CTA_STATS_GLOBAL_ENTRIES, 0);
	fake_datagram(scratch.bytes, scratch.len, 0);
}

/* Returns whether the rest of the send is looked at. */
static bool obey(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = (const void *)(nlh + 1);
	uint16_t num = ntohs(nfg->res_id);
	int err = fake.no_right ? -EPERM : -EINVAL;

	fake.sends_refused += fake.no_right && mnfq_i_is_verdict(nlh->nlmsg_type);
	fake.wakes += nlh->nlmsg_type == NLMSG_NOOP;
	switch (fake.no_right ? 0 : nlh->nlmsg_type) {
	case MNFQ_I_MSG(NFQNL_MSG_CONFIG):
		fake.clock_ms += fake.config_ms;
		err = config(nlh, num);
		break;
	case NLMSG_NOOP:
		err = 0;
		break;
	case MNFQ_I_CT_GET_STATS:
		if (fake.ctnetlink)
			answer_stats();
		err = fake.ctnetlink ? 0 : -EINVAL;
		break;
	case MNFQ_I_MSG(NFQNL_MSG_VERDICT):
	case MNFQ_I_MSG(NFQNL_MSG_VERDICT_BATCH):
		err = verdict(nlh, fake_queue(num),
			      nlh->nlmsg_type == MNFQ_I_MSG(NFQNL_MSG_VERDICT_BATCH));
		break;
	}
	if (err == 0 && !(nlh->nlmsg_flags & NLM_F_ACK))
		return true;
	if (fake.keep_answers > 0) {
		fake.keep_answers--;
	} else if (fake.lose_answers > 0 && (!fake.loses_if_unread || fake_unread() > 0)) {
		fake.lose_answers--;
		fake.drops++;
		return !fake.no_right;
	}
	message_error(&scratch, err, nlh->nlmsg_type, nlh->nlmsg_seq, nlh->nlmsg_pid);
	fake_datagram(scratch.bytes, scratch.len, 0);
	return !fake.no_right;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	static _Alignas(8) uint8_t bytes[1 << 20];
	size_t len = 0, at = 0;

	(void)flags;
	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	current = fd;
	if (fake.send_errors > 0 && fake.send_errors_after > 0) {
		fake.send_errors_after--;
	} else if (fake.send_errors > 0) {
		fake.send_errors--;
		errno = fake.send_error;
		return -1;
	}
	for (size_t i = 0; i < msg->msg_iovlen; i++)
		len += msg->msg_iov[i].iov_len;
	if (fake.send_buffer && len > (size_t)fake.send_buffer - 32) {
		errno = EMSGSIZE;
		return -1;
	}
	len = 0;
	fake.sends++;
	if (fake.send_swallowed > 0) {
		fake.send_swallowed--;
		return 1;
	}
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		memcpy(bytes + len, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		len += msg->msg_iov[i].iov_len;
	}
	while (at < len) {
		const struct nlmsghdr *nlh = (const void *)(bytes + at);

		if (len - at < sizeof(*nlh) || nlh->nlmsg_len > len - at)
			abort(); /* the library built nonsense */
		if (!obey(nlh))
			break;
		at += NLMSG_ALIGN(nlh->nlmsg_len);
	}
	return (ssize_t)len;
}

ssize_t __wrap_sendto(int fd, const void *data, size_t len, int flags, const struct sockaddr *to,
		      socklen_t to_len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	const struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	(void)to, (void)to_len;
	return __wrap_sendmsg(fd, &msg, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct datagram **link = first_of(fd), *datagram = *link;
	size_t len;

	(void)flags;
	if (!datagram) {
		errno = EAGAIN;
		return -1;
	}
	fake.receives++;
	len = datagram->len;
	msg->msg_flags = 0;
	if (len > msg->msg_iov[0].iov_len) {
		len = msg->msg_iov[0].iov_len;
		msg->msg_flags = MSG_TRUNC;
	}
	memcpy(msg->msg_iov[0].iov_base, datagram->bytes, len);
	*(struct sockaddr_nl *)msg->msg_name =
		(struct sockaddr_nl){ .nl_family = AF_NETLINK, .nl_pid = datagram->pid };
	msg->msg_namelen = sizeof(struct sockaddr_nl);
	take(link);
	return (ssize_t)len;
}

/* A call that receives; one that waits does so until it times out, unless something comes. */
static void begin_fill(int fd, bool waits)
{
	fake.fills++;
	if (fake.on_fill)
		fake.on_fill();
	if (!waits || *first_of(fd) || fake.receive_error)
		return;
	fake.waits++;
	if (fake.on_wait)
		fake.on_wait();
	if (!*first_of(fd) && !fake.interrupt)
		fake.clock_ms += 1000;
}

static ssize_t fail_fill(bool waits)
{
	errno = waits && fake.interrupt ? EINTR : EAGAIN;
	fake.interrupt = false;
	return -1;
}

static bool take_receive_error(void)
{
	errno = fake.receive_error;
	fake.receive_error = 0;
	return errno;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *msgs, unsigned int n, int flags, struct timespec *t)
{
	const bool waits = flags & MSG_WAITFORONE;
	unsigned int i;

	(void)t;
	fake.batches++;
	begin_fill(fd, waits);
	if (take_receive_error())
		return -1;
	for (i = 0; i < n; i++) {
		ssize_t len = __wrap_recvmsg(fd, &msgs[i].msg_hdr, flags);

		if (len < 0)
			break;
		msgs[i].msg_len = (unsigned int)len;
	}
	if (fake.on_filled)
		fake.on_filled();
	return i > 0 ? (int)i : (int)fail_fill(waits);
}

ssize_t __wrap_recvfrom(int fd, void *data, size_t size, int flags, struct sockaddr *from,
			socklen_t *from_len)
{
	struct iovec iov = { data, size };
	struct msghdr msg = {
		.msg_name = from, .msg_namelen = *from_len, .msg_iov = &iov, .msg_iovlen = 1
	};
	const bool waits = !(flags & MSG_DONTWAIT);
	ssize_t len;

	begin_fill(fd, waits);
	if (take_receive_error())
		return -1;
	len = __wrap_recvmsg(fd, &msg, flags);
	*from_len = msg.msg_namelen;
	return len >= 0 ? len : fail_fill(waits);
}
