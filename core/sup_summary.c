/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's own lines in the live view: what was dropped and why, what Weir
 * itself costs, and what is not as it should be. Main thread, after a refresh.
 */
#include "sup_priv.h"
#include "mem.h"
#include "out.h"
#include "process.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

__attribute__((format(printf, 2, 3))) static void say(struct weir_out *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	weir__out_vprintf(out, fmt, ap);
	va_end(ap);
}

static void say_routes(struct weir__supervisor *s, struct weir_out *out)
{
	struct weir__ledger l;

	for (struct sup_route *r = s->routes; r; r = r->next) {
		const char *sep = "";

		weir__sup_route_ledger(r, &l);
		if (!l.seen)
			continue;
		say(out, "  %s -> %s  seen %" PRIu64 ", delivered %" PRIu64 ", queued %" PRIu64 ", dropped ",
		    r->from->name, r->to->name, l.seen, l.delivered, l.queued);
		for (int i = 0; i < WEIR__REASON_COUNT; i++)
			if (l.dropped[i]) {
				say(out, "%s%s %" PRIu64, sep, weir__reason_name(i), l.dropped[i]);
				sep = ", ";
			}
		say(out, "%s%s\n", *sep ? "" : "0",
		    weir__ledger_unexplained(&l) ? "  UNEXPLAINED" : "");
	}
}

static void say_plugin(struct sup_plugin *p, struct weir_out *out)
{
	if (p->state == WEIR__DISABLED || p->state == WEIR__STANDBY || p->transient)
		return;
	say(out, "  %-16s %-9s", p->name, weir__state_name(p->state));
	if (p->state == WEIR__RUNNING)
		say(out, " %-7s CPU %5.2f %%  kernel %5.2f %%  maps and rings %" PRIu64 " KiB\n", p->snap.source,
		    p->cpu_percent, p->bpf_percent, p->snap.map_bytes / 1024);
	else
		say(out, " %s\n", p->reason);
}

char *weir__sup_summary(struct weir__supervisor *s)
{
	struct weir__process_info info;
	struct weir_out out = { 0 };

	say(&out, "\nEvents\n");
	say_routes(s, &out);
	say(&out, "\nWeir itself");
	if (!weir__process_info(&info))
		say(&out, "  CPU %.2f s, memory %" PRIu64 " KiB, %" PRIu64 " threads",
		    info.user_s + info.system_s, info.resident_bytes / 1024, info.threads);
	say(&out, "\n");
	for (struct sup_plugin *p = s->plugins; p; p = p->next)
		say_plugin(p, &out);
	if (out.err) {
		weir__free(out.text);
		return NULL;
	}
	return out.text;
}
