/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both sides of the ring see the same bytes: the structs of the events header, as
 * the BPF compiler lays them out (BTF), against the schemas that the C compiler
 * made; and the SDK's own structs in the plugin's BPF object.
 *
 * A schema NAME is described by struct weir_NAME or weir_<anything>_NAME. For a
 * kind that a BPF program emits it must be there and agree; a kind that user space
 * makes by itself has only one compiler, and is passed over.
 */
#include "conformance.h"

#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <string.h>

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level, (void)fmt, (void)ap;
	return 0;
}

/* Byte offset of a member, or -1. */
static int member(const struct btf *btf, const struct btf_type *t, const char *name, uint32_t *ret_size)
{
	const struct btf_member *m = btf_members(t);

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		__s64 size;

		if (strcmp(btf__name_by_offset(btf, m[i].name_off), name) != 0)
			continue;
		size = btf__resolve_size(btf, m[i].type);
		*ret_size = size < 0 ? 0 : (uint32_t)size;
		return (int)(btf_member_bit_offset(t, i) / 8);
	}
	return -1;
}

static int check_schema(const struct btf *btf, const struct weir_schema *s, const struct btf_type *t)
{
	const struct weir_field *f;

	if (t->size != s->size)
		return problem("the struct of %s: %u bytes in BPF, %u in the schema", s->name, t->size, s->size);
	for (uint32_t i = 0; (f = weir_table_row(&s->fields, i)); i++) {
		uint32_t size = 0;
		int offset = member(btf, t, f->name, &size);

		if (offset < 0)
			return problem("the struct of %s has no member %s", s->name, f->name);
		if ((uint32_t)offset != f->offset || size != f->size)
			return problem("%s.%s: %u bytes at %d in BPF, %u at %u in the schema", s->name,
			               f->name, size, offset, f->size, f->offset);
	}
	return 0;
}

/* struct weir_NAME, or the only weir_..._NAME. */
static const struct btf_type *find_struct(const struct btf *btf, const char *name)
{
	const struct btf_type *found = NULL;
	size_t len = strlen(name);

	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const char *n = btf__name_by_offset(btf, t->name_off);
		size_t all = n ? strlen(n) : 0;

		if (!btf_is_struct(t) || all < len + 5 || strncmp(n, "weir_", 5) != 0 ||
		    strcmp(n + all - len, name) != 0 || n[all - len - 1] != '_')
			continue;
		if (all == len + 5)
			return t;
		if (found) /* ambiguous: no guess */
			return NULL;
		found = t;
	}
	return found;
}

/* Does a BPF program emit this kind? */
static bool from_kernel(const struct weir_plugin_desc *d, uint32_t kind)
{
	const struct weir_source *s;
	const struct weir_program *p;

	for (uint32_t i = 0; (s = weir_table_row(&d->sources, i)); i++)
		for (uint32_t j = 0; (p = weir_table_row(&s->programs, j)); j++)
			if (p->kinds & (1u << kind))
				return true;
	return false;
}

int layouts_agree(struct subject *s)
{
	const struct weir_schema *schema;
	struct btf *btf;
	int r = 0;

	libbpf_set_print(quiet);
	if (!s->layout) {
		if (s->desc->schemas.count)
			remark("no events header: give EVENTS to weir_add_plugin()");
		return 0;
	}
	btf = btf__parse_elf(s->layout, NULL);
	if (!btf)
		return problem("%s: %s", s->layout, strerror(errno));
	for (uint32_t i = 0; r == 0 && (schema = weir_table_row(&s->desc->schemas, i)); i++) {
		const struct btf_type *t = find_struct(btf, schema->name);

		if (!from_kernel(s->desc, i))
			continue;
		r = t ? check_schema(btf, schema, t)
		      : problem("the events header has no struct weir_%s", schema->name);
	}
	btf__free(btf);
	return r;
}

static int check_object(const struct weir_source *s)
{
	static const struct {
		const char *name;
		size_t size;
		bool required;
	} shared[] = {
		{ "weir_knobs", sizeof(struct weir_knobs), true },
		{ "weir_cpu", sizeof(struct weir_cpu), true },
		{ "weir_kind_counts", sizeof(struct weir_kind_counts), true },
		{ "weir_program_counts", sizeof(struct weir_program_counts), true },
		{ "weir_record", sizeof(struct weir_record), false },
	};
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "conformance");
	struct bpf_object *o = bpf_object__open_mem(s->object,
		(size_t)((const char *)s->object_end - (const char *)s->object), &opts);
	int r = 0;

	if (!o)
		return problem("source %s: libbpf does not open its object: %s", s->name, strerror(errno));
	for (size_t i = 0; r == 0 && i < sizeof(shared) / sizeof(shared[0]); i++) {
		const struct btf *btf = bpf_object__btf(o);
		int id = btf ? btf__find_by_name_kind(btf, shared[i].name, BTF_KIND_STRUCT) : -1;
		const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

		if (!t && shared[i].required)
			r = problem("source %s: its object has no struct %s: include weir_bpf.h", s->name, shared[i].name);
		else if (t && t->size != shared[i].size)
			r = problem("source %s: struct %s has %u bytes in BPF, %zu here", s->name,
			            shared[i].name, t->size, shared[i].size);
	}
	/* every variant is a function of the object */
	for (uint32_t i = 0; r == 0 && i < s->programs.count; i++) {
		const struct weir_program *p = weir_table_row(&s->programs, i);
		const char *at = p->variants ? p->variants : p->name;

		for (size_t n; r == 0 && *at; at += n + (at[n] == ' ')) {
			char name[160];

			n = strcspn(at, " ");
			snprintf(name, sizeof(name), "%.*s", (int)n, at);
			if (!bpf_object__find_program_by_name(o, name))
				r = problem("source %s: its object has no program %s", s->name, name);
		}
	}
	bpf_object__close(o);
	return r;
}

int kernel_structs_agree(struct subject *s)
{
	const struct weir_source *source;
	int r = 0;

	for (uint32_t i = 0; r == 0 && (source = weir_table_row(&s->desc->sources, i)); i++)
		if (source->object)
			r = check_object(source);
	return r;
}
