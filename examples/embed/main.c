/* SPDX-License-Identifier: MIT */
/*
 * A program in its own project, see meson.build: `embed QUEUE` accepts packets and counts bytes,
 * `embed` prints the version of its library.
 */
#include <mnfq/mnfq.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static enum mnfq_verdict count(struct mnfq_packet *packet, void *data)
{
	uint64_t *bytes = data;
	size_t len;

	if (mnfq_packet_get_length(packet, &len) == 0)
		*bytes += len;
	printf("%llu bytes\n", (unsigned long long)*bytes);
	return MNFQ_ACCEPT;
}

int main(int argc, char **argv)
{
	char error[MNFQ_ERRMSG_SIZE] = "";
	const struct mnfq_socket_options options = { .size = sizeof(options),
						     .error = error,
						     .error_size = sizeof(error) };
	struct mnfq_socket *sock = NULL;
	uint64_t bytes = 0;
	char *end = NULL;
	unsigned long num = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
	int err;

	if (argc == 1)
		return printf("libmnfq %s\n", mnfq_get_version()) < 0;
	if (argc != 2 || end == argv[1] || *end || num > 65535) {
		fprintf(stderr, "usage: embed [QUEUE]\n");
		return 2;
	}
	err = mnfq_socket_open(&sock, &options);
	if (err == 0)
		err = mnfq_queue_bind(NULL, sock, (uint16_t)num, NULL, count, &bytes);
	if (err == 0)
		err = mnfq_socket_run(sock);
	if (err < 0)
		fprintf(stderr, "embed: %s\n", sock ? mnfq_socket_get_error(sock) : error);
	mnfq_socket_close(sock);
	return err < 0;
}
