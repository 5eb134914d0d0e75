/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options set at run time: `weir set`, and enable and disable, which set the option
 * "enabled". Happy path: the overrides as they shall be, a setup with them, written down
 * if they are to be kept, applied. Failure: as if the value stood in the file, with what
 * was expected and the nearest name; nothing was touched. Main thread.
 */
#include "daemon_live.h"
#include "mem.h"
#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct weir__diag *first_error(const struct weir__diags *diags)
{
	for (size_t i = 0; i < diags->count; i++)
		if (!diags->items[i].warning)
			return &diags->items[i];
	return NULL;
}

static void refuse_change(struct weir__control_request *req, int rc, const struct weir__diags *diags)
{
	const struct weir__diag *first = first_error(diags);

	if (rc == -ENOSPC)
		weir__control_error(req, "weir set NAME.option --unset takes one back",
		                    "%d options are set already", WEIR__OVERRIDES_MAX);
	else if (rc == -E2BIG)
		weir__control_error(req, "write it into the configuration", "too long: at most %d bytes",
		                    WEIR__OVERRIDE_VALUE_MAX);
	else if (!first)
		weir__control_error(req, "try again", "the daemon is out of memory");
	else
		weir__live_refuse(req, first->message, first->hint, weir__live_diags(diags, true));
}

static void set_done(struct live_job *job)
{
	struct live_asker *a = job->askers;
	const struct live_item *it = NULL;
	char text[700];
	json_t *o;

	for (size_t i = 0; i < job->count; i++)
		if (job->items[i].change != WEIR__CHANGE_UNCHANGED)
			it = &job->items[i];
	if (it && it->failed) {
		snprintf(text, sizeof text, "%s %s, but %s", job->subject, job->unset ? "was taken back"
		         : "was set", it->message);
		weir__control_reply(a->req, weir__protocol_error(text, "weir set NAME.option --unset goes back"));
		return;
	}
	if (it)
		snprintf(text, sizeof text, "%s = %s: %s %s, it is %s", job->subject, job->value, it->name,
		         weir__change_name(it->change), it->state);
	else if (json_array_size(job->daemon_options))
		snprintf(text, sizeof text, "%s = %s: %s", job->subject, job->value,
		         json_string_value(json_object_get(json_array_get(job->daemon_options, 0), "action")));
	else
		snprintf(text, sizeof text, "%s = %s: that is what it was", job->subject, job->value);
	o = weir__job_json(job, text);
	json_object_set_new(o, "action", json_string(it ? weir__change_name(it->change) : "unchanged"));
	weir__control_reply(a->req, o);
}

static void change_overrides(struct weir__overrides *o, const char *key,
                             const struct weir__live_ask *ask, int *rc)
{
	double until = ask->for_s > 0 ? weir__wall_s() + ask->for_s : 0;

	if (ask->value)
		*rc = weir__override_set(o, key, ask->value, until, ask->persist);
	else if (!weir__override_unset(o, key))
		*rc = -ENOENT;
	if (*rc)
		weir__overrides_fini(o);
}

/* What the answer calls it: as it is in force once applied, secrets hidden. */
static void name_job(struct live_job *job, const char *key, const struct weir__live_ask *ask)
{
	const void *base;
	const struct weir_option *opt = weir__live_row(job->d, key, &base);
	const char *shown = ask->value ? ask->value : "as before";

	if (opt && (opt->flags & WEIR_OPTION_SECRET))
		shown = "***";
	snprintf(job->subject, sizeof job->subject, "%s", !strncmp(key, "plugins.", 8) ? key + 8 : key);
	snprintf(job->value, sizeof job->value, "%s", shown);
	job->unset = !ask->value;
}

