/* SPDX-License-Identifier: Apache-2.0 */
/*
 * late: its program is held up between counting an event and accounting for it, or, with
 * `lose`, never accounts for it. It watches getpriority() of one process.
 */
#include "late_events.h"

#include <stddef.h>
#include <sys/syscall.h>
#include <weir/weir.h>

struct late {
	uint64_t pid;
	bool lose;
};

static const struct weir_option options[] = {
	WEIR_OPTION_UINT(struct late, pid, "pid", "0", "The process whose calls are counted",
	                 .min = 0, .max = 4194304),
	WEIR_OPTION_BOOL(struct late, lose, "lose", "false", "Count them, and forget them"),
};
static const struct weir_field fields[] = {
	WEIR_FIELD(struct weir_late_call, waited_ns, WEIR_U64, "ns", "From its count to its record"),
};
static const struct weir_schema schemas[] = {
	[LATE_CALL] = { .name = "late_call", .topic = "late", .version = 1, .size = sizeof(struct weir_late_call),
	                .doc = "One call, late", .fields = WEIR_TABLE(fields) },
};

static int prepare(struct weir_plugin *p)
{
	struct late *l = weir_state(p);
	uint32_t pid = (uint32_t)l->pid, nr = SYS_getpriority, lose = l->lose;
	int err = p->host->bpf_set_const(p, "late_tgid", &pid, sizeof pid);

	err = err ? err : p->host->bpf_set_const(p, "late_nr", &nr, sizeof nr);
	return err ? err : p->host->bpf_set_const(p, "late_lose", &lose, sizeof lose);
}

WEIR_BPF_DECLARE(late);
static const struct weir_program programs[] = {
	{ .name = "on_call", .flags = WEIR_PROGRAM_REQUIRED, .kinds = 1 << LATE_CALL, .doc = "All of it" },
};
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "Calls, as the kernel sees them", .quality = "",
	  WEIR_BPF_OBJECT(late), .programs = WEIR_TABLE(programs), .prepare = prepare },
};

WEIR_PLUGIN(
	.name = "late", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "late",
	.doc = "Accounts for its events late, or never", .state_size = sizeof(struct late),
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON, .options = WEIR_TABLE(options),
	.schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources));
