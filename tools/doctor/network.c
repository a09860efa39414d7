/* SPDX-License-Identifier: MIT */
/* What else in a network namespace keeps packets from a rule. */
#include "doctor/network.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define OWN    "/proc/thread-self/net/"
#define STRICT 1 /* of rp_filter: the best way back is through that device */

/* The value of a setting below /proc/sys/net, or -1. */
static int read_setting(const char *directory, const char *name, const char *file_name)
{
	char path[128];
	FILE *file;
	int value = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/%s%s%s", directory, name, file_name);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (fscanf(file, "%d", &value) != 1)
		value = -1;
	fclose(file);
	return value;
}

static bool is_among(const char *const *names, const char *name)
{
	while (*names && strcmp(*names, name) != 0)
		names++;
	return *names;
}

/* Two lines belong together: one of names, one of values, each behind the same word. */
uint64_t network_sum_counters(FILE *netstat, const char *const *wanted)
{
	char *names = NULL, *values = NULL, *word, *value, *at_names, *at_values;
	size_t names_size = 0, values_size = 0;
	uint64_t found = 0;

	while (getline(&names, &names_size, netstat) > 0 &&
	       getline(&values, &values_size, netstat) > 0) {
		at_names = names;
		at_values = values;
		do {
			word = strtok_r(at_names, " \n", &at_names);
			value = strtok_r(at_values, " \n", &at_values);
			if (word && value && is_among(wanted, word))
				found += strtoull(value, NULL, 10);
		} while (word && value);
	}
	free(names);
	free(values);
	return found;
}

/* "  eth0: 1500 1 0 …": the second number is of packets received, the tenth of those sent. */
uint64_t network_count_devices(FILE *dev)
{
	char line[512];
	const char *numbers;
	uint64_t received, sent, total = 0;

	while (fgets(line, sizeof(line), dev)) {
		numbers = strrchr(line, ':');
		if (numbers &&
		    sscanf(numbers + 1, "%*u %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64,
			   &received, &sent) == 2)
			total += received + sent;
	}
	return total;
}

/* "Ip6OutRequests   16" */
static uint64_t count_v6(FILE *snmp6)
{
	char name[64];
	uint64_t value, total = 0;

	while (fscanf(snmp6, "%63s %" SCNu64, name, &value) == 2)
		if (strcmp(name, "Ip6InReceives") == 0 || strcmp(name, "Ip6OutRequests") == 0)
			total += value;
	return total;
}

/*
 * In front of the hooks. Where a packet that was made here has been counted when it gets to the hook differs between
 * kernels: with its protocol it always has.
 */
static uint64_t count_v4(FILE *snmp)
{
	static const char *const names[] = { "InReceives",   "OutRequests", "OutSegs",
					     "OutDatagrams", "OutMsgs",     NULL };

	return network_sum_counters(snmp, names);
}

/* What was made here and dropped in front of a device is in no counter of a device, and some of these are late. */
static void count_packets(struct network *network)
{
	FILE *dev = fopen(OWN "dev", "re"), *snmp = fopen(OWN "snmp", "re");
	FILE *snmp6 = fopen(OWN "snmp6", "re"); /* there is none without IPv6 */

	network->counted = dev && snmp;
	if (dev)
		network->packets += network_count_devices(dev);
	if (snmp)
		network->packets += count_v4(snmp);
	if (snmp6)
		network->packets += count_v6(snmp6);
	if (dev)
		fclose(dev);
	if (snmp)
		fclose(snmp);
	if (snmp6)
		fclose(snmp6);
}

/* The stricter of a device and of "all" counts. */
static bool is_strict(const char *device)
{
	const int all = read_setting("ipv4/conf/", "all", "/rp_filter");
	const int own = read_setting("ipv4/conf/", device, "/rp_filter");

	return (own > all ? own : all) == STRICT && strcmp(device, "lo") != 0;
}

static bool is_bridge(int fd, const char *device)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (char *)&info };

	strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
	return ioctl(fd, SIOCETHTOOL, &request) == 0 && strcmp(info.driver, "bridge") == 0;
}

static void look_at_devices(struct network *network)
{
	struct if_nameindex *devices = if_nameindex();
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	for (const struct if_nameindex *at = devices; at && at->if_name; at++) {
		network->devices++;
		if (!network->strict[0] && is_strict(at->if_name))
			snprintf(network->strict, sizeof(network->strict), "%.15s", at->if_name);
		if (!network->bridge[0] && fd >= 0 && is_bridge(fd, at->if_name))
			snprintf(network->bridge, sizeof(network->bridge), "%.15s", at->if_name);
	}
	if (devices)
		if_freenameindex(devices);
	if (fd >= 0)
		close(fd);
}

/* Those of which every namespace has some do not count: of lo, and of a link. */
static void look_at_addresses(struct network *network)
{
	struct ifaddrs *list = NULL;
	const struct sockaddr_in6 *v6;

	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		if (!at->ifa_addr || (at->ifa_flags & IFF_LOOPBACK))
			continue;
		v6 = (const struct sockaddr_in6 *)at->ifa_addr;
		network->has_v4 |= at->ifa_addr->sa_family == AF_INET;
		network->has_v6 |= at->ifa_addr->sa_family == AF_INET6 &&
				   !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
	}
	freeifaddrs(list);
}

void network_count(struct network *network)
{
	static const char *const names[] = { "IPReversePathFilter", NULL };
	FILE *netstat = fopen(OWN "netstat", "re");

	*network = (struct network){ 0 };
	if (netstat) {
		network->reverse_path = network_sum_counters(netstat, names);
		fclose(netstat);
	}
	count_packets(network);
}

void network_read(struct network *network)
{
	network_count(network);
	network->bridge_calls_v4 = read_setting("bridge/", "bridge-nf-call-iptables", "") == 1;
	network->bridge_calls_v6 = read_setting("bridge/", "bridge-nf-call-ip6tables", "") == 1;
	look_at_devices(network);
	look_at_addresses(network);
}
