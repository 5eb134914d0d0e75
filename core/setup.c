/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration and plugins together: the common part of a section says where the
 * library is, the library's descriptor says what the section may hold.
 */
#include "setup.h"
#include "host_remote.h"
#include "kernel_guard.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int locate(struct weir__config *c, const struct weir__common_config *common, const char *name,
                  char *path, size_t size)
{
	if (common->path && *common->path) {
		snprintf(path, size, "%s", common->path);
		return 0;
	}
	return weir__find_plugin(&weir__config_daemon(c)->plugin_dirs, name, path, size);
}

/* Settings of a plugin without a descriptor: its name and the common part. */
static struct weir__settings *bare_settings(const char *name, const struct weir__common_config *common)
{
	struct weir__settings *s = weir__zalloc(sizeof *s);

	if (!s)
		return NULL;
	s->name = weir__strdup(name);
	s->common.enabled = common->enabled;
	if (!s->name) {
		weir__free(s);
		return NULL;
	}
	return s;
}

/* A mistyped name most often; without memory for the list, only the rest is said. */
static void hint_for(struct weir__config *c, const char *name, bool found, char *hint, size_t size)
{
	const char *near = NULL;
	char **names = NULL;

	if (!found && !weir__list_plugins(&weir__config_daemon(c)->plugin_dirs, &names))
		near = weir__nearest(name, (const char *const *)names);
	if (near)
		snprintf(hint, size, "did you mean \"%s\"? The others run without it", near);
	else
		snprintf(hint, size, "the others run without it");
	weir__free(names);
}

static int refuse(struct weir__config *c, const char *name, const struct weir__common_config *common,
                  bool found, struct weir__diags *diags, struct weir__setup_plugin *ret)
{
	char hint[160];

	hint_for(c, name, found, hint, sizeof hint);
	weir__config_warning(c, name, diags, hint, ret->refused);
	weir__config_skip(c, name);
	ret->settings = bare_settings(name, common);
	return ret->settings ? 0 : -ENOMEM;
}

static bool wants_process(struct weir__config *c, const struct weir__common_config *common,
                          const char *path, const char *name)
{
	uint32_t isolation = common->isolation;

	if (isolation == WEIR__ISOLATION_AUTO)
		isolation = weir__config_daemon(c)->isolation;
	if (isolation == WEIR__ISOLATION_AUTO)
		return !weir__plugin_is_shipped(path, name);
	return isolation == WEIR__ISOLATION_PROCESS;
}

/* It gets a process of its own, which loads this. */
static int give_library(struct weir__settings *s, const char *path, int *fd)
{
	s->library = weir__strdup(path);
	if (!s->library) {
		weir__settings_free(s);
		return -ENOMEM;
	}
	s->library_fd = *fd;
	*fd = -1;
	return 0;
}

/* What runs, if the section still asks for the same library: its descriptor, and what
 * its process is given. A look at the file might find another one by now. */
static const struct weir__settings *same_library(const struct weir__setup_running *running,
                                                 const struct weir__common_config *common,
                                                 const char *name)
{
	const struct weir__settings *old = running ? running->find(running->arg, name) : NULL;

	if (!old || !old->desc || common->isolation != old->common.isolation ||
	    strcmp(common->path, old->common.path))
		return NULL;
	return old;
}

static int load_library(const char *path, const char *name, bool process, int *ret_fd,
                        struct weir__loaded **ret, char *why, size_t size)
{
	int refusal;

	return process ? weir__remote_describe(path, name, ret, ret_fd, why, size)
	               : weir__load(path, name, ret, &refusal, why, size);
}

static int keep_library(const struct weir__settings *old, char *path, size_t size, int *ret_fd)
{
	if (!old->library)
		return 0;
	snprintf(path, size, "%s", old->library);
	*ret_fd = fcntl(old->library_fd, F_DUPFD_CLOEXEC, 3);
	return *ret_fd < 0 ? -ENOMEM : 0;
}

static int setup_one(struct weir__config *c, const char *name,
                     const struct weir__setup_running *running, struct weir__diags *diags,
                     struct weir__setup_plugin *ret)
{
	struct weir__common_config common;
	const struct weir__settings *old, *upgraded;
	struct weir__loaded *loaded = NULL;
	char path[4096], why[400];
	bool found, process;
	int library_fd = -1, rc;

	memset(ret, 0, sizeof *ret);
	rc = weir__config_try_common(c, name, diags, &common);
	if (rc)
		return rc;
	upgraded = running && running->upgrade && !strcmp(running->upgrade, name)
		? running->find(running->arg, name) : NULL;
	old = upgraded ? NULL : same_library(running, &common, name);
	found = old || !locate(c, &common, name, path, sizeof path);
	process = old ? old->library != NULL : upgraded ? upgraded->library != NULL
		: found && wants_process(c, &common, path, name);
	if (old) {
		ret->loaded = weir__loaded_of(old->desc);
		rc = keep_library(old, path, sizeof path, &library_fd);
	} else if (!found) {
		snprintf(ret->refused, sizeof ret->refused, "not-found: no %s.so in the plugin "
		         "directories; install it, or set plugins.%s.path", name, name);
	} else if (load_library(path, name, process, &library_fd, &loaded, why, sizeof why)) {
		snprintf(ret->refused, sizeof ret->refused, "%.400s", why);
	} else {
		ret->loaded = loaded;
	}
	if (!rc)
		rc = ret->loaded ? weir__config_bind(c, name, &ret->loaded->desc, diags, &ret->settings)
		                 : refuse(c, name, &common, found, diags, ret);
	if (!rc && ret->loaded && process)
		rc = give_library(ret->settings, path, &library_fd);
	if (library_fd >= 0)
		close(library_fd);
	weir__common_fini(&common);
	return rc;
}

