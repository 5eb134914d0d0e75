/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flood: real kernel events at a chosen rate, for tests and benchmarks. A helper
 * process calls getppid(); a raw tracepoint makes one 80-byte record per call, and
 * the helper knows how many calls it has made, so that a reader can check that
 * nothing is lost without a reason.
 *
 * Happy path: prepare forks the helper (its pid goes into the program), start lets
 * it run (20 ms later), or waits for the query `go`; stop ends it, before the programs are
 * detached, so `made` and the kernel's `seen` agree to the last call.
 * Failure: no fork, no BPF rights: the source says so.
 *
 * With `pid` it makes none itself and watches another process's calls: for where
 * nothing may be forked, and for calls that go on while the plugin does not run.
 */
#include "flood_events.h"
#include "helper.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <weir/weir.h>

struct flood {
	uint64_t rate, events, duration_ns, burst, lifetime_ns, pid;
	int64_t cpu;
	bool wait;
	struct flood_helper helper;
	struct weir_timer *timer;
	uint64_t made; /* by helpers before this one */
};

static const struct weir_option options[] = {
	WEIR_OPTION_UINT(struct flood, rate, "rate", "0",
	                 "Events per second, 0 for as many as possible",
	                 .unit = "events/s", .min = 0, .max = 1e8),
	WEIR_OPTION_UINT(struct flood, events, "events", "0",
	                 "Stop after this many events, 0 for no bound",
	                 .unit = "events", .min = 0, .max = 1e15),
	WEIR_OPTION_DURATION(struct flood, duration_ns, "duration", "0s",
	                     "Stop after this time, 0 for no bound"),
	WEIR_OPTION_UINT(struct flood, burst, "burst", "1",
	                 "Events made at once when the rate is bounded",
	                 .unit = "events", .min = 1, .max = 1e6),
	WEIR_OPTION_INT(struct flood, cpu, "cpu", "-1",
	                "Pin the helper process to this CPU, -1 for any", .min = -1, .max = 4095),
	WEIR_OPTION_BOOL(struct flood, wait, "wait", "false",
	                 "Make no events until the query `go` asks for them"),
	/* A forgotten flood must end: an hour is longer than any benchmark. */
	WEIR_OPTION_DURATION(struct flood, lifetime_ns, "lifetime", "10m",
	                     "The helper process ends after this time, whatever happens",
	                     .min = 1e9, .max = 3.6e12),
	WEIR_OPTION_UINT(struct flood, pid, "pid", "0",
	                 "Watch the getppid() calls of this process, and make none; 0: make them",
	                 .min = 0, .max = 4194304),
};

static const struct weir_field call_fields[] = {
	WEIR_FIELD(struct weir_flood_call, seq, WEIR_U64, "", "Number of the call, from 1, no gaps"),
	WEIR_FIELD(struct weir_flood_call, pid, WEIR_U32, "", "Process that made the call"),
	WEIR_FIELD(struct weir_flood_call, nr, WEIR_U32, "", "System call number"),
};
static const struct weir_schema schemas[] = {
	[FLOOD_CALL] = { .name = "flood_call", .topic = "flood", .version = 1,
	                 .size = sizeof(struct weir_flood_call),
	                 .doc = "One system call of the flood's helper process",
	                 .fields = WEIR_TABLE(call_fields) },
};

static struct flood_run configured(const struct flood *f)
{
	return (struct flood_run){ .rate = f->rate, .events = f->events,
	                           .duration_ns = f->duration_ns, .burst = f->burst };
}

/* ---- queries ------------------------------------------------------------- */

static int answer_stats(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct flood *f = weir_state(p);
	struct flood_state s;

	(void)args;
	flood_helper_state(&f->helper, &s);
	weir_printf(p, out, "{\"made\": %" PRIu64 ", \"running\": %s, \"run_made\": %" PRIu64
	            ", \"run_ns\": %" PRIu64 ", \"cpu_ns\": %" PRIu64 ", \"pid\": %d}\n",
	            f->made + s.made, s.running ? "true" : "false", s.run_made, s.run_ns,
	            s.cpu_ns, (int)f->helper.pid);
	return 0;
}

struct go_args {
	uint64_t rate, events, duration_ns, burst;
};
static const struct weir_option go_options[] = {
	WEIR_OPTION_UINT(struct go_args, rate, "rate", "0", "Events per second, 0 for full speed",
	                 .min = 0, .max = 1e8),
	WEIR_OPTION_UINT(struct go_args, events, "events", "0", "Stop after this many, 0 for no bound",
	                 .min = 0, .max = 1e15),
	WEIR_OPTION_DURATION(struct go_args, duration_ns, "duration", "0s", "Stop after this time"),
	WEIR_OPTION_UINT(struct go_args, burst, "burst", "1", "Events made at once",
	                 .min = 1, .max = 1e6),
};

