/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of overrides and its text. A few entries, so everything is a walk. The text
 * is read as if an enemy had written it: bounds, types and characters are checked, an
 * entry that is wrong is left out with a warning. Main thread.
 */
#include "overrides.h"
#include "mem.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

static void item_fini(struct weir__override *it)
{
	weir__free(it->key);
	weir__free(it->value);
}

void weir__overrides_fini(struct weir__overrides *o)
{
	for (size_t i = 0; i < o->count; i++)
		item_fini(&o->items[i]);
	weir__free(o->items);
	memset(o, 0, sizeof *o);
}

static int add(struct weir__overrides *o, const struct weir__override *it)
{
	struct weir__override *items, copy = *it;

	if (o->count >= WEIR__OVERRIDES_MAX)
		return -ENOSPC;
	items = weir__realloc(o->items, (o->count + 1) * sizeof *items);
	if (!items)
		return -ENOMEM;
	o->items = items;
	copy.key = weir__strdup(it->key);
	copy.value = weir__strdup(it->value);
	if (!copy.key || !copy.value) {
		item_fini(&copy);
		return -ENOMEM;
	}
	items[o->count++] = copy;
	return 0;
}

int weir__overrides_copy(struct weir__overrides *to, const struct weir__overrides *from)
{
	int rc = 0;

	memset(to, 0, sizeof *to);
	for (size_t i = 0; !rc && i < from->count; i++)
		rc = add(to, &from->items[i]);
	if (rc)
		weir__overrides_fini(to);
	return rc;
}

const struct weir__override *weir__override_find(const struct weir__overrides *o, const char *key)
{
	for (size_t i = o->count; i-- > 0;)
		if (!strcmp(o->items[i].key, key))
			return &o->items[i];
	return NULL;
}

static void drop(struct weir__overrides *o, size_t i)
{
	item_fini(&o->items[i]);
	memmove(&o->items[i], &o->items[i + 1], (--o->count - i) * sizeof *o->items);
}

/* What is set for good ends what had an end; what is not kept leaves the kept one alone:
 * that is in force again after a restart. */
static bool replaces(const struct weir__override *with, const struct weir__override *it)
{
	return !strcmp(it->key, with->key) && (it->until > 0 || with->until <= 0) &&
	       (!it->persist || with->persist);
}

int weir__override_set(struct weir__overrides *o, const char *key, const char *value,
                       double until, bool persist)
{
	struct weir__override it = { (char *)(uintptr_t)key, (char *)(uintptr_t)value, until, persist, true };

	if (strlen(key) >= WEIR__OVERRIDE_KEY_MAX || strlen(value) > WEIR__OVERRIDE_VALUE_MAX)
		return -E2BIG;
	for (size_t i = o->count; i-- > 0;)
		if (replaces(&it, &o->items[i]))
			drop(o, i);
	return add(o, &it);
}

bool weir__override_unset(struct weir__overrides *o, const char *key)
{
	size_t before = o->count;

	for (size_t i = o->count; i-- > 0;)
		if (!strcmp(o->items[i].key, key))
			drop(o, i);
	return o->count != before;
}

size_t weir__overrides_expire(struct weir__overrides *o, double now)
{
	size_t n = 0;

	for (size_t i = o->count; i-- > 0;) {
		if (o->items[i].until <= 0 || o->items[i].until > now)
			continue;
		drop(o, i);
		n++;
	}
	return n;
}

double weir__overrides_next(const struct weir__overrides *o)
{
	double next = 0;

	for (size_t i = 0; i < o->count; i++)
		if (o->items[i].until > 0 && (next <= 0 || o->items[i].until < next))
			next = o->items[i].until;
	return next;
}

void weir__overrides_accept(struct weir__overrides *o)
{
	for (size_t i = 0; i < o->count; i++)
		o->items[i].strict = false;
}

static const struct weir__override *next_kept(const struct weir__overrides *o, size_t *at)
{
	while (*at < o->count && !o->items[*at].persist)
		(*at)++;
	return *at < o->count ? &o->items[(*at)++] : NULL;
}

bool weir__overrides_same_kept(const struct weir__overrides *a, const struct weir__overrides *b)
{
	const struct weir__override *x, *y;
	size_t i = 0, j = 0;

	do {
		x = next_kept(a, &i);
		y = next_kept(b, &j);
		if (!x != !y || (x && (strcmp(x->key, y->key) || strcmp(x->value, y->value) ||
		                       x->until < y->until || x->until > y->until)))
			return false;
	} while (x);
	return true;
}

