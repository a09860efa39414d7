/* SPDX-License-Identifier: MIT */
/* print/decode.c with any bytes: two of the EtherType, then the packet. */
#include <stdlib.h>
#include <string.h>

#include "print/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decoded decoded;

	if (size < 2)
		return 0;
	decode_packet(&decoded, (uint16_t)(data[0] << 8 | data[1]), data + 2, size - 2);
	if (!decoded.protocol[0] || strlen(decoded.protocol) >= sizeof(decoded.protocol))
		abort();
	if (decoded.has_ports && !decoded.family)
		abort();
	return 0;
}