static int answer_go(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	const struct go_args *a = args;
	struct flood *f = weir_state(p);
	struct flood_run run = { .rate = a->rate, .events = a->events,
	                         .duration_ns = a->duration_ns, .burst = a->burst };
	int err = flood_helper_run(&f->helper, &run);

	if (err) {
		weir_printf(p, out, "%s\n", err == -EBUSY ? "a run is on already: ask flood.halt first"
		                                         : "the helper process is gone: restart the plugin");
		return err;
	}
	weir_printf(p, out, "{\"ok\": true}\n");
	return 0;
}

static int answer_halt(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	struct flood *f = weir_state(p);

	flood_helper_stop(&f->helper);
	return answer_stats(p, args, out);
}

static const struct weir_query queries[] = {
	{ .name = "stats", .doc = "How many events were made, and how fast",
	  .content_type = "application/json", .answer = answer_stats },
	{ .name = "go", .doc = "Make events now; without arguments at full speed until `halt`",
	  .content_type = "application/json", .args = WEIR_TABLE(go_options),
	  .args_size = sizeof(struct go_args), .answer = answer_go },
	{ .name = "halt", .doc = "End the run and wait for it (a few ms)",
	  .content_type = "application/json", .answer = answer_halt },
};

/* ---- the source ---------------------------------------------------------- */

static void end_helper(struct flood *f)
{
	struct flood_state s;

	flood_helper_stop(&f->helper);
	flood_helper_state(&f->helper, &s);
	f->made += s.made;
	flood_helper_close(&f->helper);
}

static int prepare(struct weir_plugin *p)
{
	struct flood *f = weir_state(p);
	uint32_t nr = FLOOD_NR, pid = (uint32_t)f->pid;
	int err = 0;

	end_helper(f);
	if (!pid) {
		err = flood_helper_open(&f->helper, (int)f->cpu, f->lifetime_ns);
		pid = (uint32_t)f->helper.pid;
	}
	if (err)
		return weir_fail(p, err, "cannot start the helper process: %s", strerror(-err));
	err = p->host->bpf_set_const(p, "flood_tgid", &pid, sizeof pid);
	if (!err)
		err = p->host->bpf_set_const(p, "flood_nr", &nr, sizeof nr);
	return err;
}

static void begin(struct weir_plugin *p, void *arg)
{
	struct flood *f = weir_state(p);
	struct flood_run run = configured(f);
	int err = flood_helper_run(&f->helper, &run);

	(void)arg;
	f->timer = NULL;
	if (err)
		weir_log(p, WEIR_ERROR, "the helper process does not run: %s", strerror(-err));
}

/* A moment later: the host lets the programs run only after start(), and every
 * call that is made is to be seen. */
static int start(struct weir_plugin *p)
{
	struct flood *f = weir_state(p);

	if (f->wait || f->pid)
		return 0;
	f->timer = p->host->timer_start(p, 20000000, 0, begin, NULL);
	return f->timer ? 0 : -ENOMEM;
}

static void stop(struct weir_plugin *p)
{
	struct flood *f = weir_state(p);

	p->host->timer_stop(f->timer);
	f->timer = NULL;
	end_helper(f);
}

WEIR_BPF_DECLARE(flood);
static const struct weir_program programs[] = {
	{ .name = "on_call", .flags = WEIR_PROGRAM_REQUIRED, .kinds = 1 << FLOOD_CALL,
	  .doc = "All of it" },
};
static const struct weir_source sources[] = {
	{ .name = "bpf", .doc = "A raw tracepoint on the helper's system calls",
	  .quality = "", WEIR_BPF_OBJECT(flood), .programs = WEIR_TABLE(programs),
	  .prepare = prepare, .start = start, .stop = stop },
};

WEIR_PLUGIN(
	.name = "flood", .version = "1.0.0", .kind = WEIR_COLLECTOR, .topics = "flood",
	.doc = "Real kernel events at a chosen rate, for tests and benchmarks",
	.flags = WEIR_PLUGIN_FORKS, .state_size = sizeof(struct flood), .needs = WEIR_CAP_BPF | WEIR_CAP_PERFMON,
	.options = WEIR_TABLE(options), .schemas = WEIR_TABLE(schemas),
	.queries = WEIR_TABLE(queries), .sources = WEIR_TABLE(sources),
	.fini = stop);
