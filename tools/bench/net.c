/* SPDX-License-Identifier: MIT */
/*
 * mnfq-bench: the network. Three namespaces without a name, which live as long as a process holds
 * a descriptor of them: nothing stays behind, however the program ends. No other process is in there, so
 * our only thread may go from one to the other.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

int bench_fail(struct bench_net *net, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(net->error, sizeof(net->error), format, args);
	va_end(args);
	return -1;
}

int bench_net_enter(struct bench_net *net, int ns)
{
	if (setns(ns, CLONE_NEWNET) == 0)
		return 0;
	return bench_fail(net, "cannot enter a network namespace: %s", strerror(errno));
}

/* The first line of what a command printed, and its exit status. */
static int net_run(struct bench_net *net, int ns, const char *command, char *line, size_t size)
{
	char *shell, rest[256];
	FILE *out;
	int status;

	line[0] = '\0';
	if (bench_net_enter(net, ns) < 0)
		return -1;
	if (asprintf(&shell, "exec 2>&1; PATH=$PATH:/usr/sbin:/sbin; %s", command) < 0)
		return bench_fail(net, "out of memory");
	out = popen(shell, "re");
	free(shell);
	if (!out)
		return bench_fail(net, "cannot run a command: %s", strerror(errno));
	if (!fgets(line, (int)size, out))
		line[0] = '\0';
	while (fgets(rest, sizeof(rest), out))
		;
	line[strcspn(line, "\n")] = '\0';
	status = pclose(out);
	if (status == 0)
		return 0;
	return bench_fail(net, "'%.160s' failed: %s", command, line);
}

int bench_net_run(struct bench_net *net, int ns, const char *format, ...)
{
	char *command, line[256];
	va_list args;
	int err;

	va_start(args, format);
	err = vasprintf(&command, format, args);
	va_end(args);
	if (err < 0)
		return bench_fail(net, "out of memory");
	err = net_run(net, ns, command, line, sizeof(line));
	free(command);
	return err;
}

int bench_net_rule(struct bench_net *net, const char *format, ...)
{
	va_list args;
	char *rule;
	int err;

	va_start(args, format);
	err = vasprintf(&rule, format, args);
	va_end(args);
	if (err < 0)
		return bench_fail(net, "out of memory");
	err = bench_net_run(net, net->router, "%s -w -t mangle -A %s", net->iptables, rule);
	free(rule);
	return err;
}

int bench_net_clear(struct bench_net *net)
{
	return bench_net_run(net, net->router, "%s -w -t mangle -F", net->iptables);
}

int bench_net_count(struct bench_net *net, const char *chain, unsigned int rule,
		    uint64_t *packets)
{
	char command[160], line[256];
	unsigned long long count;

	/* Extensions print their warnings before the line. */
	snprintf(command, sizeof(command), "%s -w -t mangle -nvxL %s %u | tail -n 1",
		 net->iptables, chain, rule);
	if (net_run(net, net->router, command, line, sizeof(line)) < 0)
		return -1;
	if (sscanf(line, "%llu", &count) != 1)
		return bench_fail(net, "'%s' prints no counter: %s", command, line);
	*packets = count;
	return 0;
}

int bench_net_queue(struct bench_net *net, unsigned int num, struct bench_queue *queue)
{
	unsigned int found;
	FILE *file;
	int err = -1;

	if (bench_net_enter(net, net->router) < 0)
		return -1;
	file = fopen("/proc/thread-self/net/netfilter/nfnetlink_queue", "re");
	if (!file)
		return bench_fail(net, "cannot read the kernel's counters of queues: %s",
				  strerror(errno));
	while (err < 0 && fscanf(file, "%u %*u %u %*u %*u %u %u %u %*u", &found, &queue->waiting,
				 &queue->dropped, &queue->user_dropped, &queue->ids) == 5)
		if (found == num)
			err = 0;
	fclose(file);
	return err < 0 ? bench_fail(net, "the kernel knows no queue %u", num) : 0;
}

