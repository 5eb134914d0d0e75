/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The object of a source: its settings, its maps, its account. Loading is in
 * bpf_load.c. Failure modes: the object does not parse (a plugin's bug), no right
 * to make maps, memory. All leave a sentence in `error`.
 */
#include "bpf_priv.h"
#include "budget.h"
#include "mem.h"
#include "meter.h"
#include "ring.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

int weir__bpf_new(const struct weir_source *source, uint64_t ring_bytes, struct weir__bpf **ret)
{
	struct weir__bpf *b = weir__zalloc(sizeof *b);

	if (!b)
		return -ENOMEM;
	b->source = source;
	b->ring_bytes = ring_bytes;
	b->tc.fd = -1;
	b->cpus = weir__possible_cpus();
	b->program_count = source->programs.count;
	if (b->program_count > WEIR_MAX_PROGRAMS)
		b->program_count = WEIR_MAX_PROGRAMS;
	for (size_t i = 0; i < b->program_count; i++) {
		b->programs[i].pub.row = weir_table_row(&source->programs, (uint32_t)i);
		b->programs[i].link_perf_fd = -1;
		b->programs[i].perf_fd = b->programs[i].adopted_fd = b->programs[i].link_fd = -1;
	}
	for (size_t i = 0; i < sizeof b->ring_fds / sizeof b->ring_fds[0]; i++)
		b->ring_fds[i] = -1;
	weir__bpf_said();
	*ret = b;
	return 0;
}

void weir__bpf_free(struct weir__bpf *b)
{
	if (!b)
		return;
	weir__bpf_detach(b);
	weir__bpf_close_object(b);
	for (size_t i = 0; i < b->setting_count; i++)
		weir__free(b->settings[i]);
	weir__free(b);
}

const char *weir__bpf_error(const struct weir__bpf *b)
{
	return b->error;
}

/* ---- settings ---------------------------------------------------------------- */

static struct setting *new_setting(struct weir__bpf *b, enum setting_type type, const char *name)
{
	struct setting *s;

	if (b->setting_count == MAX_SETTINGS || b->loaded)
		return NULL;
	s = weir__zalloc(sizeof *s);
	if (!s)
		return NULL;
	s->type = type;
	snprintf(s->name, sizeof s->name, "%s", name);
	b->settings[b->setting_count++] = s;
	return s;
}

int weir__bpf_set_const(struct weir__bpf *b, const char *name, const void *value, size_t size)
{
	struct setting *s;

	if (size > MAX_CONST_SIZE)
		return -E2BIG;
	s = new_setting(b, SET_CONST, name);
	if (!s)
		return -ENOSPC;
	s->size = (uint32_t)size;
	memcpy(s->value, value, size);
	return 0;
}

int weir__bpf_set_entries(struct weir__bpf *b, const char *map, uint32_t entries)
{
	struct setting *s = new_setting(b, SET_ENTRIES, map);

	if (!s)
		return -ENOSPC;
	s->entries = entries;
	return 0;
}

int weir__bpf_set_enabled(struct weir__bpf *b, const char *program, bool on)
{
	struct program_state *s = weir__bpf_find(b, program);

	if (!s)
		return -ENOENT;
	s->pub.off = !on;
	return 0;
}

/* ".rodata.str1.1" is another section. */
static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* Where a constant of the object lives: map memory and offset by its BTF. */
static void *const_address(struct weir__bpf *b, const char *name, size_t size)
{
	const struct btf *btf = bpf_object__btf(b->obj);
	int sec = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_type *t = sec > 0 ? btf__type_by_id(btf, (__u32)sec) : NULL;
	const struct btf_var_secinfo *v = t ? btf_var_secinfos(t) : NULL;
	struct bpf_map *map;
	size_t len = 0;
	char *base = NULL;

	bpf_object__for_each_map(map, b->obj)
		if (bpf_map__is_internal(map) && ends_with(bpf_map__name(map), ".rodata")) {
			/* Not yet frozen: const in this libbpf's prototype only. */
			base = (char *)(uintptr_t)bpf_map__initial_value(map, &len);
		}
	for (int i = 0; base && t && i < btf_vlen(t); i++, v++) {
		const struct btf_type *var = btf__type_by_id(btf, v->type);

		if (strcmp(btf__name_by_offset(btf, var->name_off), name))
			continue;
		if (v->offset + size > len || v->size != size)
			return NULL;
		return base + v->offset;
	}
	return NULL;
}

static int apply_setting(struct weir__bpf *b, const struct setting *s)
{
	struct bpf_map *map;
	void *at;

	if (s->type == SET_ENTRIES) {
		map = bpf_object__find_map_by_name(b->obj, s->name);
		if (!map || bpf_map__set_max_entries(map, s->entries)) {
			weir__bpf_say(b->error, "the BPF object has no map \"%s\"", s->name);
			return -EINVAL;
		}
		return 0;
	}
	at = const_address(b, s->name, s->size);
	if (!at) {
		weir__bpf_say(b->error,
		         "the BPF object has no constant \"%s\" of %u bytes", s->name, s->size);
		return -EINVAL;
	}
	memcpy(at, s->value, s->size);
	return 0;
}

/* Each program finds its slot in the account under weir_slot_<function>. */
static void apply_slots(struct weir__bpf *b)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(prog, b->obj)
		for (uint32_t i = 0; i < b->program_count; i++) {
			const char *v = b->programs[i].pub.row->variants;
			const char *name = bpf_program__name(prog);
			size_t n = strlen(name);
			char slot[96];
			void *at;

			if (!v)
				v = b->programs[i].pub.row->name;
			while (v && (strncmp(v, name, n) || (v[n] && v[n] != ' '))) {
				v = strchr(v, ' ');
				v = v ? v + 1 : NULL;
			}
			if (!v)
				continue;
			snprintf(slot, sizeof slot, "weir_slot_%s", name);
			at = const_address(b, slot, sizeof i);
			if (at)
				memcpy(at, &i, sizeof i);
		}
}

