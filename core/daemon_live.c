/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Live change: `weir reload`, SIGHUP, the watched file, `weir set`, enable and disable.
 *
 * All go one way: a whole new setup is made beside the one that runs (from the file for
 * a reload, from the text that runs for a set) with the overrides as they shall be, and
 * only if nothing is wrong with it, it is applied (daemon_apply.c). A reload that comes
 * while another settles waits; all that wait are served by one, which reads the file
 * after the last of them has asked. Files: daemon_reload.c, daemon_set.c (both sides of a
 * request), daemon_get.c (what is in force), this one (what they share, and the end of
 * what was set for a time).
 *
 * Failure: nothing is changed, the diagnostics go to who asked, or to the log. What is
 * to be kept is written before it is applied: a full disk refuses it. Main thread.
 */
#include "daemon_live.h"
#include "log.h"
#include "mem.h"
#include "protocol.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* An end is looked for at least this often, since the clock on the wall may be set. */
#define EXPIRY_MS 60000.0

double weir__wall_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* ---- answers ------------------------------------------------------------------------------ */

json_t *weir__live_diags(const struct weir__diags *diags, bool errors_only)
{
	json_t *a = json_array();

	for (size_t i = 0; i < diags->count; i++) {
		char *text = errors_only && diags->items[i].warning ? NULL : weir__diag_text(&diags->items[i]);

		if (text)
			json_array_append_new(a, weir__json_text(text));
		weir__free(text);
	}
	if (diags->more)
		json_array_append_new(a, json_sprintf("... and %zu more", diags->more));
	return a;
}

void weir__live_refuse(struct weir__control_request *req, const char *error, const char *hint,
                           json_t *diagnostics)
{
	json_t *o = weir__protocol_error(error, hint);

	if (o && diagnostics)
		json_object_set_new(o, "diagnostics", diagnostics);
	else
		json_decref(diagnostics);
	weir__control_reply(req, o);
}

static json_t *item_json(const struct live_item *it)
{
	json_t *o = json_pack("{s:s, s:s, s:s}", "name", it->name, "action",
	                      it->failed ? "failed" : weir__change_name(it->change), "state", it->state);

	if (it->message[0])
		json_object_set_new(o, "message", weir__json_text(it->message));
	return o;
}

json_t *weir__job_json(const struct live_job *job, const char *message)
{
	json_t *o = json_object(), *a = json_array();

	for (size_t i = 0; i < job->count; i++)
		json_array_append_new(a, item_json(&job->items[i]));
	json_object_set_new(o, "ok", json_true());
	json_object_set_new(o, "message", weir__json_text(message));
	json_object_set_new(o, "plugins", a);
	json_object_set(o, "daemon", job->daemon_options);
	return o;
}

/* ---- the end of overrides ------------------------------------------------------------------ */

static void on_expiry(uv_timer_t *timer);

/* After every change: the timer, and what status says of the plugins. */
void weir__live_note_ends(struct weir__daemon *d)
{
	const struct weir__overrides *all = weir__config_overrides(d->config);
	double next = weir__overrides_next(all), ms = (next - weir__wall_s()) * 1e3;
	uint64_t now = uv_hrtime();
	char name[32];

	if (next > 0)
		uv_timer_start(&d->live->expiry, on_expiry,
		               ms > EXPIRY_MS ? (uint64_t)EXPIRY_MS : ms > 0 ? (uint64_t)ms + 1 : 0, 0);
	else
		uv_timer_stop(&d->live->expiry);
	for (size_t i = 0; i < all->count; i++) {
		const struct weir__override *it = &all->items[i];
		double left = it->until - weir__wall_s();

		if (sscanf(it->key, "plugins.%31[^.].enabled", name) != 1 || !strstr(it->key, ".enabled") ||
		    weir__override_find(all, it->key) != it)
			continue;
		weir__sup_note_until(d->sup, name, it->until > 0 ? now + (uint64_t)(left * 1e9) : 0);
	}
}

/* ---- one change ----------------------------------------------------------------------------- */

/* A library that a running plugin has lost, or that a new one never had: the plugin that
 * runs is worth more than the file's wish, so that is an error here. */
static void check_libraries(struct weir__daemon *d, struct weir__setup *setup,
                            struct weir__diags *diags)
{
	for (size_t i = 0; i < setup->count; i++) {
		const struct weir__setup_plugin *p = &setup->plugins[i];
		const struct weir__settings *old = weir__sup_settings(d->sup, p->settings->name);
		char text[700];

		if (p->loaded || !p->settings->common.enabled || (old && !old->desc))
			continue;
		snprintf(text, sizeof text, "its library cannot be loaded: %s%s", p->refused,
		         old ? "; it goes on as it is" : "");
		weir__config_error(setup->config, p->settings->name, diags,
		                   "install it, correct its name, or write \"enabled: false\" below it", text);
	}
}

static const struct weir__settings *running_settings(void *arg, const char *name)
{
	return weir__sup_settings(arg, name);
}

