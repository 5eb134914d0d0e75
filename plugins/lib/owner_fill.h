/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owners of sockets that are older than Weir: runs a program of section iter/task_file to its
 * end, once, on the pool, since it walks every open file of every task (10 ms for 100 000
 * files). owner_fill.bpf.h is its other half. Failure: those sockets have no owner until they
 * are used; said in the log.
 */
#ifndef WEIR_LIB_OWNER_FILL_H
#define WEIR_LIB_OWNER_FILL_H

#include <weir/weir.h>

/* program: its name in the object of the source that starts. Host's loop. */
void owner_fill(struct weir_plugin *p, const char *program);

#endif
