// SPDX-License-Identifier: MIT
/* Memory that is counted, and refused when a test wants that. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fake-kernel.h"

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset);

static bool out_of_memory(void)
{
	fake.allocations++;
	if (fake.fail_allocation == 0 || --fake.fail_allocation > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return out_of_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return out_of_memory() ? NULL : __real_realloc(old, size);
}

/* As mmap() is called where offsets have 64 bits. */
void *__wrap_mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return out_of_memory() ? MAP_FAILED : __real_mmap64(addr, len, prot, flags, fd, offset);
}
