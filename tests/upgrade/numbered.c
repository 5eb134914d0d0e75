/* SPDX-License-Identifier: Apache-2.0 */
/*
 * numbered: watches the numbered calls of one process, for the test of upgrades. Built
 * several times; what tells the builds apart is defined by the build.
 */
#include "numbered_events.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/weir.h>

struct numbered {
	uint64_t pid;
};

static const struct weir_option options[] = {
	WEIR_OPTION_UINT(struct numbered, pid, "pid", "0", "The process whose calls are counted",
	                 .min = 0, .max = 4194304),
};
static const struct weir_field call_fields[] = {
	WEIR_FIELD(struct weir_numbered_call, seq, WEIR_U64, "", "Number of the call"),
	WEIR_FIELD(struct weir_numbered_call, pid, WEIR_U32, "", "Process that made the call"),
	WEIR_FIELD(struct weir_numbered_call, build, WEIR_U32, "", "Which program made the record"),
};
static const struct weir_schema schemas[] = {
	[NUMBERED_CALL] = { .name = "numbered_call", .topic = "numbered", .version = 1,
	                    .size = sizeof(struct weir_numbered_call), .doc = "One numbered call",
	                    .fields = WEIR_TABLE(call_fields) },
};

static int prepare(struct weir_plugin *p)
{
	struct numbered *n = weir_state(p);
	uint32_t pid = (uint32_t)n->pid, nr = SYS_getpriority;
	int err = p->host->bpf_set_const(p, "numbered_tgid", &pid, sizeof pid);

	return err ? err : p->host->bpf_set_const(p, "numbered_nr", &nr, sizeof nr);
}

static int start(struct weir_plugin *p)
{
#if defined(NUMBERED_FAILS)
	return weir_fail(p, -EIO, "this build cannot start");
#elif defined(NUMBERED_HANGS)
	(void)p;
	while (getpid() > 0) /* always */
		sleep(1);
	return 0;
#elif defined(NUMBERED_DIES)
	(void)p;
	abort();
#else
	(void)p;
	return 0;
#endif
}

static int check(struct weir_plugin *p)
{
#ifdef NUMBERED_ILL
	return weir_fail(p, -EIO, "this build is not well");
#else
	(void)p;
	return 0;
#endif
}

#ifdef NUMBERED_OTHER
WEIR_BPF_DECLARE(numbered2);
#define OBJECT WEIR_BPF_OBJECT(numbered2)
#else
WEIR_BPF_DECLARE(numbered);
#define OBJECT WEIR_BPF_OBJECT(numbered)
#endif
static const struct weir_program programs[] = {
	{ .name = "on_call", .flags = WEIR_PROGRAM_REQUIRED, .kinds = 1 << NUMBERED_CALL, .doc = "All of it" },
};
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "A tracepoint on system calls", .quality = "", OBJECT,
	  .programs = WEIR_TABLE(programs), .prepare = prepare, .start = start },
};

WEIR_PLUGIN(
	.name = "numbered", .version = NUMBERED_VERSION, .kind = WEIR_COLLECTOR, .topics = "numbered",
	.doc = "Numbered calls of one process", .state_size = sizeof(struct numbered),
	.needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON, .options = WEIR_TABLE(options),
	.schemas = WEIR_TABLE(schemas), .sources = WEIR_TABLE(sources), .check = check);
