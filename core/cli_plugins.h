/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin files a configuration points at, for commands that need no daemon.
 */
#ifndef WEIR_CORE_CLI_PLUGINS_H
#define WEIR_CORE_CLI_PLUGINS_H

#include "cli.h"
#include "config.h"
#include "loader.h"

struct weir__cli_plugins {
	struct weir__config *config;
	const struct weir_strings *dirs;
	char **names; /* of all plugins there are, sorted */
};

/* Said on stderr if not 0. */
int weir__cli_plugins_open(const struct weir__cli *cli, struct weir__cli_plugins *ret);
void weir__cli_plugins_close(struct weir__cli_plugins *p);
int weir__cli_plugin_load(const struct weir__cli_plugins *p, const char *name,
                          struct weir__loaded **ret, char *reason, size_t size);

#endif
