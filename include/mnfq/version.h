/* SPDX-License-Identifier: MIT */
/* The version of libmnfq, defined only here. */
#ifndef MNFQ_VERSION_H
#define MNFQ_VERSION_H

#define MNFQ_VERSION_MAJOR 0
#define MNFQ_VERSION_MINOR 1
#define MNFQ_VERSION_PATCH 0
#define MNFQ_VERSION       "0.1.0"

#endif
