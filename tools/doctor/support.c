/* SPDX-License-Identifier: MIT */
/* What the kernel can do. */
#include "doctor/support.h"

#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A function of each, which shows it whether it is built in or a module. */
static const struct {
	const char *module, *symbol;
} kernel_parts[PARTS] = {
	[PART_NFNETLINK] = { "nfnetlink", "nfnetlink_rcv" },
	[PART_QUEUE] = { "nfnetlink_queue", "nfqnl_enqueue_packet" },
	[PART_XT] = { "xt_NFQUEUE", "nfqueue_tg_v3" },
	[PART_NFT] = { "nft_queue", "nft_queue_eval" },
	[PART_NF_TABLES] = { "nf_tables", "nf_tables_newrule" },
	[PART_CONNTRACK] = { "nf_conntrack_netlink", "ctnetlink_glue_build" },
};

const char *support_module(enum part part)
{
	return kernel_parts[part].module;
}

/* "ffffffff81f8a950 t nfqnl_enqueue_packet", perhaps with a suffix of the compiler, or the module in brackets. */
static void look_at_symbol(struct support *support, const char *line)
{
	const char *name = strchr(line, ' ');

	name = name && name[1] ? strchr(name + 1, ' ') : NULL;
	for (int i = 0; name && i < PARTS; i++) {
		const size_t len = strlen(kernel_parts[i].symbol);

		if (strncmp(name + 1, kernel_parts[i].symbol, len) == 0 && name[1 + len] &&
		    strchr(" \t\n.", name[1 + len]))
			support->parts[i] = PRESENCE_LOADED;
	}
}

/* "kernel/net/netfilter/xt_NFQUEUE.ko.xz: …" */
static void look_at_module(struct support *support, char *line)
{
	const char *name;

	line[strcspn(line, ":\n")] = '\0';
	name = strrchr(line, '/');
	for (int i = 0; name && i < PARTS; i++) {
		const size_t len = strlen(kernel_parts[i].module);

		if (strncmp(name + 1, kernel_parts[i].module, len) == 0 &&
		    strncmp(name + 1 + len, ".ko", 3) == 0 &&
		    support->parts[i] != PRESENCE_LOADED)
			support->parts[i] = PRESENCE_MODULE;
	}
}

void support_read_files(struct support *support, FILE *symbols, FILE *modules)
{
	char line[4096];
	bool whole = true; /* is it the begin of a line? */
	size_t count = 0;

	while (symbols && fgets(line, sizeof(line), symbols)) {
		look_at_symbol(support, line);
		count++;
	}
	/* Where nothing is listed, nothing can be said of what is not. */
	for (int i = 0; i < PARTS && count > 0; i++)
		if (support->parts[i] == PRESENCE_UNKNOWN)
			support->parts[i] = PRESENCE_ABSENT;
	while (modules && fgets(line, sizeof(line), modules)) {
		const bool begins = whole;

		whole = strchr(line, '\n');
		if (begins)
			look_at_module(support, line);
	}
}

bool support_is_asleep(const struct support *support)
{
	return support->parts[PART_NFNETLINK] == PRESENCE_ABSENT ||
	       support->parts[PART_NFNETLINK] == PRESENCE_MODULE;
}

void support_read(struct support *support)
{
	FILE *symbols = fopen("/proc/kallsyms", "re"), *modules;
	unsigned int major = 0, minor = 0;
	struct utsname name;
	char path[128];

	*support = (struct support){ 0 };
	uname(&name);
	snprintf(support->release, sizeof(support->release), "%s", name.release);
	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", name.release);
	modules = fopen(path, "re");
	support_read_files(support, symbols, modules);
	if (access("/proc/thread-self/net/netfilter/nfnetlink_queue", F_OK) == 0)
		support->parts[PART_QUEUE] = PRESENCE_LOADED;
	support->gso = sscanf(name.release, "%u.%u", &major, &minor) != 2 || major > 3 ||
		       (major == 3 && minor >= 10);
	if (symbols)
		fclose(symbols);
	if (modules)
		fclose(modules);
}
