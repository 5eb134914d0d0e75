/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a configuration file to plugins that can be started: `weir run` and `weir
 * config check` go the same way. Main thread.
 */
#ifndef WEIR_CORE_SETUP_H
#define WEIR_CORE_SETUP_H

#include "config.h"
#include "loader.h"

struct weir__setup_plugin {
	struct weir__settings *settings;   /* owned; always there */
	const struct weir__loaded *loaded; /* NULL: refused. Lives for ever */
	char refused[512];
	bool listed;                       /* in the file, not by an override alone */
};

struct weir__setup {
	struct weir__config *config;
	struct weir__setup_plugin *plugins;
	size_t count;
};

/* 0; -EINVAL: the configuration is wrong, all of it is in diags. A plugin whose
 * library is missing or refused is no error: it is taken in as refused, with a
 * warning, and everything else runs. */
int weir__setup_load(const char *path, struct weir__diags *diags, struct weir__setup *ret);
/* What a plugin runs with now; NULL: unknown. */
struct weir__setup_running {
	const struct weir__settings *(*find)(void *arg, const char *name);
	void *arg;
	const char *upgrade; /* its library is looked for anew, and hosted as it is now; or NULL */
};
/* Anew for a daemon that runs: the overrides are given (what is in *o is taken) and not
 * read. running NULL: from old's file. Else from its text, and with the libraries that
 * run, whatever became of their files. */
int weir__setup_again(const struct weir__config *old, const struct weir__setup_running *running,
                      struct weir__overrides *o, struct weir__diags *diags,
                      struct weir__setup *ret);
/* Frees what is left in it: take settings out by setting them NULL. */
void weir__setup_fini(struct weir__setup *s);

#endif
