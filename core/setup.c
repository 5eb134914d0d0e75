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

int weir__setup_one(struct weir__config *c, const char *name, struct weir__diags *diags,
                    struct weir__setup_plugin *ret)
{
	struct weir__common_config common;
	struct weir__loaded *loaded = NULL;
	char path[4096], why[400];
	int rc, refusal;
	bool found, process;
	int library_fd = -1;

	memset(ret, 0, sizeof *ret);
	rc = weir__config_try_common(c, name, diags, &common);
	if (rc)
		return rc;
	found = !locate(c, &common, name, path, sizeof path);
	process = found && (common.isolation == WEIR__ISOLATION_PROCESS ||
	          (common.isolation == WEIR__ISOLATION_AUTO && !weir__plugin_is_shipped(path, name)));
	if (!found) {
		snprintf(ret->refused, sizeof ret->refused, "not-found: no %s.so in the plugin "
		         "directories; install it, or set plugins.%s.path", name, name);
	} else if (process ? weir__remote_describe(path, name, &loaded, &library_fd, why, sizeof why)
	           : weir__load(path, name, &loaded, &refusal, why, sizeof why)) {
		snprintf(ret->refused, sizeof ret->refused, "%.400s", why);
		loaded = NULL;
	}
	if (!loaded) {
		rc = refuse(c, name, &common, found, diags, ret);
	} else {
		ret->loaded = loaded;
		rc = weir__config_bind(c, name, &loaded->desc, diags, &ret->settings);
	}
	if (!rc && loaded && process)
		rc = give_library(ret->settings, path, &library_fd);
	if (library_fd >= 0)
		close(library_fd);
	weir__common_fini(&common);
	return rc;
}

/* What a type cannot tell. */
static void check_values(struct weir__config *c, struct weir__diags *diags)
{
	char err[400];

	if (weir__guard_check(&weir__config_daemon(c)->kernel_guard, err, sizeof err))
		weir__config_key_error(c, "kernel_guard", diags, err);
}

int weir__setup_load(const char *path, struct weir__diags *diags, struct weir__setup *ret)
{
	const char *const *names;
	size_t n = 0;
	int rc;

	memset(ret, 0, sizeof *ret);
	rc = weir__config_read(path, diags, &ret->config);
	if (rc)
		return rc;
	names = weir__config_plugins(ret->config);
	while (names[n])
		n++;
	ret->plugins = weir__zalloc((n + 1) * sizeof *ret->plugins);
	if (!ret->plugins) {
		weir__setup_fini(ret);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		rc = weir__setup_one(ret->config, names[i], diags, &ret->plugins[ret->count]);
		if (!rc)
			ret->count++;
		else if (rc == -ENOMEM)
			break;
	}
	if (rc != -ENOMEM) {
		check_values(ret->config, diags);
		weir__config_finish(ret->config, diags);
	}
	if (rc == -ENOMEM || diags->errors || diags->oom) {
		weir__setup_fini(ret);
		return rc == -ENOMEM ? rc : -EINVAL;
	}
	return 0;
}

void weir__setup_fini(struct weir__setup *s)
{
	for (size_t i = 0; i < s->count; i++)
		weir__settings_free(s->plugins[i].settings);
	weir__free(s->plugins);
	weir__config_free(s->config);
	memset(s, 0, sizeof *s);
}
