/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is in force: one value and its origin, what was set at run time, the whole
 * configuration as text. Changes nothing; without memory a part is missing. Main thread.
 */
#include "daemon_live.h"
#include "config_show.h"
#include "mem.h"
#include "protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The key of plugin.option, or of the daemon's option of that whole name. */
bool weir__live_key(struct weir__daemon *d, const char *plugin, const char *option, char *key, size_t size)
{
	if (weir__sup_settings(d->sup, plugin)) {
		snprintf(key, size, "plugins.%s.%s", plugin, option);
		return true;
	}
	snprintf(key, size, "%s%s%s", plugin, *option ? "." : "", option);
	return weir__option_find(&weir__daemon_options, key);
}

struct names {
	const char *names[WEIR__OVERRIDES_MAX + 1];
	size_t count;
};

static void add_name(void *arg, const struct weir__settings *settings)
{
	struct names *n = arg;

	if (n->count < WEIR__OVERRIDES_MAX)
		n->names[n->count++] = settings->name;
}

void weir__live_no_such_key(struct weir__daemon *d, struct weir__control_request *req, const char *plugin)
{
	struct names n = { .count = 0 };
	const char *near;
	char hint[128];

	weir__sup_each(d->sup, add_name, &n);
	near = weir__nearest(plugin, n.names);
	snprintf(hint, sizeof hint, "did you mean \"%s\"?", near ? near : "");
	weir__control_error(req, near ? hint : "weir status shows what runs, weir config show the options",
	                    "there is no plugin and no option of weir's called \"%.40s\"", plugin);
}

/* The row and the struct its value is in; NULL: none. */
const struct weir_option *weir__live_row(struct weir__daemon *d, const char *key, const void **ret_base)
{
	const struct weir__settings *s;
	const struct weir_option *opt;
	char name[32];
	size_t n = strncmp(key, "plugins.", 8) ? 0 : strcspn(key + 8, ".");

	if (!n) {
		*ret_base = weir__config_daemon(d->config);
		return weir__option_find(&weir__daemon_options, key);
	}
	snprintf(name, sizeof name, "%.*s", (int)n, key + 8);
	s = weir__sup_settings(d->sup, name);
	if (!s || !s->desc || !key[8 + n])
		return NULL;
	*ret_base = &s->common;
	opt = weir__option_find(&weir__common_options, key + 8 + n + 1);
	if (opt && weir__option_applies(opt, s->desc->kind))
		return opt;
	*ret_base = s->values;
	return weir__option_find(&s->desc->options, key + 8 + n + 1);
}

void weir__live_get(struct weir__daemon *d, struct weir__control_request *req, const char *plugin,
                    const char *option)
{
	char key[WEIR__OVERRIDE_KEY_MAX], from[WEIR__OVERRIDE_KEY_MAX + 64], text[8192];
	const struct weir_option *opt;
	const void *base;
	json_t *o;

	if (!weir__live_key(d, plugin, option, key, sizeof key)) {
		weir__live_no_such_key(d, req, plugin);
		return;
	}
	opt = weir__live_row(d, key, &base);
	if (!opt || !weir__config_origin(d->config, key, from, sizeof from)) {
		weir__control_error(req, "weir config show --running lists all there are",
		                    "there is no option %s", key);
		return;
	}
	weir__option_format(opt, base, text, sizeof text);
	o = json_pack("{s:b, s:s}", "ok", 1, "origin", from);
	json_object_set_new(o, "value", weir__json_text(text));
	json_object_set_new(o, "doc", weir__json_text(opt->doc));
	weir__control_reply(req, o);
}

json_t *weir__live_overrides(struct weir__daemon *d)
{
	const struct weir__overrides *all = weir__config_overrides(d->config);
	json_t *a = json_array(), *o;

	for (size_t i = 0; i < all->count; i++) {
		const struct weir__override *it = &all->items[i];
		const struct weir_option *opt;
		const void *base;

		if (weir__override_find(all, it->key) != it)
			continue;
		opt = weir__live_row(d, it->key, &base);
		o = json_pack("{s:s, s:b}", "key", it->key, "persist", it->persist);
		json_object_set_new(o, "value", opt && (opt->flags & WEIR_OPTION_SECRET)
		                    ? json_string("***") : weir__json_text(it->value));
		if (it->until > 0)
			json_object_set_new(o, "for_s", json_real(it->until - weir__wall_s()));
		json_array_append_new(a, o);
	}
	return a;
}

struct view {
	struct weir__daemon *d;
	struct weir__setup setup;
	size_t room;
};

static void view_one(void *arg, const struct weir__settings *settings)
{
	struct view *v = arg;
	struct weir__setup_plugin *p = &v->setup.plugins[v->setup.count];

	if (v->setup.count == v->room)
		return;
	v->setup.count++;
	p->settings = (struct weir__settings *)(uintptr_t)settings;
	p->loaded = settings->desc ? weir__loaded_of(settings->desc) : NULL;
	snprintf(p->refused, sizeof p->refused, "%s", weir__sup_refused(v->d->sup, settings->name));
}

static void view_count(void *arg, const struct weir__settings *settings)
{
	(void)settings;
	((struct view *)arg)->room++;
}

json_t *weir__live_text(struct weir__daemon *d)
{
	struct view v = { .d = d, .setup.config = d->config };
	json_t *j = NULL;
	char *buf = NULL;
	size_t len = 0;
	FILE *f;

	weir__sup_each(d->sup, view_count, &v);
	v.setup.plugins = weir__zalloc((v.room + 1) * sizeof *v.setup.plugins);
	f = v.setup.plugins ? open_memstream(&buf, &len) : NULL;
	if (f) {
		weir__sup_each(d->sup, view_one, &v);
		weir__config_show(&v.setup, f);
		if (!fclose(f))
			j = weir__json_text(buf);
		free(buf);
	}
	weir__free(v.setup.plugins);
	return j;
}