static bool named(const struct weir__config *c, const char *name)
{
	const char *const *names = weir__config_plugins(c);

	while (*names && strcmp(*names, name))
		names++;
	return *names;
}

/* The plugin of "plugins.NAME.option" into buf; false: another key. */
static bool plugin_of(const char *key, char *buf, size_t size)
{
	size_t n;

	if (strncmp(key, "plugins.", 8))
		return false;
	n = strcspn(key + 8, ".");
	return snprintf(buf, size, "%.*s", (int)n, key + 8) == (int)n && n && n < size;
}

/* Plugins that are there because somebody has said `weir enable`, though the file does
 * not name them. One that is off, and was named when that was kept, is not. */
static bool adopted(struct weir__config *c, const struct weir__override *it, const char *name)
{
	char key[WEIR__OVERRIDE_KEY_MAX];

	snprintf(key, sizeof key, "plugins.%s.enabled", name);
	return !named(c, name) && !strcmp(it->key, key) &&
	       weir__override_find(weir__config_overrides(c), key) == it &&
	       (!it->persist || strcmp(it->value, "false"));
}

static int take_one(struct weir__setup *s, const char *name,
                    const struct weir__setup_running *running, struct weir__diags *diags)
{
	struct weir__setup_plugin *p = &s->plugins[s->count];
	int rc = setup_one(s->config, name, running, diags, p);

	p->listed = named(s->config, name);
	s->count += !rc;
	return rc;
}

/* What is set for a plugin that nobody has named has no effect. */
static void check_names(struct weir__setup *s, struct weir__diags *diags)
{
	const struct weir__overrides *all = weir__config_overrides(s->config);
	char name[64];

	for (size_t i = 0; i < all->count; i++) {
		bool found = !plugin_of(all->items[i].key, name, sizeof name) || named(s->config, name);

		for (size_t k = 0; !found && k < s->count; k++)
			found = !strcmp(s->plugins[k].settings->name, name);
		if (!found)
			weir__config_bad_override(&all->items[i], diags,
			                          "it has no effect; name the plugin in the file, or "
			                          "`weir enable` it", "no such plugin is configured");
	}
}

/* What a type cannot tell. */
static void check_values(struct weir__config *c, struct weir__diags *diags)
{
	char err[400];

	if (weir__guard_check(&weir__config_daemon(c)->kernel_guard, err, sizeof err))
		weir__config_key_error(c, "kernel_guard", diags, err);
}

/* Everything above the daemon's own options. Takes what is in *o. */
static int fill(struct weir__setup *s, const struct weir__setup_running *running,
                struct weir__overrides *o, struct weir__diags *diags)
{
	const struct weir__overrides *all = weir__config_overrides(s->config);
	const char *const *names = weir__config_plugins(s->config);
	char name[64];
	size_t n = 0;
	int rc = weir__config_override(s->config, o, diags);

	while (names[n])
		n++;
	s->plugins = rc ? NULL : weir__zalloc((n + all->count + 1) * sizeof *s->plugins);
	if (!s->plugins)
		return -ENOMEM;
	for (size_t i = 0; i < n && rc != -ENOMEM; i++)
		rc = take_one(s, names[i], running, diags);
	for (size_t i = 0; i < all->count && rc != -ENOMEM; i++)
		if (plugin_of(all->items[i].key, name, sizeof name) &&
		    adopted(s->config, &all->items[i], name))
			rc = take_one(s, name, running, diags);
	if (rc == -ENOMEM)
		return rc;
	check_names(s, diags);
	check_values(s->config, diags);
	weir__config_finish(s->config, diags);
	return diags->errors ? -EINVAL : diags->oom ? -ENOMEM : 0;
}

static int finish(struct weir__setup *s, const struct weir__setup_running *running,
                  struct weir__overrides *o, struct weir__diags *diags)
{
	int rc = fill(s, running, o, diags);

	weir__overrides_fini(o);
	if (rc)
		weir__setup_fini(s);
	else
		weir__overrides_accept(weir__config_overrides(s->config));
	return rc;
}

int weir__setup_load(const char *path, struct weir__diags *diags, struct weir__setup *ret)
{
	struct weir__overrides o = { 0 };
	int rc;

	memset(ret, 0, sizeof *ret);
	rc = weir__config_read(path, diags, &ret->config);
	if (rc)
		return rc;
	rc = weir__overrides_load(weir__config_daemon(ret->config)->state_dir, diags, &o);
	if (rc) {
		weir__setup_fini(ret);
		return rc;
	}
	return finish(ret, NULL, &o, diags);
}

int weir__setup_again(const struct weir__config *old, const struct weir__setup_running *running,
                      struct weir__overrides *o, struct weir__diags *diags,
                      struct weir__setup *ret)
{
	int rc;

	memset(ret, 0, sizeof *ret);
	rc = running ? weir__config_reread(old, diags, &ret->config)
	             : weir__config_read_again(old, diags, &ret->config);
	if (rc) {
		weir__overrides_fini(o);
		return rc;
	}
	return finish(ret, running, o, diags);
}

void weir__setup_fini(struct weir__setup *s)
{
	for (size_t i = 0; i < s->count; i++)
		weir__settings_free(s->plugins[i].settings);
	weir__free(s->plugins);
	weir__config_free(s->config);
	memset(s, 0, sizeof *s);
}
