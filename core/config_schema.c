/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON schema of the configuration, from the same tables that check it: for
 * editors (yaml-language-server) and for pipelines that have no weir at hand. Main
 * thread.
 */
#include "config_show.h"

#include <errno.h>
#include <string.h>

/* A value that comes from a variable has its type only when it is replaced. */
#define VARIABLE "^.*\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}.*$"
#define BYTES    "^[0-9]+(\\.[0-9]+)? *([KMGTkmgt][Ii]?[Bb]|[KMGTkmgt][Ii]|[Bb])?$"
#define DURATION "^(0|([0-9]+(\\.[0-9]+)? *(ns|us|\xc2\xb5s|ms|s|m|h|d))+)$"

/* Takes both references. */
static json_t *either(json_t *a, json_t *b)
{
	return json_pack("{s:[o,o,{s:s}]}", "anyOf", a, b, "$ref", "#/$defs/variable");
}

static json_t *pattern(const char *p)
{
	return json_pack("{s:s, s:s}", "type", "string", "pattern", p);
}

static void bounds(json_t *j, const struct weir_option *opt, const char *min, const char *max)
{
	if (opt->min == 0 && opt->max == 0)
		return;
	if (opt->min != 0 || opt->type == WEIR_OPT_INT || opt->type == WEIR_OPT_DOUBLE)
		json_object_set_new(j, min, opt->type == WEIR_OPT_DOUBLE ?
		                    json_real(opt->min) : json_integer((json_int_t)opt->min));
	if (opt->max >= opt->min)
		json_object_set_new(j, max, opt->type == WEIR_OPT_DOUBLE ?
		                    json_real(opt->max) : json_integer((json_int_t)opt->max));
}

static json_t *number(const struct weir_option *opt, const char *type)
{
	json_t *j = json_pack("{s:s}", "type", type);

	if (j && opt->type != WEIR_OPT_INT && opt->type != WEIR_OPT_DOUBLE && opt->min <= 0)
		json_object_set_new(j, "minimum", json_integer(0));
	bounds(j, opt, "minimum", "maximum");
	return j;
}

static json_t *choices(const struct weir_option *opt)
{
	json_t *all = json_array();
	const char *p = opt->choices ? opt->choices : "";
	size_t n;

	for (; all && *p; p += n + (p[n] == ' ')) {
		n = strcspn(p, " ");
		json_array_append_new(all, json_stringn(p, n));
	}
	return json_pack("{s:o}", "enum", all);
}

static json_t *list(const struct weir_option *opt)
{
	json_t *j = json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");

	bounds(j, opt, "minItems", "maxItems");
	/* a single item, or items with commas between them */
	return json_pack("{s:[o,{s:s}]}", "anyOf", j, "type", "string");
}

static json_t *type_schema(const struct weir_option *opt)
{
	switch (opt->type) {
	case WEIR_OPT_BOOL:
		return either(json_pack("{s:s}", "type", "boolean"),
		              pattern("^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]|[Yy][Ee][Ss]|[Nn][Oo]|"
		                      "[Oo][Nn]|[Oo][Ff][Ff])$"));
	case WEIR_OPT_INT:
	case WEIR_OPT_UINT:
		return either(number(opt, "integer"), pattern("^[-+]?[0-9]+$"));
	case WEIR_OPT_DOUBLE:
		return either(number(opt, "number"), pattern("^[-+0-9.eE]+$"));
	case WEIR_OPT_BYTES:
		return either(number(opt, "integer"), pattern(BYTES));
	case WEIR_OPT_DURATION:
		return either(json_pack("{s:i}", "const", 0), pattern(DURATION));
	case WEIR_OPT_ENUM:
		return json_pack("{s:[o,{s:s}]}", "anyOf", choices(opt), "$ref",
		                 "#/$defs/variable");
	case WEIR_OPT_LIST:
		return list(opt);
	default:
		/* a bare number in YAML is text here */
		return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
	}
}

static json_t *default_value(const struct weir_option *opt)
{
	if (opt->type == WEIR_OPT_BOOL)
		return json_boolean(!strcasecmp(opt->def, "true") || !strcasecmp(opt->def, "yes") ||
		                    !strcasecmp(opt->def, "on"));
	if (opt->type == WEIR_OPT_LIST && !*opt->def)
		return json_array();
	return json_string(opt->def);
}

static json_t *option_schema(const struct weir_option *opt)
{
	json_t *j = type_schema(opt);
	char type[256], doc[1024];

	if (!j)
		return NULL;
	weir__option_type_text(opt, type, sizeof(type));
	snprintf(doc, sizeof(doc), "%s (%s)", opt->doc ? opt->doc : "", type);
	json_object_set_new(j, "description", json_string(doc));
	if (opt->def)
		json_object_set_new(j, "default", default_value(opt));
	return j;
}

static json_t *section_schema(void)
{
	return json_pack("{s:[s,s], s:{}, s:b}", "type", "object", "null", "properties",
	                 "additionalProperties", 0);
}

/* Hang an option where its dots say. 0 or -ENOMEM. */
static int place(json_t *section, const struct weir_option *opt)
{
	const char *rest = opt->name;
	json_t *props, *next;
	char word[64];
	size_t n;

	for (;;) {
		props = json_object_get(section, "properties");
		n = strcspn(rest, ".");
		if (!rest[n])
			break;
		snprintf(word, sizeof(word), "%.*s", (int)n, rest);
		next = json_object_get(props, word);
		if (!next) {
			next = section_schema();
			if (json_object_set_new(props, word, next))
				return -ENOMEM;
		}
		section = next;
		rest += n + 1;
	}
	return json_object_set_new(props, rest, option_schema(opt)) ? -ENOMEM : 0;
}

static int place_all(json_t *section, const struct weir_table *t, uint32_t kind)
{
	const struct weir_option *opt;
	uint32_t i;
	int rc = 0;

	for (i = 0; !rc && (opt = weir_table_row(t, i)); i++)
		if (weir__option_applies(opt, kind))
			rc = place(section, opt);
	return rc;
}

json_t *weir__schema_new(void)
{
	json_t *j = section_schema();

	if (!j)
		return NULL;
	json_object_set_new(j, "$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
	json_object_set_new(j, "title", json_string("Weir " WEIR_VERSION));
	json_object_set_new(j, "$defs", json_pack("{s:o}", "variable", pattern(VARIABLE)));
	if (place_all(j, &weir__daemon_options, 0) ||
	    json_object_set_new(json_object_get(j, "properties"), "plugins", section_schema())) {
		json_decref(j);
		return NULL;
	}
	return j;
}

int weir__schema_add(json_t *schema, const struct weir_plugin_desc *desc)
{
	json_t *plugins = json_object_get(json_object_get(schema, "properties"), "plugins");
	json_t *section = section_schema();
	int rc = section ? 0 : -ENOMEM;

	if (!rc && desc->doc)
		json_object_set_new(section, "description", json_string(desc->doc));
	if (!rc)
		rc = place_all(section, &weir__common_options, desc->kind);
	if (!rc)
		rc = place_all(section, &desc->options, desc->kind);
	if (rc) {
		json_decref(section);
		return rc;
	}
	rc = json_object_set_new(json_object_get(plugins, "properties"), desc->name, section);
	return rc ? -ENOMEM : 0;
}