static uint64_t total_memory(void)
{
	struct sysinfo si;

	return sysinfo(&si) ? 0 : (uint64_t)si.totalram * si.mem_unit;
}

int weir__bpf_open_object(struct weir__bpf *b)
{
	size_t size = (size_t)((const char *)b->source->object_end - (const char *)b->source->object);
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "weir");
	struct bpf_map *map;
	int rc;

	memset(weir__bpf_said(), 0, sizeof(struct weir__bpf_said));
	b->obj = bpf_object__open_mem(b->source->object, size, &opts);
	if (!b->obj) {
		rc = -errno;
		weir__bpf_say(b->error, "the BPF object does not open: %s",
		         weir__bpf_said()->text);
		return rc;
	}
	weir__ring_plan(b->ring_bytes, b->cpus, total_memory(), &b->ring_count, &b->ring_size);
	if (b->ring_count > sizeof b->rings / sizeof b->rings[0])
		b->ring_count = sizeof b->rings / sizeof b->rings[0];
	if ((map = bpf_object__find_map_by_name(b->obj, WEIR_MAP_CPU)))
		bpf_map__set_max_entries(map, b->cpus);
	/* The inner map is only a template: the kernel does not compare sizes (and
	 * libbpf 1.1 crashes on setting one, its inner map has no object). */
	if ((map = bpf_object__find_map_by_name(b->obj, WEIR_MAP_RINGS)))
		bpf_map__set_max_entries(map, b->cpus);
	apply_slots(b);
	for (size_t i = 0; i < b->setting_count; i++) {
		rc = apply_setting(b, b->settings[i]);
		if (rc)
			return rc;
	}
	return 0;
}

void weir__bpf_close_object(struct weir__bpf *b)
{
	for (uint32_t i = 0; i < b->ring_count; i++) {
		weir__ring_close(b->rings[i]);
		b->rings[i] = NULL;
		if (b->ring_fds[i] >= 0)
			close(b->ring_fds[i]);
		b->ring_fds[i] = -1;
	}
	for (size_t i = 0; i < b->mmap_count; i++)
		munmap(b->mmaps[i].at, b->mmaps[i].len);
	b->mmap_count = 0;
	b->knobs = NULL;
	b->account = NULL;
	for (size_t i = 0; i < b->program_count; i++) {
		b->programs[i].prog = NULL;
		if (b->programs[i].adopted_fd >= 0)
			close(b->programs[i].adopted_fd);
		b->programs[i].adopted_fd = -1;
	}
	bpf_object__close(b->obj);
	b->obj = NULL;
	b->loaded = false;
}

/* ---- maps -------------------------------------------------------------------- */

int weir__bpf_map_fd(struct weir__bpf *b, const char *name)
{
	struct bpf_map *map = b->obj ? bpf_object__find_map_by_name(b->obj, name) : NULL;

	return map ? bpf_map__fd(map) : -ENOENT;
}

