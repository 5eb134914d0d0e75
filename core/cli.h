/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one function per command, all in one table in main.c. Exit
 * codes: 0 done, 1 something is wrong (said on stderr), 2 wrong usage; `check`
 * has its own: 0 all exact, 1 degraded, 2 cannot run.
 */
#ifndef WEIR_CORE_CLI_H
#define WEIR_CORE_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* name, words, one line of help; what options each takes is in cli.c */
#define WEIR__COMMANDS(X)                                                      \
	X(run,     "",                        "Run the daemon")                \
	X(check,   "",                        "Say what this machine can do for each plugin") \
	X(status,  "",                        "Show the running daemon: states, rates, the ledger") \
	X(top,     "",                        "Watch plugins live: states, rates, cost, losses") \
	X(flows,   "",                        "Watch flows live: who talks to whom, how much, how well") \
	X(dns,     "",                        "Watch DNS live: slow and failed queries, names, servers") \
	X(plugins, "[list | describe NAME]",  "Show plugins and everything they declare") \
	X(query,   "NAME.QUERY [ARG=VALUE...]", "Ask a running plugin")        \
	X(tail,    "[TOPIC...]",              "Show live events")              \
	X(enable,  "NAME",                    "Switch a plugin on")            \
	X(disable, "NAME",                    "Switch a plugin off")           \
	X(restart, "NAME",                    "Stop and start a plugin")       \
	X(upgrade, "NAME FILE",               "Let another build of a plugin take over from the running one") \
	X(set,     "NAME.OPTION [VALUE]",     "Set an option of the running daemon, or show it") \
	X(reload,  "",                        "Read the configuration again, change only what changed") \
	X(config,  "check | show | schema",   "Check, print or describe the configuration") \
	X(docs,    "DIR [NAME...]",           "Write the reference pages")     \
	X(version, "",                        "Print versions")

/* argv[0] is the command's name. */
#define X(name, args, help) int weir__cmd_##name(int argc, char **argv);
WEIR__COMMANDS(X)
#undef X

/* The words of WEIR__TOP_SORTS (top.h), for the help; a test holds them together. */
#define WEIR__CLI_SORTS "cpu, events, drops, memory, queue, latency, pressure or name"
/* The same of the tables of weir flows and weir dns (watch_tables.c). */
#define WEIR__CLI_FLOW_SORTS "rate, tx, rx, bytes, packets, rtt, retransmits, age or process"
#define WEIR__CLI_TALKER_SORTS "rate, bytes, packets, flows, retransmits or name"
#define WEIR__CLI_DNS_SORTS "time, latency, retries or name"
#define WEIR__CLI_DNS_COUNT_SORTS "queries, rate, failures, timeouts, latency or name"

/* Options mean the same in every command that takes them:
 * id, letter, name, argument or NULL, help */
#define WEIR__CLI_OPTIONS(X)                                                   \
	X(HELP,   'h', "help",   NULL,   "Show this help")                     \
	X(CONFIG, 'c', "config", "FILE", "Configuration; else $WEIR_CONFIG, /etc/weir/weir.yaml, or the built-in one") \
	X(SOCKET, 's', "socket", "PATH", "Control socket; else $WEIR_CONTROL_SOCKET, else the default one") \
	X(JSON,   'j', "json",   NULL,   "Print JSON, for programs")           \
	X(COUNT,  'n', "count",  "N",    "Stop after this many events, or frames") \
	X(FOR,    'f', "for",    "TIME", "Take the change back after this time, such as 5m") \
	X(PERSIST, 'p', "persist", NULL, "Keep it over a restart of the daemon, in state_dir") \
	X(UNSET,  'u', "unset",  NULL,   "Take back what was set: the configuration holds again") \
	X(RUNNING, 'r', "running", NULL, "Of the running daemon, not of the file") \
	X(INTERVAL, 'i', "interval", "TIME", "Time between two frames; 1s if not given") \
	X(ONCE,   'o', "once",   NULL,   "Print one frame, of what happens in one interval") \
	X(SORT,   'k', "sort",   "KEY",  "Sort by this; see above")        \
	X(BY,     'b', "by",     "WHAT", "Add up by this; see above")          \
	X(FILTER, 'e', "filter", "EXPR", "Only what is so: KEY=VALUE, several separated by spaces") \
	X(LIMIT,  'l', "limit",  "N",    "At most so many rows, up to 1000")

enum weir__cli_option {
#define X(id, ...) WEIR__CLI_##id,
	WEIR__CLI_OPTIONS(X)
#undef X
	WEIR__CLI_OPTION_COUNT
};

/* A command's words, sorted. */
struct weir__cli {
	const char *name;
	const char *option[WEIR__CLI_OPTION_COUNT]; /* value, "" for a flag, NULL: not given */
	int argc; /* the words that are no options */
	char **argv;
};

/* Does it all: -1 go on, or the exit code (help was shown, or the complaint said). */
int weir__cli_parse(int argc, char **argv, struct weir__cli *ret);
/* Print "weir NAME: unknown option ..." or the command's help. Return 2 / 0. */
int weir__cmd_usage(const char *name, const char *complaint);
/* The list of commands, to f. */
void weir__cli_overview(FILE *f);
/* What `weir docs` writes about all commands. */
void weir__cli_reference(FILE *f);
/* A complaint about an unknown command with the nearest one; returns 2. */
int weir__cli_unknown(const char *name);

/* Colours: only for a terminal, and unless NO_COLOR is set. */
bool weir__cli_colour(FILE *f);
/* "weir NAME: what is wrong" to stderr, escaped; returns 1. */
__attribute__((format(printf, 2, 3))) int
weir__cli_error(const char *name, const char *fmt, ...);
/* Ask the daemon. NULL: it has been said why; else an answer with "ok" true, to be
 * json_decref'ed. Takes the reference of request. */
json_t *weir__cli_ask(const struct weir__cli *cli, json_t *request, int timeout_ms);
/* The same for a change that may take its time: says on a terminal what it waits for,
 * prints the diagnostics of a refusal, and with --json the answer, whatever it is. */
json_t *weir__cli_change(const struct weir__cli *cli, json_t *request);
/* Print the answer to one, unless --json has done so: its message. Takes its reference;
 * NULL: it was refused. The exit code. */
int weir__cli_said(const struct weir__cli *cli, json_t *answer);
/* --for in seconds, 0 without. 0, or 2 after a complaint. */
int weir__cli_for(const struct weir__cli *cli, double *ret_s);
const char *weir__cli_socket(const struct weir__cli *cli);
/* --config, else $WEIR_CONFIG, else /etc/weir/weir.yaml if it is there, else NULL: the
 * built-in one. */
const char *weir__cli_config(const struct weir__cli *cli);

#endif
