/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values out of a JSON document, one line each: a.b, a[2], a[name=flood].b, and
 * a[].b for the sum over an array. What is not there prints as an empty line.
 */
#include "tool.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(const json_t *v)
{
	char *text;

	if (json_is_string(v)) {
		puts(json_string_value(v));
	} else if (json_is_real(v)) {
		printf("%.15g\n", json_real_value(v));
	} else {
		text = v ? json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
		puts(text ? text : "");
		free(text);
	}
}

static const json_t *where(const json_t *list, const char *key, const char *value)
{
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v) {
		const char *have = json_string_value(json_object_get(v, key));

		if (have && !strcmp(have, value))
			return v;
	}
	return NULL;
}

static const json_t *find(const json_t *v, const char *path);

static double sum(const json_t *list, const char *path)
{
	double total = 0;
	size_t i;
	json_t *v;

	json_array_foreach(list, i, v)
		total += json_number_value(find(v, path));
	return total;
}

/* One step: "[...]" or a key; *path moves behind it. */
static const json_t *step(const json_t *v, const char **path)
{
	char word[256], *equals;
	size_t n;

	if (**path == '[') {
		n = strcspn(*path, "]");
		snprintf(word, sizeof word, "%.*s", (int)n - 1, *path + 1);
		*path += n + ((*path)[n] == ']');
		equals = strchr(word, '=');
		if (!equals)
			return json_array_get(v, strtoul(word, NULL, 10));
		*equals = 0;
		return where(v, word, equals + 1);
	}
	n = strcspn(*path, ".[");
	snprintf(word, sizeof word, "%.*s", (int)n, *path);
	*path += n;
	return json_object_get(v, word);
}

static const json_t *find(const json_t *v, const char *path)
{
	while (v && *path) {
		if (*path == '.')
			path++;
		else if (!strncmp(path, "[]", 2))
			return json_real(sum(v, path[2] == '.' ? path + 3 : path + 2));
		else
			v = step(v, &path);
	}
	return v;
}

int tool_json(int argc, char **argv)
{
	json_error_t err;
	json_t *doc = json_loadf(stdin, JSON_DECODE_ANY, &err);

	if (!doc) {
		fprintf(stderr, "bench-tool json: %s\n", err.text);
		return 1;
	}
	for (int i = 1; i < argc; i++)
		print(find(doc, argv[i]));
	json_decref(doc);
	return 0;
}
