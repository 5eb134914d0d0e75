/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reload: by request, by SIGHUP, by the watched file. Happy path: the whole file is read
 * and judged, applied, and when all have settled everyone who asked has the same answer.
 * Failure: refused with all diagnostics; nothing was touched. Main thread.
 */
#include "daemon_live.h"
#include "log.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* "1 restarted (flood), 2 unchanged" */
static void summarise(const struct live_job *job, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (int c = WEIR__CHANGE_COUNT - 1; c >= 0; c--) {
		size_t n = weir__job_count(job, (enum weir__change)c, false), k = 0;

		if (n && at < size)
			at += (size_t)snprintf(buf + at, size - at, "%s%zu %s", at ? ", " : "", n,
			                       weir__change_name((enum weir__change)c));
		for (size_t i = 0; c != WEIR__CHANGE_UNCHANGED && i < job->count && at < size; i++) {
			if (job->items[i].change != (enum weir__change)c || job->items[i].failed)
				continue;
			k++;
			at += (size_t)snprintf(buf + at, size - at, "%s%s%s", k == 1 ? " (" : ", ",
			                       job->items[i].name, k == n ? ")" : "");
		}
	}
	for (size_t i = 0; i < job->count && at < size; i++)
		if (job->items[i].failed)
			at += (size_t)snprintf(buf + at, size - at, "%s%s FAILED", at ? ", " : "",
			                       job->items[i].name);
}

static void begin_reload(struct weir__daemon *d);

static void refuse_reload(struct weir__daemon *d, struct live_asker *askers,
                          const struct weir__diags *diags)
{
	const char *error = diags->oom ? "the daemon is out of memory: nothing was changed"
		: "the new configuration is wrong: nothing was changed";
	struct live_asker *next;

	d->live->refused++;
	weir__log(WEIR_ERROR, NULL, "reload refused: %zu error%s; the old configuration goes on",
	          diags->errors, diags->errors == 1 ? "" : "s");
	for (size_t i = 0; i < diags->count; i++) {
		const struct weir__diag *it = &diags->items[i];

		weir__log(it->warning ? WEIR_WARN : WEIR_ERROR, NULL, "%s:%zu: %s%s%s",
		          it->at.file ? it->at.file : "configuration", it->at.line, it->message,
		          it->hint ? "; " : "", it->hint ? it->hint : "");
	}
	for (; askers; askers = next) {
		next = askers->next;
		if (askers->req)
			weir__live_refuse(askers->req, error, "weir config check shows the same",
			               weir__live_diags(diags, false));
		weir__free(askers->text);
		weir__free(askers);
	}
}

static void reload_done(struct live_job *job)
{
	struct weir__daemon *d = job->d;
	bool any = json_array_size(job->daemon_options) > 0;
	char text[900], message[1000];

	for (size_t i = 0; i < job->count; i++)
		any |= job->items[i].change != WEIR__CHANGE_UNCHANGED;
	*(any ? &d->live->applied : &d->live->unchanged) += 1;
	summarise(job, text, sizeof text);
	if (any)
		snprintf(message, sizeof message, "reloaded: %s", text);
	else
		snprintf(message, sizeof message, "nothing has changed");
	weir__log(strstr(text, "FAILED") ? WEIR_WARN : WEIR_INFO, NULL, "%s", message);
	for (size_t i = 0; i < job->count; i++)
		if (job->items[i].failed)
			weir__log(WEIR_WARN, job->items[i].name, "with its new section: %s", job->items[i].message);
	for (struct live_asker *a = job->askers; a; a = a->next)
		if (a->req)
			weir__control_reply(a->req, weir__job_json(job, message));
	d->live->reloading = false;
	if (d->live->waiting)
		begin_reload(d);
}

static void begin_reload(struct weir__daemon *d)
{
	struct live_asker *askers = d->live->waiting;
	struct weir__overrides o;
	struct weir__diags diags = { 0 };
	struct weir__setup setup;
	struct live_job *job = NULL;
	int rc = weir__overrides_copy(&o, weir__config_overrides(d->config));

	d->live->waiting = NULL;
	for (const struct live_asker *a = askers; a; a = a->next)
		if (a->text) {
			weir__config_offer(a->text); /* the newest comes first */
			break;
		}
	if (!rc)
		rc = weir__live_build(d, true, &o, &diags, &setup);
	weir__config_offer(NULL);
	if (!rc) {
		job = weir__job_new(d, &setup);
		if (!job)
			weir__setup_fini(&setup);
	}
	if (!job) {
		diags.oom |= !rc || rc == -ENOMEM;
		refuse_reload(d, askers, &diags);
		weir__diags_fini(&diags);
		return;
	}
	d->warnings = diags.count - diags.errors;
	for (size_t i = 0; i < diags.count; i++)
		weir__log(WEIR_WARN, NULL, "%s:%zu: %s", diags.items[i].at.file ? diags.items[i].at.file : "",
		          diags.items[i].at.line, diags.items[i].message);
	weir__diags_fini(&diags);
	job->askers = askers;
	job->done = reload_done;
	d->live->reloading = true;
	weir__live_apply(d, job, &setup);
}

void weir__live_reload(struct weir__daemon *d, struct weir__control_request *req, const char *why,
                       const char *text)
{
	struct live_asker *a = weir__zalloc(sizeof *a);

	if (a && text)
		a->text = weir__strdup(text);
	if (!a || (text && !a->text)) {
		weir__free(a);
		if (req)
			weir__control_error(req, "try again", "the daemon is out of memory");
		return;
	}
	weir__log(WEIR_INFO, NULL, "reload: %s", why);
	a->req = req;
	a->next = d->live->waiting;
	d->live->waiting = a;
	if (!d->live->reloading)
		begin_reload(d);
}

