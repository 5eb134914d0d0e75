/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where routes between processes meet: unix sockets in a directory that only the
 * daemon's user may enter. Main thread.
 */
#ifndef WEIR_CORE_BUS_H
#define WEIR_CORE_BUS_H

#include <stddef.h>
#include <stdint.h>

/* Where it shall be: the directory of the control socket. Removes what dead daemons have
 * left there. Nothing is made yet. */
void weir__bus_setup(const char *control_socket);
/* An address nobody has had. -errno: no directory could be made. */
int weir__bus_url(uint32_t route, char *url, size_t size);
/* Removes the directory. */
void weir__bus_end(void);

#endif
