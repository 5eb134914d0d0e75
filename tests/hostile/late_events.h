/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* late: one record per call, some time after it was counted. */
#ifndef WEIR_LATE_EVENTS_H
#define WEIR_LATE_EVENTS_H

#include <weir/kernel.h>

enum { LATE_CALL };

struct weir_late_call {
	__u64 waited_ns;
};

#endif