void weir__live_set(struct weir__daemon *d, struct weir__control_request *req,
                    const struct weir__live_ask *ask)
{
	struct live_asker *a;
	struct weir__diags diags = { 0 };
	struct weir__overrides o;
	struct weir__setup setup;
	struct live_job *job;
	char key[WEIR__OVERRIDE_KEY_MAX];
	int rc;

	if (!weir__live_key(d, ask->plugin, ask->option, key, sizeof key)) {
		weir__live_no_such_key(d, req, ask->plugin);
		return;
	}
	rc = weir__overrides_copy(&o, weir__config_overrides(d->config));
	if (!rc)
		change_overrides(&o, key, ask, &rc);
	if (rc == -ENOENT) {
		weir__control_error(req, "weir status shows what is", "%s is not set", key);
		return;
	}
	d->live->upgrade = ask->upgrade ? ask->plugin : NULL;
	if (!rc)
		rc = weir__live_build(d, false, &o, &diags, &setup);
	d->live->upgrade = NULL;
	if (rc) {
		refuse_change(req, rc, &diags);
		weir__diags_fini(&diags);
		return;
	}
	weir__diags_fini(&diags);
	if (weir__live_keep(d, &setup, req)) {
		weir__setup_fini(&setup);
		return;
	}
	a = weir__zalloc(sizeof *a);
	job = a ? weir__job_new(d, &setup) : NULL;
	if (!job) {
		weir__free(a);
		weir__setup_fini(&setup);
		weir__control_error(req, "try again", "the daemon is out of memory");
		return;
	}
	a->req = req;
	job->askers = a;
	job->done = ask->upgrade ? weir__upgrade_done : set_done;
	name_job(job, key, ask);
	job->upgrade = ask->upgrade;
	if (ask->upgrade)
		snprintf(job->subject, sizeof job->subject, "%s", ask->plugin);
	weir__live_apply(d, job, &setup);
}

/* Is the plugin so without an override of its own? */
static bool so_anyway(struct weir__daemon *d, const char *name, const char *key, bool on)
{
	struct weir__diags diags = { 0 };
	struct weir__overrides o;
	struct weir__setup setup;
	bool so = false;

	if (weir__overrides_copy(&o, weir__config_overrides(d->config)))
		return false;
	weir__override_unset(&o, key);
	if (!weir__live_build(d, false, &o, &diags, &setup)) {
		for (size_t i = 0; i < setup.count; i++)
			so |= !strcmp(setup.plugins[i].settings->name, name) &&
			      setup.plugins[i].settings->common.enabled == on;
		weir__setup_fini(&setup);
	}
	weir__diags_fini(&diags);
	return so;
}

static bool kept(const struct weir__overrides *o, const char *key)
{
	for (size_t i = 0; i < o->count; i++)
		if (o->items[i].persist && !strcmp(o->items[i].key, key))
			return true;
	return false;
}

bool weir__live_switch(struct weir__daemon *d, struct weir__control_request *req, const char *plugin,
                       bool on, double for_s, bool persist)
{
	struct weir__live_ask ask = { plugin, "enabled", on ? "true" : "false", for_s, persist, false };
	char key[WEIR__OVERRIDE_KEY_MAX], path[4096];
	struct weir__diags diags = { 0 };
	struct weir__overrides o;
	struct weir__setup setup;
	int rc;

	/* A plugin that the file does not name is taken in if it is there. */
	if (!weir__sup_settings(d->sup, plugin) &&
	    (!on || weir__find_plugin(&weir__config_daemon(d->config)->plugin_dirs, plugin, path, sizeof path)))
		return true; /* the supervisor says that there is none */
	snprintf(key, sizeof key, "plugins.%s.enabled", plugin);
	if (for_s <= 0 && (persist || !kept(weir__config_overrides(d->config), key)) && so_anyway(d, plugin, key, on))
		ask.value = NULL;
	rc = weir__overrides_copy(&o, weir__config_overrides(d->config));
	if (!rc)
		change_overrides(&o, key, &ask, &rc);
	if (rc == -ENOENT)
		return true; /* it is so, and nothing was set */
	if (!rc)
		rc = weir__live_build(d, false, &o, &diags, &setup);
	if (rc) {
		refuse_change(req, rc, &diags);
	} else if ((rc = weir__live_keep(d, &setup, req))) {
		weir__setup_fini(&setup);
	} else if ((rc = weir__live_apply_silently(d, &setup))) {
		weir__control_error(req, "try again", "the daemon is out of memory");
	}
	weir__diags_fini(&diags);
	return !rc;
}

