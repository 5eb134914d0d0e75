/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager how the daemon is: systemd's datagrams to
 * $NOTIFY_SOCKET (man sd_notify). Without that variable nothing happens. Main thread.
 */
#ifndef WEIR_CORE_NOTIFY_H
#define WEIR_CORE_NOTIFY_H

#include <stdint.h>
#include <uv.h>

struct weir__notify {
	int fd;                /* -1: nobody wants to know */
	uint64_t watchdog_ms;  /* how often to say that the loop turns; 0: nobody asked */
	uv_timer_t timer;
	uint64_t sent;
};

/* Reads and removes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID: children are not
 * to speak for the daemon. Connects, so that it works after a change of user. 0, also
 * if there is none; -errno: the address is wrong or nobody listens. */
int weir__notify_init(struct weir__notify *n);
/* One message, lines as in sd_notify(3): "READY=1\nSTATUS=...". Never blocks; what the
 * manager does not take is lost. */
__attribute__((format(printf, 2, 3))) void weir__notify(struct weir__notify *n, const char *fmt, ...);
/* RELOADING=1 with the time that systemd asks for beside it. READY=1 ends it. */
void weir__notify_reloading(struct weir__notify *n);
/* From now on WATCHDOG=1 twice per interval, by the loop itself: if that hangs, so
 * does this, and the manager acts. */
void weir__notify_feed(struct weir__notify *n, uv_loop_t *loop);
/* Closes; the timer's handle may still be closing when this returns. */
void weir__notify_fini(struct weir__notify *n);

#endif
