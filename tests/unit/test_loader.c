/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader's judgement of a descriptor: each wrong field is refused with a
 * reason that names it, and tables of other row sizes become indexable. What
 * concerns files is in tests/abi.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "loader.h"
#include "loader_check.h"
#include "mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

struct state {
	uint64_t interval_ns;
	const char *path;
	uint32_t mode;
	struct weir_strings list;
};

struct payload {
	uint32_t pid;
	uint32_t how;
	uint64_t ns;
	char comm[16];
};

/* A right descriptor whose every part can be changed. */
struct sample {
	struct weir_option options[4], args[1];
	struct weir_field fields[4];
	struct weir_schema schemas[2];
	struct weir_metric metrics[2];
	struct weir_query queries[1];
	struct weir_program programs[2];
	struct weir_source sources[2];
	struct weir_plugin_desc desc;
};

static const char object[128] = "\177ELF";
static const double bounds[] = { 0.1, 1, 10 };
static int answer(struct weir_plugin *p, const void *args, struct weir_out *out)
{
	(void)p, (void)args, (void)out;
	return 0;
}
static int tick(struct weir_plugin *p)
{
	(void)p;
	return 0;
}
static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	(void)p, (void)b;
	return 0;
}
static void flush(struct weir_plugin *p)
{
	(void)p;
}

#define ROWS(a) { (a), sizeof(a) / sizeof((a)[0]), sizeof((a)[0]) }

static void fill_tables(struct sample *s)
{
	struct weir_option options[] = {
		WEIR_OPTION_DURATION(struct state, interval_ns, "interval", "1s", "How often", .min = 1e6, .max = 1e12),
		WEIR_OPTION_STRING(struct state, path, "proc.path", "/proc", "Where", .flags = WEIR_OPTION_PATH),
		WEIR_OPTION_ENUM(struct state, mode, "mode", "fast exact", "fast", "Which way"),
		WEIR_OPTION_LIST(struct state, list, "proc.names", "a,b", "Which"),
	};
	struct weir_field fields[] = {
		WEIR_FIELD(struct payload, pid, WEIR_U32, "", "Process"),
		WEIR_FIELD(struct payload, how, WEIR_ENUM32, "", "How it ended", .names = "exit signal"),
		WEIR_FIELD(struct payload, ns, WEIR_U64, "ns", "How long"),
		WEIR_FIELD(struct payload, comm, WEIR_CHARS, "", "Name"),
	};
	struct weir_metric metrics[] = {
		{ .name = "x_exits_total", .type = WEIR_COUNTER, .unit = "", .help = "Exits", .labels = "how comm" },
		{ .name = "x_life_seconds", .type = WEIR_HISTOGRAM, .unit = "seconds", .help = "Life",
		  .labels = "", .buckets = bounds, .bucket_count = 3 },
	};
	struct weir_program programs[] = {
		{ .name = "on_exit", .variants = "on_exit on_exit_raw", .doc = "Exits", .flags = 1, .kinds = 1 },
		{ .name = "on_fork", .doc = "Forks", .kinds = 3 },
	};

	memcpy(s->options, options, sizeof(options));
	memcpy(s->fields, fields, sizeof(fields));
	memcpy(s->metrics, metrics, sizeof(metrics));
	memcpy(s->programs, programs, sizeof(programs));
	s->args[0] = (struct weir_option)WEIR_OPTION_STRING(struct state, path, "by", "cpu", "Order");
}

static void fill(struct sample *s)
{
	memset(s, 0, sizeof(*s));
	fill_tables(s);
	for (int i = 0; i < 2; i++)
		s->schemas[i] = (struct weir_schema){ .name = i ? "x_fork" : "x_exit", .topic = "process",
			.doc = "One", .version = 1, .size = sizeof(struct payload), .fields = ROWS(s->fields) };
	s->queries[0] = (struct weir_query){ .name = "top", .doc = "Top", .content_type = "text/plain",
		.mount = "/top", .args = ROWS(s->args), .args_size = sizeof(struct state), .answer = answer };
	s->sources[0] = (struct weir_source){ .name = "bpf", .doc = "Kernel", .quality = "",
		.object = object, .object_end = object + sizeof(object), .programs = ROWS(s->programs) };
	s->sources[1] = (struct weir_source){ .name = "procfs", .doc = "Files", .quality = "approx", .tick = tick };
	s->desc = (struct weir_plugin_desc){ .desc_size = sizeof(s->desc), .abi_major = WEIR_ABI_MAJOR,
		.kind = WEIR_COLLECTOR, .state_size = sizeof(struct state), .needs = WEIR_CAP_BPF,
		.name = "sample", .version = "1.2.3-rc1", .doc = "A sample", .topics = "process io",
		.fallback_for = "io", .options = ROWS(s->options), .schemas = ROWS(s->schemas),
		.metrics = ROWS(s->metrics), .queries = ROWS(s->queries), .sources = ROWS(s->sources) };
}

