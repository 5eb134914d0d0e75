/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's drop: who, what belongs to whom, and the words about it. Main thread. */
#ifndef WEIR_CORE_DAEMON_PRIVILEGE_H
#define WEIR_CORE_DAEMON_PRIVILEGE_H

#include "daemon.h"
#include "privilege.h"

/* What all configured plugins declare together. */
uint64_t weir__setup_needs(const struct weir__setup *setup);
/* From the option `user`; -errno has been logged. */
int weir__daemon_identity(const struct weir__config *c, struct weir__identity *ret);
/* When all is open and no thread has begun. -errno has been logged: end the process. */
int weir__daemon_drop(const struct weir__daemon *d, const struct weir__setup *setup,
                      const struct weir__identity *id);
/* A directory of root's becomes id's; any_content: also if it holds more than sockets.
 * -EPERM: it is shared, or somebody else's. */
int weir__give_directory(const char *path, const struct weir__identity *id, bool any_content);

#endif
