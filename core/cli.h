/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one function per command, all in one table in main.c. Exit
 * codes: 0 done, 1 something is wrong (said on stderr), 2 wrong usage; `check`
 * has its own: 0 all exact, 1 degraded, 2 cannot run.
 */
#ifndef WEIR_CORE_CLI_H
#define WEIR_CORE_CLI_H

/* name, arguments, one line of help */
#define WEIR__COMMANDS(X)                                                      \
	X(run,     "[-c FILE]",                "Run the daemon")               \
	X(check,   "[-c FILE] [--json]",       "Say what this machine can do for each plugin") \
	X(status,  "[--json]",                 "Show the running daemon: states, rates, the ledger") \
	X(plugins, "[list | describe NAME]",   "Show plugins and everything they declare") \
	X(query,   "NAME.QUERY [ARG=VALUE...]","Ask a running plugin")         \
	X(tail,    "[TOPIC...]",               "Show live events")             \
	X(enable,  "NAME [--for 5m]",          "Switch a plugin on")           \
	X(disable, "NAME [--for 5m]",          "Switch a plugin off")          \
	X(restart, "NAME",                     "Stop and start a plugin")      \
	X(config,  "check|show|schema",        "Check, print or describe the configuration") \
	X(docs,    "DIR",                      "Write the reference pages")    \
	X(version, "",                         "Print versions")

/* argv[0] is the command's name. */
#define X(name, args, help) int weir__cmd_##name(int argc, char **argv);
WEIR__COMMANDS(X)
#undef X

/* Print "weir NAME: unknown option ..." or the command's help. Return 2 / 0. */
int weir__cmd_usage(const char *name, const char *complaint);

#endif