int bench_net_socket(struct bench_net *net, int ns, int type, uint16_t port, bool receiver)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons(port),
				       .sin_addr.s_addr = htonl(0x0a000201) };
	int err, fd, on = 1;

	if (bench_net_enter(net, ns) < 0)
		return -1;
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bench_fail(net, "cannot open a socket: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	err = receiver ? bind(fd, (struct sockaddr *)&address, sizeof(address))
		       : connect(fd, (struct sockaddr *)&address, sizeof(address));
	if (err < 0) {
		bench_fail(net, "cannot reach the receiver: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

/* ---- making it ---------------------------------------------------------------------------- */

int bench_net_make(struct bench_net *net)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return bench_fail(net, "cannot make a network namespace: %s%s", strerror(errno),
				  errno == EPERM ? " (run it as root)" : "");
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		bench_fail(net, "cannot open a network namespace: %s", strerror(errno));
	return fd;
}

/*
 * @dev with the address .2 of a network in the router, and eth0 with .1 in @host. The neighbours
 * are set, so that none is asked for while it counts, and there is no IPv6, which talks on its own.
 */
static int net_join(struct bench_net *net, int host, const char *dev, int network)
{
	if (bench_net_run(net, net->router,
			  "ip link add %s address 02:00:00:00:%02d:02 type veth peer name eth0 "
			  "address 02:00:00:00:%02d:01 netns /proc/%d/fd/%d",
			  dev, network, network, (int)getpid(), host) < 0)
		return -1;
	if (bench_net_run(net, net->router,
			  "ip address add 10.0.%d.2/24 dev %s && ip link set %s up && "
			  "ip neighbour add 10.0.%d.1 lladdr 02:00:00:00:%02d:01 dev %s",
			  network, dev, dev, network, network, dev) < 0)
		return -1;
	return bench_net_run(net, host,
			     "ip address add 10.0.%d.1/24 dev eth0 && ip link set eth0 up && "
			     "ip neighbour add 10.0.%d.2 lladdr 02:00:00:00:%02d:02 dev eth0 && "
			     "ip route add default via 10.0.%d.2",
			     network, network, network, network);
}

static int set_sysctls(struct bench_net *net, int ns, bool forward)
{
	return bench_net_run(net, ns,
			     "cd /proc/sys/net && "
			     "if [ -d ipv6 ]; then echo 1 >ipv6/conf/all/disable_ipv6; fi && "
			     "echo %d >ipv4/ip_forward",
			     forward);
}

/* Finds the command whose rules this kernel takes, all of them. */
static int find_iptables(struct bench_net *net)
{
	static const char *const commands[] = { "iptables-legacy", "iptables-nft", "iptables" };
	char first[sizeof(net->error)] = "";

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		net->iptables = commands[i];
		if (bench_net_rule(net, "FORWARD -p udp -j NFQUEUE --queue-num 0") == 0 &&
		    bench_net_rule(net, "POSTROUTING -m mark --mark 1 -j DROP") == 0)
			return bench_net_clear(net);
		(void)bench_net_clear(net);
		if (!first[0])
			memcpy(first, net->error, sizeof(first));
	}
	return bench_fail(net, "no iptables that takes NFQUEUE rules here: %.400s", first);
}

int bench_net_open(struct bench_net *net)
{
	*net = (struct bench_net){ .sender = -1, .router = -1, .receiver = -1 };
	if ((net->sender = bench_net_make(net)) < 0 || (net->router = bench_net_make(net)) < 0 ||
	    (net->receiver = bench_net_make(net)) < 0)
		return -1;
	if (set_sysctls(net, net->sender, false) < 0 || set_sysctls(net, net->router, true) < 0 ||
	    set_sysctls(net, net->receiver, false) < 0)
		return -1;
	if (net_join(net, net->sender, "left", 1) < 0 ||
	    net_join(net, net->receiver, "right", 2) < 0)
		return -1;
	return find_iptables(net);
}

void bench_net_close(struct bench_net *net)
{
	int *fds[] = { &net->sender, &net->router, &net->receiver };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}
