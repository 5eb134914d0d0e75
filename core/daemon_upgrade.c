/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `weir upgrade NAME FILE`: the plugin's path is set at run time, as `weir set NAME.path`
 * would, but the new build takes over beside the old one (sup_upgrade.c) instead of
 * after its end. If it does not come to that, the option is taken back. Main thread.
 */
#include "daemon_live.h"
#include "protocol.h"

#include <stdio.h>
#include <string.h>

/* The old build stays: so does what the configuration says of it. */
static void take_back(struct weir__daemon *d, const char *plugin)
{
	char key[WEIR__OVERRIDE_KEY_MAX];
	struct weir__diags diags = { 0 };
	struct weir__overrides o;
	struct weir__setup setup;

	snprintf(key, sizeof key, "plugins.%.64s.path", plugin);
	if (weir__overrides_copy(&o, weir__config_overrides(d->config)))
		return;
	weir__override_unset(&o, key);
	if (!weir__live_build(d, false, &o, &diags, &setup))
		weir__live_apply_silently(d, &setup);
	weir__diags_fini(&diags);
}

void weir__upgrade_done(struct live_job *job)
{
	struct live_asker *a = job->askers;
	const struct live_item *it = NULL;
	json_t *o;

	for (size_t i = 0; i < job->count; i++)
		if (!strcmp(job->items[i].name, job->subject))
			it = &job->items[i];
	if (!it || it->failed || !it->settled) {
		take_back(job->d, job->subject);
		weir__control_reply(a->req, weir__protocol_error(it && *it->message ? it->message
			: "it has not settled in time", "the old build goes on; weir status shows it"));
		return;
	}
	o = weir__job_json(job, it->message);
	json_object_set_new(o, "state", json_string(it->state));
	weir__control_reply(a->req, o);
}

void weir__live_upgrade(struct weir__daemon *d, struct weir__control_request *req, const char *plugin,
                        const char *path)
{
	const struct weir__live_ask ask = { .plugin = plugin, .option = "path", .value = path, .upgrade = true };

	if (!weir__sup_knows(d->sup, plugin)) {
		weir__control_error(req, "weir status lists them", "there is no plugin \"%.64s\"", plugin);
		return;
	}
	if (*path != '/') {
		weir__control_error(req, NULL, "\"path\" must be absolute: %.200s", path);
		return;
	}
	weir__live_set(d, req, &ask);
}
