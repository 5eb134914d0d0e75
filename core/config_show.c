/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration in effect, as YAML. Values are written so that they read back
 * as they are: what is not plainly a word is quoted as a JSON string, which YAML
 * takes too, and "${" is written "$${". Cannot fail but for output. Main thread.
 */
#include "config_show.h"
#include "config_priv.h"
#include "format.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* Comments begin here, unless the value is longer. */
#define COMMENT_COLUMN 40
#define KEY_MAX 256

struct show {
	const struct weir__config *config;
	FILE *f;
	const char *prefix; /* "" or "plugins.NAME" */
	uint32_t kind;      /* 0: the daemon */
	int column;
};

__attribute__((format(printf, 2, 3))) static void put(struct show *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vfprintf(s->f, fmt, ap);
	va_end(ap);
	s->column += n > 0 ? n : 0;
}

/* ---- values ----------------------------------------------------------------- */

static bool plain(const char *s)
{
	static const char *const words[] = { "null", "Null", "NULL", "~" };
	size_t n = strlen(s), i;

	if (!n || s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                      "0123456789_./-")] || s[0] == '-' || s[0] == '.')
		return false;
	for (i = 0; i < 4; i++)
		if (!strcmp(s, words[i]))
			return false;
	return true;
}

/* "${" begins a variable; "$${" does not. Text is the caller's to free. */
static char *undo_expand(const char *s)
{
	char *out = weir__alloc(2 * strlen(s) + 1), *o = out;

	if (!out)
		return NULL;
	for (; *s; s++) {
		if (s[0] == '$' && s[1] == '{')
			*o++ = '$';
		*o++ = *s;
	}
	*o = 0;
	return out;
}

static void put_string(struct show *s, const char *text)
{
	char shown[1024], *raw, *quoted = NULL;
	json_t *j;

	if (plain(text)) {
		put(s, "%s", text);
		return;
	}
	raw = undo_expand(text);
	j = raw ? json_string(raw) : NULL;
	if (j)
		quoted = json_dumps(j, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
	if (quoted) {
		put(s, "%s", quoted);
	} else {
		/* not UTF-8, from the environment; cannot be written as YAML */
		weir__escape(text, sizeof(shown) / 4, shown, sizeof(shown));
		put(s, "'%s'", shown);
	}
	free(quoted);
	json_decref(j);
	weir__free(raw);
}

static void put_value(struct show *s, const struct weir_option *opt, const void *base)
{
	const void *v = (const char *)base + opt->offset;
	const struct weir_strings *list = v;
	char text[128];
	size_t i;

	if (opt->flags & WEIR_OPTION_SECRET) {
		put(s, "'***'");
	} else if (opt->type == WEIR_OPT_STRING) {
		put_string(s, *(const char *const *)v ? *(const char *const *)v : "");
	} else if (opt->type == WEIR_OPT_LIST) {
		put(s, "[");
		for (i = 0; i < list->count; i++) {
			put(s, "%s", i ? ", " : "");
			put_string(s, list->items[i]);
		}
		put(s, "]");
	} else {
		weir__option_format(opt, base, text, sizeof(text));
		put(s, "%s", text);
	}
}

static void put_origin(struct show *s, const struct weir_option *opt)
{
	char key[KEY_MAX], from[KEY_MAX];
	int pad;

	snprintf(key, sizeof(key), "%s%s%s", s->prefix, *s->prefix ? "." : "", opt->name);
	if (!weir__config_origin(s->config, key, from, sizeof(from)))
		snprintf(from, sizeof(from), "default");
	pad = s->column < COMMENT_COLUMN ? COMMENT_COLUMN - s->column : 1;
	put(s, "%*s# %s\n", pad, "", from);
	s->column = 0;
}

/* ---- tables ----------------------------------------------------------------- */

static bool applies(const struct show *s, const struct weir_option *opt)
{
	return weir__option_applies(opt, s->kind);
}

/* Does an earlier row have the same first `len` characters and go on with a dot? */
static bool opened(const struct weir_table *t, uint32_t row, const char *name, size_t len)
{
	const struct weir_option *opt;
	uint32_t i;

	for (i = 0; i < row && (opt = weir_table_row(t, i)); i++)
		if (!strncmp(opt->name, name, len) && opt->name[len] == '.')
			return true;
	return false;
}

/* The options whose names begin with the first `from` characters of `above`; as
 * deep as their dots, which the loader bounds by the name's length. */
static void put_level(struct show *s, const struct weir_table *t, const void *base,
                      const char *above, size_t from, int indent)
{
	const struct weir_option *opt;
	size_t len;
	uint32_t i;

	for (i = 0; (opt = weir_table_row(t, i)); i++) {
		if (!applies(s, opt) || strncmp(opt->name, above, from))
			continue;
		len = from + strcspn(opt->name + from, ".");
		if (!opt->name[len]) {
			put(s, "%*s%s: ", indent, "", opt->name + from);
			put_value(s, opt, base);
			put_origin(s, opt);
		} else if (!opened(t, i, opt->name, len)) {
			put(s, "%*s%.*s:\n", indent, "", (int)(len - from), opt->name + from);
			s->column = 0;
			put_level(s, t, base, opt->name, len + 1, indent + 2);
		}
	}
}

static void put_plugin(struct show *s, const struct weir__setup_plugin *p)
{
	const struct weir__settings *set = p->settings;
	char prefix[64], reason[1024];

	snprintf(prefix, sizeof(prefix), "plugins.%s", set->name);
	if (!p->loaded) {
		weir__escape(p->refused, sizeof(p->refused), reason, sizeof(reason));
		fprintf(s->f, "  %s: {enabled: %s} # not loaded: %s\n", set->name,
		        set->common.enabled ? "true" : "false", reason);
		return;
	}
	s->prefix = prefix;
	s->kind = set->desc->kind;
	fprintf(s->f, "  %s:\n", set->name);
	put_level(s, &weir__common_options, &set->common, "", 0, 4);
	put_level(s, &set->desc->options, set->values, "", 0, 4);
}

void weir__config_show(const struct weir__setup *setup, FILE *f)
{
	struct show s = { .config = setup->config, .f = f, .prefix = "" };
	char file[4096];
	size_t i;

	weir__escape(weir__config_file(setup->config), 1024, file, sizeof(file));
	fprintf(f, "# Configuration in effect: %s\n", file);
	put_level(&s, &weir__daemon_options, weir__config_daemon(setup->config), "", 0, 0);
	fprintf(f, "plugins:%s\n", setup->count ? "" : " {}");
	for (i = 0; i < setup->count; i++)
		put_plugin(&s, &setup->plugins[i]);
}
