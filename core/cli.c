/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the commands share: sorting words into options and others, help, complaints
 * that name the nearest right word, and asking the daemon.
 *
 * Happy path: weir__cli_parse, weir__cli_ask, print. Whatever goes wrong is one line
 * on stderr that says what to do, and an exit code. One thread.
 */
#include "cli.h"
#include "config.h"
#include "control.h"
#include "diag.h"
#include "format.h"
#include "options.h"
#include "protocol.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BIT(id) (1u << WEIR__CLI_##id)

/* What the live tables share. */
#define WATCH (BIT(SOCKET) | BIT(JSON) | BIT(COUNT) | BIT(INTERVAL) | BIT(ONCE) | BIT(SORT) | \
               BIT(BY) | BIT(FILTER) | BIT(LIMIT))
#define LIVE_KEYS                                                              \
	"Keys: q quit, s sort, r reverse, b by, f filter, p pause, up and down select, Enter\n" \
	"all about a row, h help, + and - longer and shorter interval. Where there is no\n" \
	"terminal it is as with --once; with --json each frame is an object on a line, until\n" \
	"--count. A frame comes no more often than the plugin's source looks."

/* The options a command takes beside --help, and more about it than one line. */
static const struct {
	const char *name;
	unsigned options;
	const char *more;
} specs[] = {
	{ "run", BIT(CONFIG),
	  "Loads the plugins, starts them, and runs until SIGTERM or SIGINT; then drains the\n"
	  "queues and prints the final ledger. SIGHUP reads the configuration again. Started by\n"
	  "root it becomes the user of option user, with what its plugins declare as its only\n"
	  "capabilities." },
	{ "check", BIT(CONFIG) | BIT(JSON),
	  "Becomes the daemon's user, tries what the kernel allows, starts each collector for a\n"
	  "moment, and says what is degraded, why, and what to do. Needs no running daemon.\n"
	  "Exit: 0 all exact, 1 degraded, 2 cannot run." },
	{ "status", BIT(SOCKET) | BIT(JSON),
	  "What each plugin does and costs, what its budget and its breaker have to say, what\n"
	  "became of every event of each route, and what was set at run time.\n"
	  "Exit: 1 if a plugin has failed or a route's ledger does not balance." },
	{ "top", BIT(SOCKET) | BIT(JSON) | BIT(COUNT) | BIT(INTERVAL) | BIT(ONCE) | BIT(SORT),
	  "Keys: q quit, s sort, r reverse, p pause, up and down select, Enter all about a\n"
	  "plugin, h help, + and - longer and shorter interval. Where there is no terminal it is\n"
	  "as with --once; with --json each frame is an object on a line, until --count.\n"
	  "KEY: " WEIR__CLI_SORTS "." },
	{ "flows", WATCH,
	  "Asks the running plugin that gives topic flow. WHAT: flow (if not given), process,\n"
	  "peer or port. KEY: " WEIR__CLI_FLOW_SORTS ";\n"
	  "by process, peer or port: " WEIR__CLI_TALKER_SORTS ".\n"
	  "EXPR, such as \"process=curl peer=10.0.0.0/8 port=443 transport=tcp\": what the plugin's\n"
	  "query takes: weir plugins describe NAME.\n"
	  LIVE_KEYS },
	{ "dns", WATCH,
	  "Asks the running plugin that gives topic dns. WHAT: query (if not given: those of late\n"
	  "that were slow or failed), name, server or process.\n"
	  "KEY: " WEIR__CLI_DNS_SORTS ";\n"
	  "by name, server or process: " WEIR__CLI_DNS_COUNT_SORTS ".\n"
	  "EXPR, such as \"process=curl name=example.com\": what the plugin's query takes: weir\n"
	  "plugins describe NAME.\n"
	  LIVE_KEYS },
	{ "plugins", BIT(CONFIG) | BIT(JSON),
	  "Reads the plugin files; needs no running daemon. The configuration file is only\n"
	  "asked for plugin_dirs." },
	{ "query", BIT(SOCKET) | BIT(JSON),
	  "What can be asked: weir plugins describe NAME. On a terminal, a list of objects is\n"
	  "shown as a table; --json prints the answer as it came." },
	{ "tail", BIT(SOCKET) | BIT(JSON) | BIT(COUNT),
	  "Without a topic: all of them. Events that come faster than they can be shown are\n"
	  "left out and counted." },
	{ "enable", BIT(SOCKET) | BIT(FOR) | BIT(PERSIST) | BIT(JSON),
	  "Holds until the daemon ends, over reloads too; with --persist over its restarts. One\n"
	  "that has failed is tried at once. Answers when it has settled.\n"
	  "Exit: 1 if it did not start." },
	{ "disable", BIT(SOCKET) | BIT(FOR) | BIT(PERSIST) | BIT(JSON),
	  "Holds until the daemon ends, over reloads too; with --persist over its restarts." },
	{ "restart", BIT(SOCKET) | BIT(JSON),
	  "One that has failed or is suspended is tried at once, and its breaker forgets its\n"
	  "failures. Answers when it has settled.\n"
	  "Exit: 1 if it did not start." },
	{ "upgrade", BIT(SOCKET) | BIT(JSON),
	  "The new build starts beside the old one and takes over when it is healthy: no record is\n"
	  "lost or comes twice. If it does not start, or says it is not well, the old one goes on.\n"
	  "Holds until the daemon ends: put the file in the old one's place, or its path into the\n"
	  "configuration, for longer than that.\n"
	  "Exit: 1 if the old build goes on." },
	{ "set", BIT(SOCKET) | BIT(FOR) | BIT(PERSIST) | BIT(UNSET) | BIT(JSON),
	  "Above the file and the environment, until the daemon ends; with --persist over its\n"
	  "restarts. Without VALUE: what it is now, and where that comes from. Options of\n"
	  "Weir's own, such as log.level, too.\n"
	  "Exit: 1 if it was refused, or the plugin did not start with it." },
	{ "reload", BIT(SOCKET) | BIT(JSON),
	  "Plugins whose section is as it was are not touched. If anything is wrong, nothing is\n"
	  "changed. Answers when every plugin has settled.\n"
	  "Exit: 1 if it was refused, or a plugin did not start with its new section." },
	{ "config", BIT(CONFIG) | BIT(SOCKET) | BIT(RUNNING) | BIT(JSON),
	  "check: say everything that is wrong, exit 1 if something is. show: print the\n"
	  "configuration in effect, defaults included, with --running that of the daemon.\n"
	  "schema: print its JSON schema." },
	{ "docs", BIT(CONFIG),
	  "Writes options.md, metrics.md, events.md and commands.md, always the same for the\n"
	  "same plugins: those named, or all there are." },
	{ "version", BIT(JSON), NULL },
};

