/* SPDX-License-Identifier: MIT */
/* The names of ports. */
#ifndef MNFQ_TOOLS_PRINT_SERVICES_H
#define MNFQ_TOOLS_PRINT_SERVICES_H

#include <stdint.h>

struct services;

/**
 * Read /etc/services: all of it at once, because packets are printed in a sandbox without files. Returns NULL, with
 * the reason in errno.
 */
struct services *services_read(void);

/** As services_read(), of another file. */
struct services *services_read_file(const char *path);

/** Of a TCP or UDP port, or NULL: there is none, or @services is NULL. @protocol: IPPROTO_*. */
const char *services_find(const struct services *services, uint8_t protocol, uint16_t port);

/** NULL is allowed. */
void services_free(struct services *services);

#endif
