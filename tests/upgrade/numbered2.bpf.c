/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The same as another object. */
#define NUMBERED_BUILD 2
#include "numbered.bpf.h"