static void output(struct sample *s)
{
	s->desc.kind = WEIR_OUTPUT;
	s->desc.fallback_for = NULL;
	s->desc.topics = "*";
	s->desc.sources.count = s->desc.schemas.count = 0;
	s->desc.deliver = deliver;
}

static const double falling[] = { 1, 1, 10 };

/* name, what the reason must say, the one change to a right descriptor */
#define WRONGS(W) \
	W(name, "name \"Sample\"", s->desc.name = "Sample") \
	W(name_null, "name \"(none)\"", s->desc.name = NULL) \
	W(name_long, "1 to 31", s->desc.name = "a2345678901234567890123456789012") \
	W(name_raw, "a\\x1b[2J", s->desc.name = "a\033[2J") \
	W(version, "version \"1.2\"", s->desc.version = "1.2") \
	W(doc, "doc", s->desc.doc = "") \
	W(kind, "kind is 9", s->desc.kind = 9) \
	W(flags, "flags are 0x4", s->desc.flags = 4) \
	W(state, "state_size is 4294967295", s->desc.state_size = ~0u) \
	W(needs, "capability 63", s->desc.needs = 1ull << 63) \
	W(topics_none, "topics \"(none)\"", s->desc.topics = NULL) \
	W(topics_two, "topics \"process process\"", s->desc.topics = "process process") \
	W(topics_gap, "topics \"process  io\"", s->desc.topics = "process  io") \
	W(topics_star, "topics \"*\"", s->desc.topics = "*") \
	W(fallback, "\"dns\" is not among", s->desc.fallback_for = "io dns") \
	W(opt_name, "option 1 (Proc)", s->options[1].name = "Proc") \
	W(opt_twice, "option 0 has the same name", s->options[1].name = "interval") \
	W(opt_section, "is the section of", s->options[3].name = "proc") \
	W(opt_common, "every plugin has that name already", s->options[2].name = "enabled") \
	W(opt_type, "type is 77", s->options[0].type = 77) \
	W(opt_offset, "lie outside the 40", s->options[3].offset = 32) \
	W(opt_huge, "lie outside", s->options[3].offset = ~0u) \
	W(opt_align, "offset 4 is no multiple of 8", s->options[0].offset = 4) \
	W(opt_overlap, "overlaps that of option 0", s->options[2].offset = 4) \
	W(opt_doc, "doc", s->options[0].doc = NULL) \
	W(opt_choices, "choices \"(none)\"", s->options[2].choices = NULL) \
	W(opt_extra, "choices \"a b\"", s->options[0].choices = "a b") \
	W(opt_bounds, "bounds are 2 to 1", (s->options[0].min = 2, s->options[0].max = 1)) \
	W(opt_nan, "bounds", s->options[0].max = (double)NAN) \
	W(opt_flags, "flags are 0x40", s->options[0].flags = 0x40) \
	W(opt_power, "POWER_OF_TWO", s->options[1].flags = WEIR_OPTION_POWER_OF_TWO) \
	W(opt_default, "default \"soon\"", s->options[0].def = "soon") \
	W(opt_default_enum, "option 2 (mode): default \"slow\"", s->options[2].def = "slow") \
	W(opt_range, "default \"1us\"", s->options[0].def = "1us") \
	W(opt_rows, "4 rows at NULL", s->desc.options.rows = NULL) \
	W(opt_row_size, "rows of 64 bytes", s->desc.options.row_size = 64) \
	W(opt_count, "4000000000 rows", s->desc.options.count = 4000000000u) \
	W(schemas, "17 rows, at most 16", s->desc.schemas.count = 17) \
	W(schema_name, "schema 1 (x exit)", s->schemas[1].name = "x exit") \
	W(schema_twice, "schema 0 has the same name", s->schemas[1].name = "x_exit") \
	W(schema_topic, "topic \"dns\"", s->schemas[0].topic = "dns") \
	W(schema_version, "version is 0", s->schemas[0].version = 0) \
	W(schema_size, "payload of 9000", s->schemas[0].size = 9000) \
	W(schema_empty, "no fields", s->schemas[0].fields.count = 0) \
	W(field_name, "field 1 (How)", s->fields[1].name = "How") \
	W(field_taken, "every record has that name", s->fields[1].name = "time") \
	W(field_twice, "field 0 has the same name", s->fields[1].name = "pid") \
	W(field_type, "type is 99", s->fields[1].type = 99) \
	W(field_size, "size is 4, its type has 8", s->fields[0].type = WEIR_U64) \
	W(field_zero, "size is 0", s->fields[3].size = 0) \
	W(field_outside, "bytes 28 to 44", s->fields[3].offset = 28) \
	W(field_wrap, "lie outside", s->fields[3].offset = 0xfffffff0u) \
	W(field_flags, "flags are 0x1", s->fields[0].flags = 1) \
	W(field_unit, "unit", s->fields[0].unit = "a b") \
	W(field_names, "names \"(none)\"", s->fields[1].names = NULL) \
	W(metric_name, "metric 0 (X_total)", s->metrics[0].name = "X_total") \
	W(metric_total, "ends in _total", s->metrics[0].name = "x_exits") \
	W(metric_gauge, "ends in _total", s->metrics[0].type = WEIR_GAUGE) \
	W(metric_suffix, "_count", s->metrics[1].name = "x_count") \
	W(metric_twice, "metric 0 has the same name", (s->metrics[1] = s->metrics[0])) \
	W(metric_type, "type is 3", s->metrics[0].type = 3) \
	W(metric_help, "help", s->metrics[0].help = NULL) \
	W(metric_le, "labels \"how le\"", s->metrics[0].labels = "how le") \
	W(metric_labels, "labels \"(none)\"", s->metrics[0].labels = NULL) \
	W(metric_buckets, "only a histogram", s->metrics[0].bucket_count = 1) \
	W(metric_none, "0 buckets", s->metrics[1].bucket_count = 0) \
	W(metric_order, "bucket 1 is 1", s->metrics[1].buckets = falling) \
	W(query_name, "query 0 (Top)", s->queries[0].name = "Top") \
	W(query_type, "content_type \"text\"", s->queries[0].content_type = "text") \
	W(query_mount, "mount \"/health\"", s->queries[0].mount = "/health") \
	W(query_up, "mount \"/a/../b\"", s->queries[0].mount = "/a/../b") \
	W(query_flags, "flags are 0x8", s->queries[0].flags = 8) \
	W(query_answer, "no answer()", s->queries[0].answer = NULL) \
	W(query_args, "lie outside the 8", s->queries[0].args_size = 8) \
	W(source_none, "it has 0", s->desc.sources.count = 0) \
	W(source_name, "source 0 (BPF)", s->sources[0].name = "BPF") \
	W(source_twice, "source 0 has the same name", s->sources[1].name = "bpf") \
	W(source_quality, "quality \"good\"", s->sources[1].quality = "good") \
	W(source_nothing, "it could do nothing", s->sources[1].tick = NULL) \
	W(source_interval, "interval_offset is 12", s->sources[1].interval_offset = 12) \
	W(source_far, "interval_offset is 40", s->sources[1].interval_offset = 40) \
	W(source_object, "one is missing", s->sources[0].object_end = NULL) \
	W(source_short, "object of 8 bytes", s->sources[0].object_end = object + 8) \
	W(source_elf, "no ELF", s->sources[0].object = object + 1) \
	W(source_programs, "but no programs", s->sources[0].programs.count = 0) \
	W(source_no_object, "2 programs, but no object", s->sources[1].programs = s->sources[0].programs) \
	W(program_name, "program 0 (on-exit)", s->programs[0].name = "on-exit") \
	W(program_twice, "program 0 has the same name", s->programs[1].name = "on_exit") \
	W(program_variants, "variants \"a,b\"", s->programs[0].variants = "a,b") \
	W(program_flags, "flags are 0x10", s->programs[0].flags = 0x10) \
	W(program_kinds, "kinds are 0x4, but there are 2", s->programs[0].kinds = 4) \
	W(deliver, "a collector is handed no batches", s->desc.deliver = deliver) \
	W(output_nothing, "it has neither", (output(s), s->desc.deliver = NULL, s->desc.queries.count = 0)) \
	W(output_source, "2 sources, only a collector", (output(s), s->desc.sources.count = 2)) \
	W(output_schema, "an output makes no events", (output(s), s->desc.topics = "process", s->desc.schemas.count = 2)) \
	W(output_fallback, "only a collector stands in", (output(s), s->desc.fallback_for = "io")) \
	W(output_flush, "flush() without deliver()", (output(s), s->desc.deliver = NULL, s->desc.flush = flush))