/* A setup with these overrides (taken). 0, or -errno with diags. */
int weir__live_build(struct weir__daemon *d, bool from_file, struct weir__overrides *o,
                 struct weir__diags *diags, struct weir__setup *ret)
{
	const struct weir__setup_running running = { running_settings, d->sup, d->live->upgrade };
	int rc = weir__setup_again(d->config, from_file ? NULL : &running, o, diags, ret);

	if (rc)
		return rc;
	check_libraries(d, ret, diags);
	if (!weir__diags_failed(diags))
		return 0;
	weir__setup_fini(ret);
	return -EINVAL;
}

/* Write down what shall outlive the daemon, if that changes. 0, or -errno, said. */
int weir__live_keep(struct weir__daemon *d, const struct weir__setup *setup,
                struct weir__control_request *req)
{
	const char *dir = weir__config_daemon(d->live->boot)->state_dir;
	struct weir__overrides *new = weir__config_overrides(setup->config);
	int rc;

	if (weir__overrides_same_kept(weir__config_overrides(d->config), new))
		return 0;
	rc = weir__overrides_save(dir, new);
	if (rc && req)
		weir__control_error(req, "set state_dir to a directory that weir may write, or leave out --persist",
		                    "cannot keep it in %s/" WEIR__OVERRIDES_FILE ": %s", dir, strerror(-rc));
	else if (rc)
		weir__log(WEIR_WARN, NULL, "%s/" WEIR__OVERRIDES_FILE " cannot be written: %s", dir,
		          strerror(-rc));
	return rc;
}

void weir__live_apply(struct weir__daemon *d, struct live_job *job, struct weir__setup *setup)
{
	weir__job_apply(job, setup);
	weir__live_note_ends(d);
}

static void no_answer(struct live_job *job)
{
	(void)job;
}

/* The end of overrides, and enable and disable: nobody waits for this job. */
int weir__live_apply_silently(struct weir__daemon *d, struct weir__setup *setup)
{
	struct live_job *job = weir__job_new(d, setup);

	if (!job) {
		weir__setup_fini(setup);
		return -ENOMEM;
	}
	job->done = no_answer;
	weir__live_apply(d, job, setup);
	return 0;
}

static void on_expiry(uv_timer_t *timer)
{
	struct weir__daemon *d = timer->data;
	struct weir__overrides o;
	struct weir__diags diags = { 0 };
	struct weir__setup setup;
	double now = weir__wall_s();
	const struct weir__overrides *was = weir__config_overrides(d->config);
	int rc = weir__overrides_copy(&o, was);

	if (!rc && !d->stopping && weir__overrides_expire(&o, now)) {
		for (size_t i = 0; i < was->count; i++)
			if (was->items[i].until > 0 && was->items[i].until <= now)
				weir__log(WEIR_INFO, NULL, "the time of %s = %s is over: it is as before again",
				          was->items[i].key, was->items[i].value);
		rc = weir__live_build(d, false, &o, &diags, &setup);
		if (!rc) {
			weir__live_keep(d, &setup, NULL);
			rc = weir__live_apply_silently(d, &setup);
		}
		weir__diags_fini(&diags);
	} else if (!rc) {
		weir__overrides_fini(&o);
	}
	if (rc) /* no memory, or a text that is wrong by now: again */
		uv_timer_start(&d->live->expiry, on_expiry, (uint64_t)EXPIRY_MS / 60, 0);
	else
		weir__live_note_ends(d);
}

/* ---- life ---------------------------------------------------------------------------------------- */

int weir__live_init(struct weir__daemon *d, struct weir__config *boot)
{
	d->live = weir__zalloc(sizeof *d->live);
	if (!d->live)
		return -ENOMEM;
	d->live->d = d;
	d->live->boot = boot;
	uv_timer_init(&d->loop, &d->live->expiry);
	d->live->expiry.data = d;
	return 0;
}

void weir__live_start(struct weir__daemon *d)
{
	const struct weir__overrides *all = weir__config_overrides(d->config);

	for (size_t i = 0; i < all->count; i++)
		weir__log(WEIR_INFO, NULL, "set at run time and kept: %s", all->items[i].key);
	weir__live_note_ends(d);
}

static void on_closed(uv_handle_t *handle)
{
	struct weir__daemon *d = handle->data;

	if (d->config != d->live->boot)
		weir__config_free(d->live->boot);
	weir__free(d->live);
	d->live = NULL;
}

void weir__live_stop(struct weir__daemon *d)
{
	struct live_asker *a, *next;

	for (a = d->live->waiting; a; a = next) {
		next = a->next;
		if (a->req)
			weir__control_error(a->req, NULL, "weir is stopping");
		weir__free(a);
	}
	d->live->waiting = NULL;
	weir__watch_free(d->live->watch);
	d->live->watch = NULL;
	uv_close((uv_handle_t *)&d->live->expiry, on_closed);
}