/* ---- the text ------------------------------------------------------------------------- */

/* Options' names and plugins': what a key is made of. */
static bool good_key(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_.-");

	return *s >= 'a' && *s <= 'z' && !s[n] && n < WEIR__OVERRIDE_KEY_MAX;
}

/* What is wrong with an entry, or NULL. */
static const char *judge(const json_t *e)
{
	const json_t *key = json_object_get(e, "key"), *value = json_object_get(e, "value");
	const json_t *until = json_object_get(e, "until");

	if (!json_is_object(e))
		return "expected an object";
	if (!json_is_string(key) || strlen(json_string_value(key)) != json_string_length(key) ||
	    !good_key(json_string_value(key)))
		return "expected a \"key\" such as \"plugins.NAME.option\"";
	if (!json_is_string(value) || json_string_length(value) > WEIR__OVERRIDE_VALUE_MAX ||
	    strlen(json_string_value(value)) != json_string_length(value))
		return "expected a \"value\", a string of at most 4096 bytes";
	if (until && (!json_is_number(until) || !isfinite(json_number_value(until)) ||
	              json_number_value(until) <= 0))
		return "expected \"until\" in seconds since 1970";
	return NULL;
}

__attribute__((format(printf, 4, 5))) static void
warn(struct weir__diags *diags, const char *name, const char *hint, const char *fmt, ...)
{
	const struct weir__mark at = { .file = name };
	char text[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	weir__diag_add(diags, true, &at, NULL, hint, "%s", text);
}

static int take(struct weir__overrides *o, const char *name, size_t i, const json_t *e, double now,
                struct weir__diags *diags)
{
	const char *wrong = judge(e), *key;
	double until;
	int rc;

	if (wrong) {
		warn(diags, name, "it is left out; `weir set` writes the file anew",
		     "entry %zu: %s", i + 1, wrong);
		return 0;
	}
	key = json_string_value(json_object_get(e, "key"));
	until = json_number_value(json_object_get(e, "until"));
	if (until > 0 && until <= now)
		return 0; /* its time was over while nobody ran */
	rc = weir__override_set(o, key, json_string_value(json_object_get(e, "value")), until, true);
	if (rc == -ENOSPC)
		warn(diags, name, "the rest is left out", "more than %d entries", WEIR__OVERRIDES_MAX);
	return rc;
}

int weir__overrides_parse(const char *name, const char *text, size_t len, double now,
                          struct weir__diags *diags, struct weir__overrides *ret)
{
	struct weir__overrides o = { 0 };
	json_error_t err;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &err);
	json_t *list = json_object_get(root, "overrides"), *e;
	size_t i;
	int rc = 0;

	memset(ret, 0, sizeof *ret);
	if (!root && json_error_code(&err) == json_error_out_of_memory)
		return -ENOMEM;
	if (!json_is_array(list)) {
		warn(diags, name, "all of it is left out; `weir set --persist` writes it anew",
		     "not what weir has written: %s", root ? "no list \"overrides\"" : err.text);
		json_decref(root);
		return diags->oom ? -ENOMEM : 0;
	}
	json_array_foreach(list, i, e) {
		rc = take(&o, name, i, e, now, diags);
		if (rc)
			break;
	}
	json_decref(root);
	if (rc == -ENOMEM || diags->oom) {
		weir__overrides_fini(&o);
		return -ENOMEM;
	}
	weir__overrides_accept(&o);
	*ret = o;
	return 0;
}

char *weir__overrides_format(const struct weir__overrides *o)
{
	json_t *list = json_array(), *root, *e;
	const struct weir__override *it;
	char *text = NULL;
	bool good = list;
	size_t at = 0;

	while (good && (it = next_kept(o, &at))) {
		e = json_pack("{s:s, s:s}", "key", it->key, "value", it->value);
		if (e && it->until > 0 && json_object_set_new(e, "until", json_real(it->until)))
			good = false;
		good = !json_array_append_new(list, e) && good;
	}
	root = json_pack("{s:i, s:o}", "version", 1, "overrides", list);
	if (good && root)
		text = json_dumps(root, JSON_INDENT(2));
	json_decref(root);
	return text; /* jansson allocates by core/mem.h */
}
