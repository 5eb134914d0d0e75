/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the configuration: any bytes as YAML, with sections of a collector and an
 * output that have every type of option. What must hold: no crash; an error if and
 * only if there is a diagnostic; no control byte in what is printed; a value that
 * is written back parses again; nothing is left in memory.
 */
#include "config.h"
#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct all {
	bool flag;
	int64_t count;
	uint64_t limit, size, every;
	double ratio;
	const char *name, *secret, *path;
	uint32_t mode;
	struct weir_strings list;
};

static const struct weir_option rows[] = {
	WEIR_OPTION_BOOL(struct all, flag, "flag", "true", "A flag"),
	WEIR_OPTION_INT(struct all, count, "count", "-3", "A count", .min = -10, .max = 10),
	WEIR_OPTION_UINT(struct all, limit, "limit", "7", "A limit"),
	WEIR_OPTION_DOUBLE(struct all, ratio, "ratio", "0.5", "A ratio", .max = 1),
	WEIR_OPTION_STRING(struct all, name, "name", "x", "A name"),
	WEIR_OPTION_STRING(struct all, secret, "tls.key.secret", "", "A secret",
	                   .flags = WEIR_OPTION_SECRET),
	WEIR_OPTION_STRING(struct all, path, "tls.cert", "", "A path", .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_ENUM(struct all, mode, "mode", "fast slow", "slow", "A mode"),
	WEIR_OPTION_BYTES(struct all, size, "size", "64MB", "A size"),
	WEIR_OPTION_DURATION(struct all, every, "every", "1m30s", "How often", .min = 1e6),
	WEIR_OPTION_LIST(struct all, list, "list", "a, b", "A list", .max = 4),
};
static const struct weir_plugin_desc descs[] = {
	{ .name = "in", .kind = WEIR_COLLECTOR, .state_size = sizeof(struct all),
	  .options = WEIR_TABLE(rows) },
	{ .name = "out", .kind = WEIR_OUTPUT, .state_size = sizeof(struct all),
	  .options = WEIR_TABLE(rows) },
};

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static void check_print(const struct weir__diags *d)
{
	char *buf = NULL;
	size_t len = 0, i;
	FILE *f = open_memstream(&buf, &len);

	must(f, "memory");
	weir__diags_print(d, f, false);
	fclose(f);
	for (i = 0; i < len; i++)
		must((unsigned char)buf[i] >= 0x20 || buf[i] == '\n', "no control byte is printed");
	free(buf);
}

static void check_values(const void *base)
{
	struct all copy = { 0 };
	char text[8192], err[256];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (weir__option_format(&rows[i], base, text, sizeof(text)) >= sizeof(text) ||
		    rows[i].type == WEIR_OPT_LIST)
			continue; /* an item may hold a comma */
		must(!weir__option_set(&rows[i], &copy, text, err, sizeof(err)),
		     "a value written back parses");
	}
	weir__options_free(&descs[0].options, &copy);
}

static void bind_all(struct weir__config *c, struct weir__diags *d)
{
	struct weir__settings *s;
	size_t i, before;
	int rc;

	for (i = 0; i < 2; i++) {
		before = d->errors;
		rc = weir__config_bind(c, descs[i].name, &descs[i], d, &s);
		must(!rc == (d->errors == before), "an error if and only if it is said");
		if (rc)
			continue;
		check_values(s->values);
		weir__settings_free(s);
	}
	weir__config_finish(c, d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir__diags d = { 0 };
	struct weir__config *c = NULL;
	long live = weir__mem_live();
	int rc;

	setenv("FUZZ", "1s\nflag: [", 1);
	rc = weir__config_open_text("fuzz.yaml", (const char *)data, size, &d, &c);
	must(!rc == !weir__diags_failed(&d), "open fails if and only if it is said");
	if (!rc)
		bind_all(c, &d);
	check_print(&d);
	weir__config_free(c);
	weir__diags_fini(&d);
	must(weir__mem_live() == live, "nothing is left in memory");
	return 0;
}
