/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Other sources for a plugin that runs, without a new start: host_switch.c does it.
 *
 * Failure: none of them works, or the host has no turn to take: the plugin is started anew
 * with what was asked for, and fails or does not as it would have at first. Main thread.
 */
#include "sup_priv.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

static const char *source_name(const struct sup_plugin *p)
{
	const struct weir_source *s = p->source < 0 ? NULL : weir_table_row(&p->desc->sources, (uint32_t)p->source);

	return s ? s->name : "none";
}

static void switched(struct sup_plugin *p, int rc)
{
	const char *before = source_name(p);

	weir__sup_copy_reasons(p);
	if (rc) {
		weir__log(WEIR_WARN, p->name, "none of the sources that are wanted can take over from %s: %s",
		          before, p->reason[0] ? p->reason : strerror(-rc));
		p->restart = true;
		return;
	}
	if (p->source == p->last_source)
		return;
	p->last_source = p->source;
	p->source_changes++;
	weir__log(WEIR_INFO, p->name, "source %s takes over from %s", source_name(p), before);
	weir__sup_budget_switched(p);
}

static void switch_done(struct weir__host *h, struct weir__request *rq)
{
	struct sup_plugin *p = rq->arg;
	int rc = rq->rc;

	weir__free(rq);
	if (p->host != h)
		return;
	p->switching--;
	if (p->state == WEIR__RUNNING && rc != -ECANCELED) /* else another has come after it */
		switched(p, rc);
	weir__sup_release_start_memory(p->sup);
	weir__sup_reconcile(p->sup);
}

void weir__sup_switch(struct sup_plugin *p)
{
	struct weir__request *rq = weir__zalloc(sizeof *rq);

	if (rq) {
		*rq = (struct weir__request){ .type = WEIR__HOST_SWITCH, .done = switch_done, .arg = p };
		weir__source_list_of(&p->settings->common, &rq->sources);
	}
	if (rq && !weir__host_request(p->host, rq)) {
		p->switching++;
		return;
	}
	weir__free(rq);
	p->restart = true; /* no memory */
}