static void *map_map(struct weir__bpf *b, const char *name, int prot, uint32_t *ret_entries,
                     size_t *ret_value)
{
	struct bpf_map *map = bpf_object__find_map_by_name(b->obj, name);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), value, len;
	void *at;

	if (!map || b->mmap_count == MAX_MMAPS)
		return NULL;
	value = (bpf_map__value_size(map) + 7) & ~(size_t)7;
	len = (value * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
	at = mmap(NULL, len, prot, MAP_SHARED, bpf_map__fd(map), 0);
	if (at == MAP_FAILED)
		return NULL;
	b->mmaps[b->mmap_count].at = at;
	b->mmaps[b->mmap_count++].len = len;
	if (ret_entries)
		*ret_entries = bpf_map__max_entries(map);
	if (ret_value)
		*ret_value = value;
	return at;
}

const void *weir__bpf_mmap(struct weir__bpf *b, const char *name, size_t *value_size, uint32_t *entries)
{
	return b->loaded ? map_map(b, name, PROT_READ, entries, value_size) : NULL;
}

static int make_rings(struct weir__bpf *b)
{
	int outer = weir__bpf_map_fd(b, WEIR_MAP_RINGS), rc;

	if (outer < 0)
		return 0; /* counters only: no records */
	for (uint32_t i = 0; i < b->ring_count; i++) {
		b->ring_fds[i] = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "weir_ring", 0, 0,
		                                b->ring_size, NULL);
		if (b->ring_fds[i] < 0)
			return -errno;
		rc = weir__ring_open(b->ring_fds[i], &b->rings[i]);
		if (rc)
			return rc;
	}
	for (uint32_t cpu = 0; cpu < b->cpus; cpu++) {
		/* Neighbours share a ring: CPUs 0 and 1 the first, and so on. */
		uint32_t ring = cpu / 2 % b->ring_count;

		if (bpf_map_update_elem(outer, &cpu, &b->ring_fds[ring], BPF_ANY))
			return -errno;
	}
	return 0;
}

static uint64_t hook_of(const struct program_state *s)
{
	const char *section = s->prog ? bpf_program__section_name(s->prog) : "";

	if (weir__bpf_is_tc(section))
		return WEIR__HOOK_TC;
	if (!strncmp(section, "cgroup_skb", 10))
		return WEIR__HOOK_PACKET;
	return weir__bpf_is_cgroup(section) ? WEIR__HOOK_SOCKET : WEIR__HOOK_TRACE;
}

/* For who reads the account without knowing the programs. Before any program runs. */
static int write_hooks(struct weir__bpf *b)
{
	struct weir_cpu first = { 0 };
	uint32_t zero = 0;

	for (size_t i = 0; i < b->program_count; i++)
		first.program[i].hook = hook_of(&b->programs[i]);
	return weir__map_update(weir__bpf_map_fd(b, WEIR_MAP_CPU), &zero, &first, BPF_ANY);
}

int weir__bpf_map_accounts(struct weir__bpf *b)
{
	b->knobs = map_map(b, WEIR_MAP_KNOBS, PROT_READ | PROT_WRITE, NULL, NULL);
	b->account = map_map(b, WEIR_MAP_CPU, PROT_READ, NULL, NULL);
	if (b->knobs && b->account)
		return 0;
	weir__bpf_say(b->error, "the BPF object does not include weir_bpf.h: "
	              "no maps " WEIR_MAP_KNOBS " and " WEIR_MAP_CPU);
	return -EINVAL;
}

int weir__bpf_setup_maps(struct weir__bpf *b)
{
	int rc = make_rings(b);

	if (rc) {
		weir__bpf_say(b->error,
		         "cannot make %u ring buffers of %u bytes: %s; %s",
		         b->ring_count, b->ring_size, strerror(-rc), rc == -EMFILE
		         ? "raise the limit on open files to 1024" : "set a smaller `ring`");
		return rc;
	}
	rc = weir__bpf_map_accounts(b);
	if (!rc)
		rc = write_hooks(b);
	if (rc)
		return rc;
	*b->knobs = (struct weir_knobs){ .sample_threshold = ~0u, .weight = 1,
		.wake_bytes = b->ring_size / 4, .own_tgid = (uint32_t)getpid(), .cpus = b->cpus };
	return 0;
}

struct bpf_object *weir__bpf_object(struct weir__bpf *b)
{
	return b->obj;
}

volatile struct weir_knobs *weir__bpf_knobs(struct weir__bpf *b)
{
	return b->knobs;
}

size_t weir__bpf_rings(struct weir__bpf *b, struct weir__ring *const **ret)
{
	*ret = b->rings;
	return b->loaded && b->rings[0] ? b->ring_count : 0;
}

int weir__bpf_ring_fd(struct weir__bpf *b, size_t ring)
{
	return b->ring_fds[ring];
}

void weir__bpf_enable(struct weir__bpf *b, bool on)
{
	if (b->knobs)
		__atomic_store_n(&b->knobs->enabled, on, __ATOMIC_RELEASE);
}

