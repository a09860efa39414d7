/* SPDX-License-Identifier: MIT */
/*
 * The names of ports. getservent() does not exist in musl, and in a static program of glibc it loads libraries, so
 * the file is read here.
 */
#include "print/services.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

struct services {
	char *tcp[UINT16_MAX + 1], *udp[UINT16_MAX + 1];
};

/* The first name of a port counts. A hostile one is none. */
static int add_service(struct services *services, const char *line)
{
	char name[33], protocol[4];
	unsigned int port;
	char **names;

	if (sscanf(line, "%32[^# \t\n] %5u/%3[a-z]", name, &port, protocol) != 3 ||
	    port > UINT16_MAX || !is_word(name, strlen(name)))
		return 0;
	names = strcmp(protocol, "tcp") == 0   ? services->tcp
		: strcmp(protocol, "udp") == 0 ? services->udp
					       : NULL;
	if (!names || names[port])
		return 0;
	names[port] = strdup(name);
	return names[port] ? 0 : -1;
}

struct services *services_read_file(const char *path)
{
	struct services *services = calloc(1, sizeof(*services));
	FILE *file = services ? fopen(path, "re") : NULL;
	char line[256];
	int err = file ? 0 : -1;

	while (!err && fgets(line, sizeof(line), file))
		err = add_service(services, line);
	if (file && ferror(file))
		err = -1;
	if (file)
		fclose(file);
	if (!err)
		return services;
	services_free(services);
	return NULL;
}

struct services *services_read(void)
{
	return services_read_file("/etc/services");
}

const char *services_find(const struct services *services, uint8_t protocol, uint16_t port)
{
	if (!services)
		return NULL;
	if (protocol == IPPROTO_TCP)
		return services->tcp[port];
	return protocol == IPPROTO_UDP ? services->udp[port] : NULL;
}

void services_free(struct services *services)
{
	for (size_t i = 0; services && i <= UINT16_MAX; i++) {
		free(services->tcp[i]);
		free(services->udp[i]);
	}
	free(services);
}
