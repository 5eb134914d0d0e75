/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon and a plugin's process say to each other over a framed link
 * (host_link.h). Both are the same program: the daemon starts itself, so structs
 * travel as they are. The daemon still believes nothing the process says without a
 * check: it may be a stranger's by then.
 *
 *   LOAD {"path","name"} ->            <- the descriptor as JSON, or rc and why not
 *   a request of host_request.h ->     <- its answer, with the same id
 *                                      <- LOG, FAILED, ASK, METRICS at any time
 *   ANSWER, METRICS_ARE ->
 *
 * Bodies: START and PREPARE {"common","options"} as texts, "kernel_guard"'s entries, and
 * the shared account's descriptor; answered, as ADOPT and TAKE are, by weir__wire_started and the kernel
 * account's. Structs, or what is below, for the others.
 */
#ifndef WEIR_CORE_HOST_WIRE_H
#define WEIR_CORE_HOST_WIRE_H

#include "host_request.h"
#include <jansson.h>

enum weir__wire_type {
	WEIR__WIRE_LOAD = 1,
	WEIR__WIRE_LOG,         /* rc: level; text */
	WEIR__WIRE_FAILED,      /* rc; the reason */
	WEIR__WIRE_ASK,         /* id: ticket; the query */
	WEIR__WIRE_ANSWER,      /* id: ticket, rc; text */
	WEIR__WIRE_METRICS,     /* id: all samples are asked for */
	WEIR__WIRE_METRICS_ARE, /* id; JSON */
	WEIR__WIRE_REQUEST = 16,/* + enum weir__request_type, both ways */
};

/* The link and the shared account in the child. */
#define WEIR__CHILD_LINK_FD 3

struct weir__wire_started {
	int32_t source;
	uint32_t adopted;        /* ADOPT: it has taken over what it was given */
	uint32_t cpus;           /* entries of the kernel account that comes along */
	uint64_t counts_ns;      /* weir__host_counts_ns() */
	char reason[512];
	char source_reasons[8][WEIR__ERROR_TEXT];
};

struct weir__wire_route { /* ATTACH; RECEIVE: a descriptor as JSON follows */
	uint32_t id, topics;
	int32_t policy;
	uint32_t reserved;
	uint64_t limit;
	char from[32], to[32], url[128];
};

/* Settings as texts that bind again. NULL: no memory. */
json_t *weir__settings_encode(const struct weir__settings *s);
/* On top of the defaults. 0; -ENOMEM; -EINVAL with err. */
int weir__settings_decode(const json_t *j, const char *name, const struct weir_plugin_desc *desc,
                          struct weir__settings **ret, char *err, size_t size);

/* The descriptors of handles in their order into fds (WEIR__LINK_FDS); returns how many. */
size_t weir__handles_fds(const struct weir__bpf_handles *h, int *fds);
/* The other way round, for handles that came with `count` descriptors: takes them. Checks
 * every bound. false: nonsense; then h has none. */
bool weir__handles_take(struct weir__bpf_handles *h, int *fds, size_t count);

/* All present samples of this process, grouped by metric. NULL: no memory. */
json_t *weir__samples_encode(void);
/* Into a plugin's set, by row number; series that are not among them go. Bounded by the
 * set's own bounds. */
void weir__samples_apply(const json_t *samples, struct weir__metrics_set *set,
                         const struct weir_table *metrics);
/* As weir__metrics_walk, over what another process has sent. */
int weir__samples_walk(const json_t *samples, weir_sample_cb cb, void *arg);

#endif