void weir__bpf_sample(struct weir__bpf *b, uint32_t weight)
{
	/* One store for both: a program reads both with one load. */
	if (b->knobs)
		__atomic_store_n((uint64_t *)(void *)&b->knobs->sample_threshold,
		                 weir__budget_sampling(weight), __ATOMIC_RELAXED);
}

uint32_t weir__bpf_weight(const struct weir__bpf *b)
{
	return b->knobs ? __atomic_load_n(&b->knobs->weight, __ATOMIC_RELAXED) : 1;
}

void weir__bpf_kinds_off(struct weir__bpf *b, uint32_t kinds)
{
	if (b->knobs)
		__atomic_store_n(&b->knobs->kinds_off, kinds, __ATOMIC_RELAXED);
}

int weir__bpf_meter(struct weir__bpf *b, struct weir__meter **ret)
{
	int cpu = weir__bpf_map_fd(b, WEIR_MAP_CPU), knobs = weir__bpf_map_fd(b, WEIR_MAP_KNOBS);

	return cpu < 0 || knobs < 0 ? -ENOENT : weir__meter_open(cpu, knobs, b->cpus, ret);
}

/* ---- accounts ---------------------------------------------------------------- */

#define READ(x) __atomic_load_n(&(x), __ATOMIC_RELAXED)

void weir__cpus_kind_counts(const struct weir_cpu *account, uint32_t cpus, uint32_t kind,
                            struct weir_kind_counts *ret)
{
	memset(ret, 0, sizeof *ret);
	for (uint32_t cpu = 0; cpu < cpus; cpu++) {
		const struct weir_kind_counts *c = &account[cpu].kind[kind];

		/* Fates before seen: what is counted in between is seen, not lost. */
		ret->filtered += READ(c->filtered);
		ret->sampled += READ(c->sampled);
		ret->rate_limited += READ(c->rate_limited);
		ret->ring_full += READ(c->ring_full);
		ret->too_big += READ(c->too_big);
		ret->map_full += READ(c->map_full);
	}
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	for (uint32_t cpu = 0; cpu < cpus; cpu++)
		ret->seen += READ(account[cpu].kind[kind].seen);
}

void weir__bpf_kind_counts(struct weir__bpf *b, uint32_t kind, struct weir_kind_counts *ret)
{
	weir__cpus_kind_counts(b->account, b->account ? b->cpus : 0, kind, ret);
}

/* Runs the kernel skipped (recursion); needs no statistics switch. */
static uint64_t program_missed(const struct program_state *s)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof info;

	if (weir__bpf_program_fd(s) < 0 || bpf_obj_get_info_by_fd(weir__bpf_program_fd(s), &info, &len))
		return s->pub.missed;
	return info.recursion_misses;
}

size_t weir__bpf_programs(struct weir__bpf *b, struct weir__bpf_program **ret)
{
	const struct weir__meter_cal *cal = b->account ? weir__meter_cal() : NULL;

	for (size_t i = 0; i < b->program_count; i++) {
		struct program_state *s = &b->programs[i];
		struct weir_program_counts c = { 0 };

		if (b->account)
			weir__meter_sum(b->account, b->cpus, i, &c);
		s->pub.runs = c.runs;
		s->pub.missed = program_missed(s);
		s->pub.run_ns = cal ? (uint64_t)weir__meter_run_ns(cal, &c) : 0;
		s->pub.hook_ns = cal ? (uint64_t)weir__meter_hook_ns(cal, &c) : 0;
		s->pub.ns_per_run = c.runs ? (double)s->pub.run_ns / (double)c.runs : 0;
		b->rows[i] = s->pub;
	}
	*ret = b->rows;
	return b->program_count;
}

static uint64_t fd_memlock(int fd)
{
	char path[64], line[256];
	uint64_t bytes = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	fclose(f);
	return bytes;
}

size_t weir__bpf_maps(struct weir__bpf *b, struct weir__bpf_map_info *info, size_t max)
{
	struct bpf_map *map;
	size_t n = 0;

	if (!b->loaded)
		return 0;
	bpf_object__for_each_map(map, b->obj) {
		if (n == max || bpf_map__fd(map) < 0)
			continue;
		snprintf(info[n].name, sizeof info[n].name, "%s", bpf_map__name(map));
		info[n++].bytes = fd_memlock(bpf_map__fd(map));
	}
	if (n < max && b->ring_fds[0] >= 0) {
		snprintf(info[n].name, sizeof info[n].name, "weir_ring");
		info[n].bytes = 0;
		for (uint32_t i = 0; i < b->ring_count; i++)
			info[n].bytes += fd_memlock(b->ring_fds[i]);
		n++;
	}
	return n;
}
