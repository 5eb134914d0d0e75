/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weir query NAME.QUERY [ARG=VALUE...]: ask a running plugin. The body comes out as
 * it is, unless a person looks at it: then JSON becomes a table or is indented,
 * and text is escaped.
 */
#include "cli.h"
#include "cli_table.h"
#include "control.h"
#include "format_text.h"
#include "mem.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* As long as a plugin may take, and the daemon to say that it took longer. */
#define TIMEOUT_MS 15000

static json_t *request(const struct weir__cli *cli)
{
	const char *dot = strchr(cli->argv[0], '.');
	json_t *args = json_array();

	for (int i = 1; i < cli->argc; i++)
		if (json_array_append_new(args, json_string(cli->argv[i])) != 0) {
			json_decref(args);
			return NULL;
		}
	return json_pack("{s:s, s:s%, s:s, s:o}", "cmd", "query", "plugin", cli->argv[0],
	                 (size_t)(dot - cli->argv[0]), "query", dot + 1, "args", args);
}

/* Text for a terminal: lines and tabs stay, all else that acts is escaped. */
static void print_escaped(const char *s, size_t len)
{
	char buf[4096];

	while (len) {
		const char *nl = memchr(s, '\n', len);
		size_t n = nl ? (size_t)(nl - s) : len, part;
		struct weir__writer w;

		while (n) {
			/* Whole characters, and room for each byte as \xNN. */
			part = n < sizeof buf / 4 - 1 ? n : sizeof buf / 4 - 1;
			while (part > 1 && part < n && (s[part] & 0xc0) == 0x80)
				part--;
			weir__writer_init(&w, buf, sizeof buf);
			weir__put_escaped(&w, s, part, WEIR__ESCAPE_TEXT);
			weir__writer_end(&w, sizeof buf);
			fputs(buf, stdout);
			s += part;
			n -= part;
			len -= part;
		}
		if (nl) {
			putchar('\n');
			s++;
			len--;
		}
	}
}

static void print_raw(const char *body, size_t len)
{
	fwrite(body, 1, len, stdout);
	if (len && body[len - 1] != '\n')
		putchar('\n');
}

static void print_for_people(const char *type, const char *body, size_t len)
{
	json_t *j = strncmp(type, "application/json", 16) ? NULL
	            : json_loadb(body, len, JSON_DECODE_ANY, NULL);

	if (!j) {
		print_escaped(body, len);
		if (len && body[len - 1] != '\n')
			putchar('\n');
	} else if (!weir__table_json(j, stdout, weir__cli_colour(stdout))) {
		json_dumpf(j, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		putchar('\n');
	}
	json_decref(j);
}

int weir__cmd_query(int argc, char **argv)
{
	struct weir__cli cli;
	const json_t *body;
	const char *type;
	json_t *answer;
	int r = weir__cli_parse(argc, argv, &cli);

	if (r >= 0)
		return r;
	if (cli.argc < 1)
		return weir__cmd_usage(cli.name, "which query? give NAME.QUERY, such as iomonitor.top");
	if (!strchr(cli.argv[0], '.') || cli.argv[0][0] == '.' ||
	    !strchr(cli.argv[0], '.')[1])
		return weir__cmd_usage(cli.name, "the first argument must be NAME.QUERY, such as iomonitor.top; "
		                                 "weir plugins describe NAME lists them");
	answer = weir__cli_ask(&cli, request(&cli), TIMEOUT_MS);
	if (!answer)
		return 1;
	body = json_object_get(answer, "body");
	type = json_string_value(json_object_get(answer, "content_type"));
	if (!json_is_string(body))
		r = weir__cli_error(cli.name, "the daemon sent no body");
	else if (cli.option[WEIR__CLI_JSON] || !isatty(STDOUT_FILENO))
		print_raw(json_string_value(body), json_string_length(body));
	else
		print_for_people(type ? type : "", json_string_value(body), json_string_length(body));
	json_decref(answer);
	return r < 0 ? 0 : r;
}
