/* SPDX-License-Identifier: MIT */
/* A plug-in that brings the shared library with it. */
#include "copy.h"

struct copy copy_get(void)
{
	return copy_functions();
}
