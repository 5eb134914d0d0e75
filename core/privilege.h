/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Privileges: the daemon gives up what its plugins have not declared, and each of
 * its threads what the one plugin on it has not. Linux calls only, no library.
 *
 *   root --user, drop--> own user, capabilities of all plugins --thread--> of one
 */
#ifndef WEIR_CORE_PRIVILEGE_H
#define WEIR_CORE_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Who the daemon shall be. */
struct weir__identity {
	const char *name;  /* borrowed */
	uid_t uid;
	gid_t gid;
	bool stay;         /* not root, or `user: ""`: the ids stay as they are */
	bool untouched;    /* `user: ""`: capabilities too */
	bool derived;      /* no such user: an id of its own, from the name */
};

/* `name` as in the option `user`: a name, a number, "root", or "" to stay as started.
 * 0; -ERANGE: no free id in the range; -ENOENT: a number that is none. Main thread. */
int weir__privilege_identity(const char *name, struct weir__identity *ret);

struct weir__privilege {
	uint64_t kept;     /* permitted from now on */
	uint64_t missing;  /* declared, but never held */
	uint64_t bounding; /* what no child can exceed */
};

/* Become id with the capabilities `needs` of those held. Main thread, before any
 * other thread exists. -errno: nothing that was held may be relied on; end the
 * process. err gets the step that failed and what to do. */
int weir__privilege_drop(const struct weir__identity *id, uint64_t needs,
                         struct weir__privilege *ret, char *err, size_t size);

/* The calling thread keeps `needs` only; for good. Nothing before a drop, or after one
 * that left things untouched. Aborts if the kernel refuses to take a right away. */
void weir__privilege_thread(uint64_t needs);
/* Run fn on a thread without any capability, and wait: what it starts has none either. */
int weir__privilege_bare(void (*fn)(void *), void *arg);

/* Of `needs`, what this process may not use. A held CAP_SYS_ADMIN stands for CAP_BPF
 * and CAP_PERFMON, as the kernel has it. Any thread of the daemon that has not given
 * up its own. */
uint64_t weir__privilege_lacks(uint64_t needs);
/* Adds to `reason` what of `needs` the drop has given up, and what to do about it;
 * nothing if that is none. For a plugin that nobody had configured at the start. */
void weir__privilege_explain(uint64_t needs, char *reason, size_t size);
/* "CAP_BPF, CAP_PERFMON", or "none". Returns buf. */
const char *weir__privilege_names(uint64_t caps, char *buf, size_t size);

#endif