static const struct {
	const char *name, *args, *help;
} commands[] = {
#define X(name, args, help) { #name, args, help },
	WEIR__COMMANDS(X)
#undef X
};
#define COMMANDS (sizeof commands / sizeof commands[0])
_Static_assert(sizeof specs / sizeof specs[0] == sizeof commands / sizeof commands[0],
               "each command has its line in specs, in the same order");

static const struct {
	int letter;
	const char *name, *arg, *help;
} options[] = {
#define X(id, letter, name, arg, help) [WEIR__CLI_##id] = { letter, name, arg, help },
	WEIR__CLI_OPTIONS(X)
#undef X
};

static int find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return (int)i;
	return -1;
}

static bool takes(int command, int option)
{
	return option == WEIR__CLI_HELP || (specs[command].options & 1u << option);
}

/* ---- help ------------------------------------------------------------------------ */

static void print_help(FILE *f, int c)
{
	fprintf(f, "Usage: weir %s", commands[c].name);
	for (int i = WEIR__CLI_HELP + 1; i < WEIR__CLI_OPTION_COUNT; i++)
		if (takes(c, i))
			fprintf(f, " [--%s%s%s]", options[i].name, options[i].arg ? " " : "",
			        options[i].arg ? options[i].arg : "");
	fprintf(f, "%s%s\n%s.\n", *commands[c].args ? " " : "", commands[c].args, commands[c].help);
	if (specs[c].more)
		fprintf(f, "\n%s\n", specs[c].more);
	fprintf(f, "\nOptions:\n");
	for (int i = 0; i < WEIR__CLI_OPTION_COUNT; i++) {
		char text[64];

		if (!takes(c, i))
			continue;
		snprintf(text, sizeof text, "-%c, --%s%s%s", options[i].letter, options[i].name,
		         options[i].arg ? " " : "", options[i].arg ? options[i].arg : "");
		fprintf(f, "  %-20s %s\n", text, options[i].help);
	}
}

void weir__cli_overview(FILE *f)
{
	fprintf(f, "Usage: weir COMMAND ...\n\n"
	        "Collects what happens on this machine: page cache and I/O, network, DNS, processes.\n\n"
	        "Commands:\n");
	for (size_t i = 0; i < COMMANDS; i++)
		fprintf(f, "  %-8s %-26s %s\n", commands[i].name, commands[i].args, commands[i].help);
	fprintf(f, "\nMore about each: weir COMMAND --help\n");
}

void weir__cli_reference(FILE *f)
{
	for (size_t c = 0; c < COMMANDS; c++) {
		fprintf(f, "\n## weir %s\n\n```\n", commands[c].name);
		print_help(f, (int)c);
		fprintf(f, "```\n");
	}
}

static const char *nearest_command(const char *word)
{
	const char *names[COMMANDS + 1] = { NULL };

	for (size_t i = 0; i < COMMANDS; i++)
		names[i] = commands[i].name;
	return weir__nearest(word, names);
}

