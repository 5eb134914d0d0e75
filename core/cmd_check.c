/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir check: all findings, and what they come to. On stderr what is wrong with the
 * configuration; then the rest is checked with the built-in one, so that one run
 * says everything.
 */
#include "check.h"
#include "cli.h"
#include "cli_table.h"
#include "kernel_guard.h"
#include "log.h"
#include "mem.h"

#include <string.h>

/* What to do is said once for neighbours with the same cure. */
static bool same_next(const struct weir__findings *f, size_t i)
{
	const struct weir__finding *p = &f->items[i], *next = p + 1;

	return i + 1 < f->count && next->state && next->todo && !strcmp(next->area, p->area) &&
	       !strcmp(next->todo, p->todo);
}

static void print(const struct weir__findings *f, bool colour)
{
	static const int paints[] = { WEIR__GREEN, WEIR__YELLOW, WEIR__RED };
	static const char *const results[] = { "all exact", "degraded: see what is not ok",
		                               "cannot run: see what is missing" };
	const char *area = "";
	int r = weir__findings_exit(f);
	struct weir__cli_table t = { 0 };

	weir__table_column(&t, "AREA", false);
	weir__table_column(&t, "NAME", false);
	weir__table_column(&t, "STATE", false);
	weir__table_column(&t, "", false);
	for (size_t i = 0; i < f->count; i++) {
		const struct weir__finding *p = &f->items[i];
		bool info = p->weight == WEIR__CHECK_INFO;

		weir__table_cell(&t, WEIR__BOLD, "%s", strcmp(area, p->area) ? p->area : "");
		weir__table_cell(&t, WEIR__PLAIN, "%s", p->name);
		weir__table_cell(&t, info && p->state ? WEIR__DIM : paints[p->state], "%s",
		                 weir__check_state_name(p->state));
		weir__table_cell(&t, WEIR__PLAIN, "%s", p->reason);
		if (p->state && p->todo && !same_next(f, i))
			weir__table_note(&t, info ? WEIR__DIM : WEIR__YELLOW, "-> %s", p->todo);
		area = p->area;
	}
	weir__table_print(&t, stdout, colour);
	weir__table_fini(&t);
	printf("\n%s%s%s\n", weir__paint(colour, paints[r]), f->oom ? "out of memory" : results[r],
	       weir__paint(colour, WEIR__PLAIN));
}

static void check_config(struct weir__findings *f, const char *file, struct weir__setup *setup)
{
	struct weir__diags diags = { 0 };
	const char *shown = file ? file : "(built-in)";
	int r = weir__setup_load(file, &diags, setup);

	weir__diags_print(&diags, stderr, weir__cli_colour(stderr));
	if (r)
		weir__finding_add(f, "weir", WEIR__CHECK_FATAL, "configuration", WEIR__CHECK_MISSING,
		                  "correct what is shown on stderr; weir config check says it again",
		                  "%s: %zu error%s", shown, diags.errors, diags.errors == 1 ? "" : "s");
	else
		weir__finding_add(f, "weir", WEIR__CHECK_FATAL, "configuration", WEIR__CHECK_OK, NULL,
		                  "%s", shown);
	weir__diags_fini(&diags);
	if (r && file) {
		memset(&diags, 0, sizeof diags);
		r = weir__setup_load(NULL, &diags, setup);
		weir__diags_fini(&diags);
	}
	if (r)
		memset(setup, 0, sizeof *setup);
}

/* Before a program is tried: what the configuration says must not be. What is wrong
 * with the configuration is said in its turn. */
static void use_guard(const char *file)
{
	struct weir__diags diags = { 0 };
	struct weir__config *c = NULL;

	if (!weir__config_read(file, &diags, &c))
		weir__guard_setup(&weir__config_daemon(c)->kernel_guard);
	weir__config_free(c);
	weir__diags_fini(&diags);
}

int weir__cmd_check(int argc, char **argv)
{
	const struct weir__log_config quiet = { .level = WEIR_ERROR };
	struct weir__findings f = { 0 };
	struct weir__setup setup;
	struct weir__cli cli;
	int r = weir__cli_parse(argc, argv, &cli);
	json_t *j;

	if (r >= 0)
		return r;
	if (cli.argc)
		return weir__cmd_usage(cli.name, "takes no arguments");
	weir__log_setup(&quiet);
	weir__check_system(&f);
	use_guard(weir__cli_config(&cli));
	weir__check_bpf(&f);
	check_config(&f, weir__cli_config(&cli), &setup);
	if (setup.config) {
		weir__check_places(&f, weir__config_daemon(setup.config));
		weir__check_user(&f, &setup);
		weir__check_plugins(&f, &setup);
	}
	r = weir__findings_exit(&f);
	if (cli.option[WEIR__CLI_JSON]) {
		j = weir__findings_json(&f);
		if (!j || json_dumpf(j, stdout, JSON_INDENT(2)) != 0)
			weir__cli_error(cli.name, "out of memory");
		printf("\n");
		json_decref(j);
	} else {
		print(&f, weir__cli_colour(stdout));
	}
	weir__findings_fini(&f);
	/* What a hanging plugin's host still uses is left to the end of the process. */
	weir__setup_fini(&setup);
	return r;
}
