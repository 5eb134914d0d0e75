/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this machine can do, found by trying: the engine of `weir check`. Each
 * finding says what is the case, why, and what to do about it.
 */
#ifndef WEIR_CORE_CHECK_H
#define WEIR_CORE_CHECK_H

#include "setup.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum weir__check_state { WEIR__CHECK_OK, WEIR__CHECK_DEGRADED, WEIR__CHECK_MISSING };

/* What a finding means for the whole: nothing (a kernel feature that only counts if
 * a plugin needs it), less than exact, or that weir cannot run. */
enum weir__check_weight { WEIR__CHECK_INFO, WEIR__CHECK_COUNTS, WEIR__CHECK_FATAL };

struct weir__finding {
	const char *area;  /* "kernel", "bpf", "system", "weir", "plugin": static */
	char *name, *reason;
	char *todo;        /* or NULL */
	int state, weight;
};

struct weir__findings {
	struct weir__finding *items;
	size_t count, room;
	bool oom;
};

/* todo may be NULL. Without memory sets oom. */
__attribute__((format(printf, 7, 8))) void
weir__finding_add(struct weir__findings *f, const char *area, int weight, const char *name,
                  int state, const char *todo, const char *fmt, ...);
void weir__findings_fini(struct weir__findings *f);
/* 0 all exact, 1 degraded, 2 cannot run. */
int weir__findings_exit(const struct weir__findings *f);
json_t *weir__findings_json(const struct weir__findings *f);
const char *weir__check_state_name(int state);

/* ---- what is checked; each adds its findings. Main thread. ---- */
void weir__check_bpf(struct weir__findings *f);
void weir__check_system(struct weir__findings *f);
/* Effective capabilities of this process, a bit each. */
uint64_t weir__check_capabilities(void);
/* Listener, directories, control socket. */
void weir__check_places(struct weir__findings *f, const struct weir__daemon_config *cfg);
/* Who the daemon would be, and with which rights: becomes it for good, so that the
 * plugins are tried as they will run. */
void weir__check_user(struct weir__findings *f, const struct weir__setup *setup);
/* Starts each enabled collector as it would run, without outputs, notes the source
 * it gets, and stops it again. */
void weir__check_plugins(struct weir__findings *f, const struct weir__setup *setup);

#endif
