/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the daemon for a change that may take its time: on a terminal, who waits longer
 * than a second is told what for. A refusal with diagnostics is printed as `weir config
 * check` prints it. One thread; the note is written by a signal handler.
 */
#include "cli.h"
#include "control.h"
#include "format.h"
#include "options.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

/* The daemon gives plugins 50 s to settle. */
#define TIMEOUT_MS 60000

static char note[160];
static volatile sig_atomic_t noted;

static void on_alarm(int sig)
{
	ssize_t n = write(2, note, strlen(note));

	(void)sig, (void)n;
	noted = 1;
}

static void arm(const char *name, int seconds)
{
	struct itimerval it = { .it_value.tv_sec = seconds };
	struct sigaction sa = { .sa_handler = on_alarm };

	if (!isatty(2))
		return;
	snprintf(note, sizeof note, "weir %.20s: waiting until every plugin has settled...", name);
	noted = 0;
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void disarm(void)
{
	struct itimerval never = { 0 };

	setitimer(ITIMER_REAL, &never, NULL);
	if (noted)
		fputs("\r\033[K", stderr);
	noted = 0;
}

/* Lines from the daemon: nothing in them may steer the terminal. */
static void print_lines(const char *text)
{
	char shown[4096];

	while (*text) {
		size_t n = strcspn(text, "\n");

		weir__escape(text, n < 1000 ? n : 1000, shown, sizeof shown);
		fprintf(stderr, "%s\n", shown);
		text += n + (text[n] == '\n');
	}
}

static void print_refusal(const struct weir__cli *cli, const json_t *answer)
{
	const json_t *all = json_object_get(answer, "diagnostics"), *v;
	const char *why = json_string_value(json_object_get(answer, "error"));
	const char *hint = json_string_value(json_object_get(answer, "hint"));
	size_t i;

	json_array_foreach(all, i, v)
		print_lines(json_string_value(v) ? json_string_value(v) : "");
	if (!json_array_size(all))
		weir__cli_error(cli->name, "%s%s%s", why ? why : "the daemon refused", hint ? ": " : "",
		                hint ? hint : "");
	else
		fprintf(stderr, "weir %s: refused, nothing was changed\n", cli->name);
}

struct duration { uint64_t ns; };

/* At most a week: what is meant to stay belongs in the configuration. */
static const struct weir_option for_option =
	WEIR_OPTION_DURATION(struct duration, ns, "for", NULL, "", .min = 1e9, .max = 7 * 86400e9);

int weir__cli_for(const struct weir__cli *cli, double *ret_s)
{
	const char *given = cli->option[WEIR__CLI_FOR];
	char err[256], text[300], shown[1024];
	struct duration d = { 0 };

	if (given && weir__option_set(&for_option, &d, given, err, sizeof err)) {
		weir__escape(given, 64, text, sizeof text);
		snprintf(shown, sizeof shown, "--for %s: expected %s", text, err);
		return weir__cmd_usage(cli->name, shown);
	}
	*ret_s = (double)d.ns / 1e9;
	return 0;
}

json_t *weir__cli_change(const struct weir__cli *cli, json_t *request)
{
	json_t *answer = NULL;
	char err[512];
	int r;

	if (!request) {
		weir__cli_error(cli->name, "out of memory, or an argument that is not UTF-8");
		return NULL;
	}
	arm(cli->name, 1);
	r = weir__control_call(weir__cli_socket(cli), request, TIMEOUT_MS, &answer, err, sizeof err);
	disarm();
	json_decref(request);
	if (r) {
		weir__cli_error(cli->name, "%s", err);
		return NULL;
	}
	if (cli->option[WEIR__CLI_JSON]) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		printf("\n");
	}
	if (json_is_true(json_object_get(answer, "ok")))
		return answer;
	if (!cli->option[WEIR__CLI_JSON])
		print_refusal(cli, answer);
	json_decref(answer);
	return NULL;
}

int weir__cli_said(const struct weir__cli *cli, json_t *answer)
{
	const char *said = json_string_value(json_object_get(answer, "message"));
	char shown[2048];

	if (!answer)
		return 1;
	weir__escape(said ? said : "done", 600, shown, sizeof shown);
	if (!cli->option[WEIR__CLI_JSON])
		printf("%s\n", shown);
	json_decref(answer);
	return 0;
}
