/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz the overrides' file, and what it does to a configuration. What must hold: no
 * crash; it never makes an error, so that the daemon starts; what is kept reads back as
 * the same; nothing is left in memory.
 */
#include "config.h"
#include "mem.h"
#include "overrides.h"
#include "protocol.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct all {
	bool flag;
	uint64_t every;
	uint32_t mode;
	const char *name;
	struct weir_strings list;
};

static const struct weir_option rows[] = {
	WEIR_OPTION_BOOL(struct all, flag, "flag", "true", "A flag"),
	WEIR_OPTION_DURATION(struct all, every, "every", "1s", "How often"),
	WEIR_OPTION_ENUM(struct all, mode, "mode", "fast slow", "slow", "A mode"),
	WEIR_OPTION_STRING(struct all, name, "a.name", "x", "A name", .flags = WEIR_OPTION_PATH),
	WEIR_OPTION_LIST(struct all, list, "list", "a, b", "A list", .max = 4),
};
static const struct weir_plugin_desc in = { .name = "in", .kind = WEIR_COLLECTOR,
	.state_size = sizeof(struct all), .options = WEIR_TABLE(rows) };

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "does not hold: %s\n", what);
	abort();
}

static void read_back(const struct weir__overrides *o)
{
	struct weir__overrides back;
	struct weir__diags d = { 0 };
	char *text = weir__overrides_format(o);

	must(text, "memory");
	must(!weir__overrides_parse("o", text, strlen(text), 1, &d, &back), "what was written parses");
	must(!d.count && weir__overrides_same_kept(o, &back), "and is the same");
	weir__overrides_fini(&back);
	weir__free(text);
}

static void apply(struct weir__overrides *o)
{
	static const char yaml[] = "plugins: {in: {flag: no}}";
	struct weir__diags d = { 0 };
	struct weir__settings *s = NULL;
	struct weir__config *c;

	must(!weir__config_open_text("weir.yaml", yaml, sizeof yaml - 1, &d, &c), "the file is right");
	must(!weir__config_override(c, o, &d), "overrides are taken");
	must(!weir__config_bind(c, "in", &in, &d, &s), "and never an error");
	must(!d.errors && !d.oom, "only warnings");
	weir__settings_free(s);
	weir__config_free(c);
	weir__diags_fini(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir__overrides o;
	struct weir__diags d = { 0 };
	long live;

	weir__json_setup();
	live = weir__mem_live();
	must(!weir__overrides_parse("overrides.json", (const char *)data, size, 1, &d, &o),
	     "a bad file is no error");
	must(!d.errors && o.count <= WEIR__OVERRIDES_MAX, "bounded, with warnings only");
	weir__diags_fini(&d);
	read_back(&o);
	apply(&o);
	weir__overrides_fini(&o);
	must(weir__mem_live() == live, "nothing is left in memory");
	return 0;
}
