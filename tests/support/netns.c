/* SPDX-License-Identifier: MIT */
/* Network namespaces for tests. */
#include "netns.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wait.h"

#define DIR "/run/netns/"

void skip_or_fail(const char *reason)
{
	const char *require = getenv("MNFQ_TEST_REQUIRE");

	if (require && strstr(require, "kernel"))
		cr_assert_fail("MNFQ_TEST_REQUIRE=kernel, but %s", reason);
	cr_skip_test("%s", reason);
}

void netns_require(void)
{
	if (geteuid() != 0)
		skip_or_fail("this needs root");
	if (system("command -v ip iptables-legacy ip6tables-legacy >/dev/null") != 0)
		skip_or_fail("this needs the commands ip, iptables-legacy and ip6tables-legacy");
	if (access("/proc/net/netfilter/nfnetlink_queue", R_OK) < 0 &&
	    system("modprobe -q nfnetlink_queue") != 0)
		skip_or_fail("this kernel has no NFQUEUE");
}

/* ---- the process that tidies up ---- */

static int reaper_fd = -1;
static pid_t reaper_pid;

static void remove_name(const char *name)
{
	char path[sizeof(DIR) + 32];

	snprintf(path, sizeof(path), DIR "%.31s", name);
	umount2(path, MNT_DETACH);
	unlink(path);
}

/* Reads names of a fixed size until all who could write are gone, then removes them. */
static void reaper_main(int fd)
{
	char names[256][32];
	unsigned int n = 0;

	while (n < 256 && read(fd, names[n], sizeof(names[n])) == sizeof(names[n]))
		n++;
	for (unsigned int i = 0; i < n; i++)
		remove_name(names[i]);
}