#define W(n, says, code) static void wrong_##n(struct sample *s) { code; }
WRONGS(W)
#undef W

static const struct wrong {
	const char *name, *says;
	void (*change)(struct sample *s);
} wrongs[] = {
#define W(n, says, code) { #n, says, wrong_##n },
	WRONGS(W)
#undef W
};

static int check(struct sample *s, char *why, size_t size)
{
	why[0] = 0;
	return weir__desc_check(&s->desc, why, size);
}

/* A descriptor with nothing wrong passes, as a collector and as an output. */
static void right_one_passes(void **state)
{
	struct sample s;
	char why[512];

	(void)state;
	fill(&s);
	if (check(&s, why, sizeof(why)) != 0)
		fail_msg("%s", why);
	output(&s);
	if (check(&s, why, sizeof(why)) != 0)
		fail_msg("%s", why);
}

/* Each wrong field is refused, and the reason says which and its value. */
static void wrong_ones_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
		struct sample s;
		char why[512];
		int r;

		fill(&s);
		wrongs[i].change(&s);
		r = check(&s, why, sizeof(why));
		if (r != -EINVAL || !strstr(why, wrongs[i].says))
			fail_msg("%s: %d, \"%s\" does not say \"%s\"", wrongs[i].name, r, why, wrongs[i].says);
	}
}

