/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A crash inside a thread host ends the daemon; it cannot be contained, only
 * explained. The handler writes one log line that names the plugin and its callback,
 * leaves a note for the next start in the state directory, and lets the signal do
 * what it would have done (core dump included).
 *
 *   handler: crashed-PLUGIN = "count how"  ->  next start: read, removed, breaker open
 *
 * Threads: the handler runs on the thread that crashed and uses nothing but what is
 * safe there; everything else as said.
 */
#ifndef WEIR_CORE_FATAL_H
#define WEIR_CORE_FATAL_H

#include "host_account.h"

#include <stdatomic.h>

/* Whose code a thread runs. Lives as long as the thread. */
struct weir__fatal_who {
	const char *plugin;
	const struct weir__doing *doing; /* its callback under way */
	/* filled in by enter() */
	char note[96];                   /* name of the file */
	const _Atomic unsigned *crashes; /* in a row before this one, or NULL */
	void *stack;                     /* alternate */
	size_t stack_bytes;
};

/* Install the handlers; state_dir "" or not writable: no notes. Main thread, once. */
void weir__fatal_setup(const char *state_dir);
/* This thread runs a plugin from now on / does not any more. Without memory for an
 * alternate stack only an overflow of the stack is not explained. */
void weir__fatal_enter(struct weir__fatal_who *who);
void weir__fatal_leave(struct weir__fatal_who *who);

/* Crashes in a row that the note of earlier processes tells of, 0: none. The note is
 * removed. Main thread. */
unsigned weir__fatal_recall(const char *plugin);
/* "SIGSEGV in deliver" of the crash before, or "". */
const char *weir__fatal_how(const char *plugin);
/* It works: a later crash is a first one. Any thread. */
void weir__fatal_forgive(const char *plugin);

#endif