int weir__cli_unknown(const char *name)
{
	const char *near = nearest_command(name);
	char shown[64];

	weir__escape(name, 32, shown, sizeof shown);
	fprintf(stderr, "weir: no command \"%s\"%s%s%s; see weir --help\n", shown,
	        near ? ": did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	return 2;
}

int weir__cmd_usage(const char *name, const char *complaint)
{
	int c = find_command(name);

	if (complaint) {
		fprintf(stderr, "weir %s: %s\nTry: weir %s --help\n", name, complaint, name);
		return 2;
	}
	if (c >= 0)
		print_help(stdout, c);
	else
		weir__cli_overview(stdout);
	return 0;
}

/* ---- words -------------------------------------------------------------------------- */

static int complain_option(int c, const char *word)
{
	const char *names[WEIR__CLI_OPTION_COUNT + 1], *near;
	char shown[128], name[64], text[320];
	size_t n = 0;

	for (int i = 0; i < WEIR__CLI_OPTION_COUNT; i++)
		if (takes(c, i))
			names[n++] = options[i].name;
	names[n] = NULL;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
	near = strncmp(name, "--", 2) ? NULL : weir__nearest(name + 2, names);
	weir__escape(name, sizeof name, shown, sizeof shown);
	snprintf(text, sizeof text, "unknown option %s%s%s%s", shown, near ? ": did you mean --" : "",
	         near ? near : "", near ? "?" : "");
	return weir__cmd_usage(commands[c].name, text);
}

/* getopt's own tables, for what this command takes. */
static void getopt_tables(int c, struct option *longs, char *shorts)
{
	*shorts++ = ':'; /* tell a missing argument from an unknown option */
	for (int i = 0; i < WEIR__CLI_OPTION_COUNT; i++) {
		if (!takes(c, i))
			continue;
		*longs++ = (struct option){ options[i].name, options[i].arg ? 1 : 0, NULL, options[i].letter };
		*shorts++ = (char)options[i].letter;
		if (options[i].arg)
			*shorts++ = ':';
	}
	*longs = (struct option){ 0 };
	*shorts = 0;
}

int weir__cli_parse(int argc, char **argv, struct weir__cli *ret)
{
	struct option longs[WEIR__CLI_OPTION_COUNT + 1];
	char shorts[2 * WEIR__CLI_OPTION_COUNT + 2], text[128], shown[64];
	int c = find_command(argv[0]), got, at;

	memset(ret, 0, sizeof *ret);
	if (c < 0)
		return weir__cli_unknown(argv[0]);
	ret->name = commands[c].name;
	getopt_tables(c, longs, shorts);
	optind = 0; /* glibc: start anew */
	opterr = 0;
	while (at = optind ? optind : 1, (got = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (got == ':') {
			weir__escape(argv[optind - 1], 32, shown, sizeof shown);
			snprintf(text, sizeof text, "option %s needs a value", shown);
			return weir__cmd_usage(ret->name, text);
		}
		if (got == '?')
			return complain_option(c, optopt && argv[at][1] != '-'
			                              ? (char[]){ '-', (char)optopt, 0 } : argv[optind - 1]);
		for (int i = 0; i < WEIR__CLI_OPTION_COUNT; i++)
			if (options[i].letter == got)
				ret->option[i] = options[i].arg ? optarg : "";
	}
	if (ret->option[WEIR__CLI_HELP])
		return weir__cmd_usage(ret->name, NULL);
	ret->argc = argc - optind;
	ret->argv = argv + optind;
	return -1;
}

/* ---- talking --------------------------------------------------------------------------- */

bool weir__cli_colour(FILE *f)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && !(term && !strcmp(term, "dumb")) && isatty(fileno(f));
}

int weir__cli_error(const char *name, const char *fmt, ...)
{
	char text[1024], shown[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	weir__escape(text, sizeof text, shown, sizeof shown);
	fprintf(stderr, "weir %s: %s\n", name, shown);
	return 1;
}

const char *weir__cli_socket(const struct weir__cli *cli)
{
	const char *env = getenv("WEIR_CONTROL_SOCKET");

	if (cli->option[WEIR__CLI_SOCKET])
		return cli->option[WEIR__CLI_SOCKET];
	if (env && *env)
		return env;
	return weir__option_find(&weir__daemon_options, "control.socket")->def;
}

const char *weir__cli_config(const struct weir__cli *cli)
{
	const char *env = getenv("WEIR_CONFIG");

	if (cli->option[WEIR__CLI_CONFIG])
		return cli->option[WEIR__CLI_CONFIG];
	if (env && *env)
		return env;
	return access("/etc/weir/weir.yaml", F_OK) == 0 ? "/etc/weir/weir.yaml" : NULL;
}

json_t *weir__cli_ask(const struct weir__cli *cli, json_t *request, int timeout_ms)
{
	json_t *answer = NULL;
	char err[512];
	int r;

	if (!request) {
		weir__cli_error(cli->name, "out of memory, or an argument that is not UTF-8");
		return NULL;
	}
	r = weir__control_call(weir__cli_socket(cli), request, timeout_ms, &answer, err, sizeof err);
	json_decref(request);
	if (r) {
		weir__cli_error(cli->name, "%s", err);
		return NULL;
	}
	if (!json_is_true(json_object_get(answer, "ok"))) {
		const char *why = json_string_value(json_object_get(answer, "error"));
		const char *hint = json_string_value(json_object_get(answer, "hint"));

		weir__cli_error(cli->name, "%s%s%s", why ? why : "the daemon refused", hint ? ": " : "",
		                hint ? hint : "");
		json_decref(answer);
		return NULL;
	}
	return answer;
}