/* A reason is cut at the size of its buffer, and ends in NUL. */
static void reason_is_bounded(void **state)
{
	struct sample s;
	char why[16];

	(void)state;
	fill(&s);
	s.schemas[0].topic = "dns";
	memset(why, 'x', sizeof(why));
	assert_int_equal(weir__desc_check(&s.desc, why, 10), -EINVAL);
	assert_int_equal(strlen(why), 9);
	assert_int_equal(why[10], 'x');
}

/* When an allocation fails the check says so, and leaves nothing behind. */
static void check_survives_without_memory(void **state)
{
	long before = weir__mem_live();
	struct sample s;
	char why[512];
	long n = 0;
	int r;

	(void)state;
	fill(&s);
	do {
		weir__mem_fail_at(n++);
		r = check(&s, why, sizeof(why));
		weir__mem_fail_at(-1);
		assert_true(r == 0 || r == -ENOMEM);
		assert_int_equal(weir__mem_live(), before);
		assert_true(n < 1000);
	} while (r);
	assert_true(n > 3);
}

/* ---- tables of other releases ------------------------------------------------ */

/* Rows as a later release might have them: ours, and 16 bytes more. */
#define LONGER(T) struct { T row; char more[16]; }

/* Longer rows, in nested tables too, are read row by row; the daemon can index
 * the result with its own types. */
static void longer_rows_are_copied(void **state)
{
	LONGER(struct weir_field) fields[4];
	LONGER(struct weir_program) programs[2];
	LONGER(struct weir_option) args[1];
	struct weir__copies copies;
	struct weir_plugin_desc d;
	long before = weir__mem_live();
	struct sample s;
	char why[512];

	(void)state;
	fill(&s);
	for (int i = 0; i < 4; i++)
		fields[i].row = s.fields[i];
	for (int i = 0; i < 2; i++)
		programs[i].row = s.programs[i];
	args[0].row = s.args[0];
	s.schemas[1].fields = (struct weir_table)ROWS(fields);
	s.sources[0].programs = (struct weir_table)ROWS(programs);
	s.queries[0].args = (struct weir_table)ROWS(args);
	assert_int_equal(weir__desc_normalise(&s.desc, &d, &copies, why, sizeof(why)), 0);

	const struct weir_schema *schemas = d.schemas.rows;
	const struct weir_field *f = schemas[1].fields.rows;

	assert_int_equal(schemas[1].fields.row_size, sizeof(*f));
	assert_string_equal(f[3].name, "comm");
	assert_ptr_equal(schemas[0].fields.rows, s.fields);
	assert_string_equal(((const struct weir_program *)((const struct weir_source *)d.sources.rows)[0].programs.rows)[1].name, "on_fork");
	assert_string_equal(((const struct weir_option *)((const struct weir_query *)d.queries.rows)[0].args.rows)[0].name, "by");
	assert_ptr_equal(d.options.rows, s.options);
	assert_int_equal(weir__desc_check(&d, why, sizeof(why)), 0);
	weir__copies_free(&copies);
	assert_int_equal(weir__mem_live(), before);
}

