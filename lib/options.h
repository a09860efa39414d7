/* SPDX-License-Identifier: MIT */
/* Structs that begin with their size: those of older and newer callers fit. */
#ifndef MNFQ_OPTIONS_H
#define MNFQ_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

bool mnfq_i_options_sized(const void *options);
bool mnfq_i_options_unsized(const void *options);
int mnfq_i_options_copy(void *dst, size_t dst_size, const void *src);
void mnfq_i_options_return(void *dst, const void *src, size_t src_size);

#endif