/* The end of the test, when it does not crash: the names are gone before it is over. */
static void reaper_stop(void)
{
	if (reaper_fd < 0)
		return;
	close(reaper_fd);
	reaper_fd = -1;
	while (waitpid(reaper_pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void netns_forget(void)
{
	close(reaper_fd);
	reaper_fd = -1;
}

/* Holds nothing of the test's but the pipe, and is out of reach of a Ctrl-C. */
static void reaper_start(void)
{
	int ends[2], null;

	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	reaper_pid = fork();
	cr_assert(reaper_pid >= 0);
	if (reaper_pid == 0) {
		setsid();
		null = open("/dev/null", O_RDWR);
		dup2(ends[0], 0);
		dup2(null, 1);
		dup2(null, 2);
		close_range(3, ~0u, 0);
		reaper_main(0);
		_exit(0);
	}
	close(ends[0]);
	reaper_fd = ends[1];
	atexit(reaper_stop);
}

/* ---- namespaces ---- */

/* Duplicate address detection would make us wait, and solicitations would be counted. */
static void set_up(struct netns *ns)
{
	netns_run(ns, "ip link set lo mtu 65536 up; cd /proc/sys/net/ipv6/conf\n"
		      "for i in all default; do echo 0 >$i/accept_dad; echo 0 >$i/dad_transmits\n"
		      "echo 0 >$i/router_solicitations; done");
}

struct netns *netns_new(void)
{
	static unsigned int number;
	struct netns *ns = calloc(1, sizeof(*ns));
	char path[sizeof(DIR) + 32];

	netns_require();
	if (reaper_fd < 0)
		reaper_start();
	snprintf(ns->name, sizeof(ns->name), "mnfq-%d-%u", (int)getpid(), ++number);
	cr_assert(write(reaper_fd, ns->name, sizeof(ns->name)) == sizeof(ns->name));
	snprintf(path, sizeof(path), DIR "%s", ns->name);
	ns->fd = -1;
	netns_run(NULL, "ip netns add %s", ns->name);
	ns->fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(ns->fd >= 0, "%s: %s", path, strerror(errno));
	set_up(ns);
	return ns;
}

struct netns *netns_free(struct netns *ns)
{
	remove_name(ns->name);
	close(ns->fd);
	free(ns);
	return NULL;
}

static void add_addresses(struct netns *ns, const char *dev, unsigned int net, unsigned int host)
{
	netns_run(ns,
		  "ip link set %s up && ip address add 10.0.%u.%u/24 dev %s &&"
		  " ip address add fd00:0:0:%u::%u/64 dev %s nodad",
		  dev, net, host, dev, net, host, dev);
}

static bool is_up(struct netns *ns, const char *dev)
{
	char *link = netns_output(ns, "ip -o link show dev %s", dev);
	bool up = strstr(link, " state UP ") && !strstr(link, " qdisc noop ");

	free(link);
	return up;
}

void netns_wait_up(struct netns *ns, const char *dev)
{
	cr_assert(wait_until(is_up(ns, dev)), "%s in %s does not come up", dev, ns->name);
}

void netns_join(struct netns *a, const char *dev_a, struct netns *b, const char *dev_b,
		unsigned int net)
{
	netns_run(a, "ip link add %s type veth peer name %s netns %s", dev_a, dev_b, b->name);
	add_addresses(a, dev_a, net, 1);
	add_addresses(b, dev_b, net, 2);
	netns_wait_up(a, dev_a);
	netns_wait_up(b, dev_b);
}

void netns_route(struct netns *left, struct netns *router, struct netns *right)
{
	netns_join(left, "eth0", router, "left", 1);
	netns_join(right, "eth0", router, "right", 2);
	netns_run(left, "ip route add 10.0.2.0/24 via 10.0.1.2 &&"
			" ip route add fd00:0:0:2::/64 via fd00:0:0:1::2");
	netns_run(right, "ip route add 10.0.1.0/24 via 10.0.2.2 &&"
			 " ip route add fd00:0:0:1::/64 via fd00:0:0:2::2");
	netns_run(router, "echo 1 >/proc/sys/net/ipv4/ip_forward &&"
			  " echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
}

void netns_bridge(struct netns *left, struct netns *middle, struct netns *right)
{
	netns_join(left, "eth0", middle, "p1", 1);
	netns_join(right, "eth0", middle, "p2", 2);
	netns_run(middle,
		  "ip link add br0 type bridge && ip link set br0 up &&"
		  " for i in p1 p2; do ip address flush dev $i && ip link set $i master br0"
		  " || exit; done");
	netns_run(right, "ip address flush dev eth0 && ip address add 10.0.1.9/24 dev eth0 &&"
			 " ip address add fd00:0:0:1::9/64 dev eth0 nodad");
}

uint64_t netns_inode(const struct netns *ns)
{
	struct stat st;

	cr_assert(fstat(ns->fd, &st) == 0);
	return st.st_ino;
}

/* ---- commands ---- */

static char *read_all(int fd)
{
	char *text = NULL, chunk[4096];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	ssize_t len;

	while ((len = read(fd, chunk, sizeof(chunk))) > 0 || (len < 0 && errno == EINTR))
		fwrite(chunk, 1, len > 0 ? (size_t)len : 0, out);
	fclose(out);
	return text;
}

static char *run(struct netns *ns, const char *format, va_list args)
{
	char *command, *output;
	int ends[2], status = -1;
	sigset_t none;
	pid_t pid;

	cr_assert(vasprintf(&command, format, args) > 0);
	cr_assert(pipe2(ends, O_CLOEXEC) == 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		dup2(ends[1], 1);
		dup2(ends[1], 2);
		if (!ns || setns(ns->fd, CLONE_NEWNET) == 0)
			execl("/bin/sh", "sh", "-c", command, NULL);
		dprintf(2, "%s\n", strerror(errno));
		_exit(127);
	}
	close(ends[1]);
	output = read_all(ends[0]);
	close(ends[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	cr_assert(status == 0, "'%s' in %s: status 0x%x\n%s", command, ns ? ns->name : "here",
		  (unsigned int)status, output);
	free(command);
	return output;
}

void netns_run(struct netns *ns, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	free(run(ns, format, args));
	va_end(args);
}

char *netns_output(struct netns *ns, const char *format, ...)
{
	va_list args;
	char *output;

	va_start(args, format);
	output = run(ns, format, args);
	va_end(args);
	return output;
}

static const char *iptables(int family)
{
	return family == 6 ? "ip6tables-legacy" : "iptables-legacy";
}

void netns_rule(struct netns *ns, int family, const char *format, ...)
{
	va_list args;
	char *rule;

	va_start(args, format);
	cr_assert(vasprintf(&rule, format, args) > 0);
	va_end(args);
	netns_run(ns, "%s -w %s", iptables(family), rule);
	free(rule);
}

/* The rule is the last line: extensions print their warnings before. */
uint64_t netns_rule_packets(struct netns *ns, int family, const char *table, const char *chain,
			    unsigned int rule)
{
	char *output = netns_output(ns, "%s -w -t %s -nvxL %s %u 2>&1 | tail -n 1",
				    iptables(family), table, chain, rule);
	unsigned long long packets = 0;

	cr_assert(sscanf(output, "%llu", &packets) == 1, "no rule %u in %s: '%s'", rule, chain,
		  output);
	free(output);
	return packets;
}

uint64_t netns_queued_packets(struct netns *ns)
{
	char *output = netns_output(ns, "iptables-legacy-save -c; ip6tables-legacy-save -c; "
					"! command -v nft >/dev/null || nft list ruleset");
	unsigned long long packets, sum = 0;
	char *line, *counter, *rest = output;

	while ((line = strsep(&rest, "\n"))) {
		counter = strstr(line, "counter packets ");
		if (strstr(line, "-j NFQUEUE") && sscanf(line, "[%llu:", &packets) == 1)
			sum += packets;
		else if (counter && strstr(counter, " queue ") &&
			 sscanf(counter, "counter packets %llu", &packets) == 1)
			sum += packets;
	}
	free(output);
	return sum;
}

/* ---- within a namespace ---- */

struct call {
	struct netns *ns;
	int (*function)(void *arg);
	void *arg;
	int result;
};

static void *call_thread(void *arg)
{
	struct call *call = arg;

	call->result = setns(call->ns->fd, CLONE_NEWNET) < 0 ? -errno : call->function(call->arg);
	return NULL;
}

int netns_call(struct netns *ns, int (*function)(void *arg), void *arg)
{
	struct call call = { .ns = ns, .function = function, .arg = arg };
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	cr_assert(pthread_create(&thread, NULL, call_thread, &call) == 0);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_join(thread, NULL);
	return call.result;
}

void netns_enter(struct netns *ns)
{
	cr_assert(setns(ns->fd, CLONE_NEWNET) == 0, "setns: %s", strerror(errno));
}

struct socket_call {
	int domain, type, protocol;
};

static int netns_open_socket(void *arg)
{
	const struct socket_call *call = arg;
	int fd = socket(call->domain, call->type | SOCK_CLOEXEC, call->protocol);

	return fd < 0 ? -errno : fd;
}

int netns_socket(struct netns *ns, int domain, int type, int protocol)
{
	struct socket_call call = { domain, type, protocol };
	int fd = netns_call(ns, netns_open_socket, &call);

	cr_assert(fd >= 0, "cannot open a socket in %s: %s", ns->name, strerror(-fd));
	return fd;
}

static int open_proc(void *arg)
{
	(void)arg;
	return open("/proc/thread-self/net/netfilter/nfnetlink_queue", O_RDONLY | O_CLOEXEC);
}

bool netns_get_queue(struct netns *ns, unsigned int num, struct netns_queue *queue)
{
	int fd = netns_call(ns, open_proc, NULL);
	FILE *file = fd >= 0 ? fdopen(fd, "re") : NULL;
	bool found = false;

	cr_assert(file, "cannot open nfnetlink_queue in %s", ns->name);
	while (!found && fscanf(file, "%u %u %u %u %u %u %u %u %*u", &queue->num, &queue->portid,
				&queue->waiting, &queue->copy_mode, &queue->copy_range,
				&queue->dropped, &queue->user_dropped, &queue->id) == 8)
		found = queue->num == num;
	fclose(file);
	return found;
}

bool netns_wait_waiting(struct netns *ns, unsigned int num, unsigned int packets)
{
	struct netns_queue queue;

	return wait_until(netns_get_queue(ns, num, &queue) && queue.waiting == packets);
}