/* A descriptor shorter than ours has zero where it ends. */
static void shorter_descriptor_is_filled(void **state)
{
	struct weir__copies copies;
	struct weir_plugin_desc d;
	struct sample s;
	char why[512];

	(void)state;
	fill(&s);
	s.desc.deliver = deliver;
	s.desc.flush = flush;
	s.desc.desc_size = offsetof(struct weir_plugin_desc, flush);
	memset(&d, 0xff, sizeof(d));
	assert_int_equal(weir__desc_normalise(&s.desc, &d, &copies, why, sizeof(why)), 0);
	assert_ptr_equal(d.deliver, deliver);
	assert_null(d.flush);
	assert_null(d.check);
	weir__copies_free(&copies);
}

/* Rows shorter than in release 1.0, of an odd size, at NULL or without end are
 * refused before any of them is read. */
static void impossible_rows_are_refused(void **state)
{
	static const struct { uint32_t count, row_size; const char *says; } cases[] = {
		{ 4, 71, "rows of 71 bytes, expected 72" },
		{ 4, 64, "rows of 64 bytes" },
		{ 4, 77, "rows of 77 bytes" },
		{ 4, 1 << 20, "rows of 1048576 bytes" },
		{ 257, 72, "257 rows, at most 256" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct weir__copies copies;
		struct weir_plugin_desc d;
		struct sample s;
		char why[512];

		fill(&s);
		s.desc.options.count = cases[i].count;
		s.desc.options.row_size = cases[i].row_size;
		assert_int_equal(weir__desc_normalise(&s.desc, &d, &copies, why, sizeof(why)), -EINVAL);
		if (!strstr(why, cases[i].says))
			fail_msg("\"%s\" does not say \"%s\"", why, cases[i].says);
	}
}

/* Without memory nothing is left of the copies. */
static void copies_survive_without_memory(void **state)
{
	LONGER(struct weir_field) fields[4];
	LONGER(struct weir_option) options[4];
	long before = weir__mem_live(), n = 0;
	struct weir__copies copies;
	struct weir_plugin_desc d;
	struct sample s;
	char why[512];
	int r;

	(void)state;
	fill(&s);
	for (int i = 0; i < 4; i++) {
		fields[i].row = s.fields[i];
		options[i].row = s.options[i];
	}
	s.desc.options = (struct weir_table)ROWS(options);
	s.schemas[0].fields = s.schemas[1].fields = (struct weir_table)ROWS(fields);
	do {
		weir__mem_fail_at(n++);
		r = weir__desc_normalise(&s.desc, &d, &copies, why, sizeof(why));
		weir__mem_fail_at(-1);
		assert_true(r == 0 || r == -ENOMEM);
		if (r)
			assert_int_equal(weir__mem_live(), before);
		assert_true(n < 1000);
	} while (r);
	weir__copies_free(&copies);
	assert_int_equal(weir__mem_live(), before);
	assert_true(n > 4);
}

/* ---- names --------------------------------------------------------------------- */

/* Patterns accept what they should, and nothing beside it. */
static void names_follow_patterns(void **state)
{
	(void)state;
	assert_true(weir__is_plugin_name("procfs-fallback"));
	assert_false(weir__is_plugin_name("../x"));
	assert_false(weir__is_plugin_name(""));
	assert_true(weir__is_semver("1.0.0"));
	assert_true(weir__is_semver("10.20.30-rc.1"));
	assert_false(weir__is_semver("1.0.0.0"));
	assert_false(weir__is_semver("1..0"));
	assert_false(weir__is_semver("1.0.0-"));
	assert_true(weir__is_mount("/metrics"));
	assert_false(weir__is_mount("/"));
	assert_false(weir__is_mount("/a//b"));
	assert_false(weir__is_mount("/a/"));
	assert_true(weir__is_words("a b", weir__is_topic, 2));
	assert_false(weir__is_words("a b c", weir__is_topic, 2));
	assert_false(weir__is_words("a ", weir__is_topic, 2));
	assert_false(weir__is_words(" a", weir__is_topic, 2));
	assert_false(weir__is_words("", weir__is_topic, 2));
	assert_true(weir__has_word("ab cd", "cd", 2));
	assert_false(weir__has_word("abc", "ab", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_one_passes),
		cmocka_unit_test(wrong_ones_are_named),
		cmocka_unit_test(reason_is_bounded),
		cmocka_unit_test(check_survives_without_memory),
		cmocka_unit_test(longer_rows_are_copied),
		cmocka_unit_test(shorter_descriptor_is_filled),
		cmocka_unit_test(impossible_rows_are_refused),
		cmocka_unit_test(copies_survive_without_memory),
		cmocka_unit_test(names_follow_patterns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
