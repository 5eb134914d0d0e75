/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of findings. Bounded by what is looked for: some 40 features and a few
 * for each plugin. Without memory the list says so, and counts as "cannot run".
 */
#include "check.h"
#include "mem.h"
#include "protocol.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *weir__check_state_name(int state)
{
	static const char *const names[] = { "ok", "degraded", "missing" };

	return names[state];
}

void weir__finding_add(struct weir__findings *f, const char *area, int weight, const char *name,
                       int state, const char *todo, const char *fmt, ...)
{
	struct weir__finding *p;
	char reason[1024];
	va_list ap;

	if (f->count == f->room) {
		p = weir__realloc(f->items, (f->room + 32) * sizeof *p);
		if (!p) {
			f->oom = true;
			return;
		}
		f->items = p;
		f->room += 32;
	}
	va_start(ap, fmt);
	vsnprintf(reason, sizeof reason, fmt, ap);
	va_end(ap);
	p = &f->items[f->count++];
	*p = (struct weir__finding){ area, weir__strdup(name), weir__strdup(reason),
		                     todo && *todo ? weir__strdup(todo) : NULL, state, weight };
	if (!p->name || !p->reason || (todo && *todo && !p->todo))
		f->oom = true;
}

void weir__findings_fini(struct weir__findings *f)
{
	for (size_t i = 0; i < f->count; i++) {
		weir__free(f->items[i].name);
		weir__free(f->items[i].reason);
		weir__free(f->items[i].todo);
	}
	weir__free(f->items);
	memset(f, 0, sizeof *f);
}

int weir__findings_exit(const struct weir__findings *f)
{
	int r = f->oom ? 2 : 0;

	for (size_t i = 0; i < f->count; i++) {
		const struct weir__finding *p = &f->items[i];

		if (p->state == WEIR__CHECK_OK || p->weight == WEIR__CHECK_INFO)
			continue;
		if (p->weight == WEIR__CHECK_FATAL && p->state == WEIR__CHECK_MISSING)
			return 2;
		if (r < 1)
			r = 1;
	}
	return r;
}

json_t *weir__findings_json(const struct weir__findings *f)
{
	static const char *const results[] = { "exact", "degraded", "cannot run" };
	static const char *const weights[] = { "info", "counts", "fatal" };
	int r = weir__findings_exit(f);
	json_t *list = json_array();

	for (size_t i = 0; i < f->count; i++) {
		const struct weir__finding *p = &f->items[i];

		if (json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:s, s:o, s:o}",
		                          "area", p->area, "name", weir__json_text(p->name),
		                          "state", weir__check_state_name(p->state),
		                          "weight", weights[p->weight],
		                          "reason", weir__json_text(p->reason),
		                          "todo", weir__json_text(p->todo))) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return json_pack("{s:s, s:i, s:o}", "result", results[r], "exit", r, "findings", list);
}
