// SPDX-License-Identifier: MIT
/* Structs that begin with their size: those of older and newer callers fit. */
#include "options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define OPTIONS_SIZE_MAX 4096u

/*
 * Whether a struct of the caller is there and begins with a possible size. Sizes beyond those of
 * any version are garbage: following one would read or write whatever lies behind the struct. One
 * that is no multiple of the alignment would cut a pointer in half.
 */
bool mnfq_i_options_sized(const void *options)
{
	size_t size;

	if (!options)
		return false;
	memcpy(&size, options, sizeof(size));
	return size >= sizeof(size) && size <= OPTIONS_SIZE_MAX && size % _Alignof(size_t) == 0;
}

/* Whether .size was forgotten. */
bool mnfq_i_options_unsized(const void *options)
{
	static const size_t zero;

	return options && memcmp(options, &zero, sizeof(zero)) == 0;
}

/*
 * Reads options of a caller who may know fewer fields than we do, or more. NULL: all defaults. What
 * we know is there after -E2BIG, too: it may say where to write the message.
 */
int mnfq_i_options_copy(void *dst, size_t dst_size, const void *src)
{
	const uint8_t *bytes = src;
	size_t size, i;

	memset(dst, 0, dst_size);
	if (!src)
		return 0;
	if (!mnfq_i_options_sized(src))
		return -EINVAL;
	memcpy(&size, src, sizeof(size));
	memcpy(dst, src, size < dst_size ? size : dst_size);
	for (i = dst_size; i < size; i++)
		if (bytes[i] != 0)
			return -E2BIG;
	return 0;
}

/* The other way round, into a struct that is sized: fills in as much as it has room for. */
void mnfq_i_options_return(void *dst, const void *src, size_t src_size)
{
	size_t size;

	memcpy(&size, dst, sizeof(size));
	memset(dst, 0, size);
	memcpy(dst, src, size < src_size ? size : src_size);
	memcpy(dst, &size, sizeof(size));
}
