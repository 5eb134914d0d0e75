/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BPF without a kernel: what prepare() sets is kept, maps are plain memory, an
 * iterator reads what the test has written down. The object is never loaded.
 */
#include "testhost_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Numbers of maps: no real descriptor is ever as large. */
#define FIRST_FD (1 << 24)
#define MAX_MAPS 256

static struct fake_map *maps[MAX_MAPS]; /* of all tests; map_*() know only the number */
static struct weir_test *owners[MAX_MAPS];

/* ---- before load ------------------------------------------------------------------ */

static const struct weir_program *find_program(struct weir_test *t, const char *name)
{
	const struct weir_source *s;
	const struct weir_program *g;

	for (uint32_t i = 0; (s = weir_table_row(&t->desc->sources, i)); i++)
		for (uint32_t j = 0; (g = weir_table_row(&s->programs, j)); j++)
			if (strcmp(g->name, name) == 0)
				return g;
	return NULL;
}

static int test_set_const(struct weir_plugin *p, const char *name, const void *value, size_t size)
{
	struct weir_test *t = weir__test_of(p);

	if (weir__test_must_fail(t, WEIR_TEST_MAP))
		return -EIO;
	weir__named_set(&t->consts, name, value, size);
	return 0;
}

static int test_set_entries(struct weir_plugin *p, const char *map, uint32_t entries)
{
	struct weir_test *t = weir__test_of(p);

	if (weir__test_must_fail(t, WEIR_TEST_MAP))
		return -EIO;
	if (!entries)
		return -EINVAL;
	weir__named_set(&t->entries, map, &entries, sizeof(entries));
	return 0;
}

static int set_switch(struct weir_plugin *p, struct named **list, const char *program, bool on)
{
	struct weir_test *t = weir__test_of(p);

	if (weir__test_must_fail(t, WEIR_TEST_MAP))
		return -EIO;
	if (!find_program(t, program))
		return -ENOENT;
	weir__named_set(list, program, &on, sizeof(on));
	return 0;
}

static int test_enable(struct weir_plugin *p, const char *program, bool on)
{
	return set_switch(p, &weir__test_of(p)->enabled, program, on);
}

const void *weir_test_const(struct weir_test *t, const char *name, size_t *ret_size)
{
	struct named *n = weir__named_find(t->consts, name);

	if (n && ret_size)
		*ret_size = n->len;
	return n ? n->data : NULL;
}

uint32_t weir_test_entries(struct weir_test *t, const char *map)
{
	struct named *n = weir__named_find(t->entries, map);

	return n ? *(uint32_t *)n->data : 0;
}

bool weir_test_enabled(struct weir_test *t, const char *program)
{
	struct named *n = weir__named_find(t->enabled, program);

	if (!find_program(t, program))
		weir__test_die("%s has no program \"%s\"", t->desc->name, program);
	return !n || *(bool *)n->data;
}

static void kernel_key(char *buf, size_t size, const char *type, const char *member)
{
	snprintf(buf, size, "%s%s%s", type, member ? "." : "", member ? member : "");
}

void weir_test_kernel(struct weir_test *t, const char *type, const char *member, bool has)
{
	char key[256];

	kernel_key(key, sizeof(key), type, member);
	weir__named_set(&t->kernel, key, &has, sizeof(has));
}

static bool test_kernel_has(struct weir_plugin *p, const char *type, const char *member)
{
	struct weir_test *t = weir__test_of(p);
	struct named *n;
	char key[256];

	n = weir__named_find(t->kernel, type); /* no type, no member either */
	if (n && !*(bool *)n->data)
		return false;
	kernel_key(key, sizeof(key), type, member);
	n = weir__named_find(t->kernel, key);
	return !n || *(bool *)n->data;
}

/* No kernel's names are the test's. */
static int test_kernel_enum(struct weir_plugin *p, const char *type, int64_t value, char *ret_name, size_t size)
{
	(void)p, (void)type, (void)value;
	if (size)
		*ret_name = 0;
	return -ENOENT;
}

/* ---- maps ------------------------------------------------------------------------------ */

static struct fake_map *find_map(struct weir_test *t, const char *name)
{
	struct fake_map *m = t->maps;

	while (m && strcmp(m->name, name) != 0)
		m = m->next;
	return m;
}

static struct fake_map *new_map(struct weir_test *t, const char *name, size_t key_size, size_t value_size)
{
	struct fake_map *m = weir__test_alloc(sizeof(*m));
	int i;

	if (find_map(t, name))
		weir__test_die("map \"%s\" is there already", name);
	for (i = 0; i < MAX_MAPS && maps[i]; i++)
		;
	if (i == MAX_MAPS)
		weir__test_die("more than %d maps", MAX_MAPS);
	*m = (struct fake_map){ .next = t->maps, .name = weir__test_strdup(name), .fd = FIRST_FD + i,
		.key_size = key_size, .value_size = value_size };
	t->maps = m;
	maps[i] = m;
	owners[i] = t;
	return m;
}

void weir_test_map(struct weir_test *t, const char *name, size_t key_size, size_t value_size)
{
	new_map(t, name, key_size, value_size);
}

void *weir_test_array(struct weir_test *t, const char *name, size_t value_size, uint32_t entries)
{
	struct fake_map *m = new_map(t, name, sizeof(uint32_t), value_size);

	m->entries = entries;
	m->count = m->room = entries;
	m->values = weir__test_alloc(entries * value_size);
	m->keys = weir__test_alloc(entries * sizeof(uint32_t));
	for (uint32_t i = 0; i < entries; i++)
		memcpy(m->keys + i * sizeof(i), &i, sizeof(i));
	return m->values;
}

/* Row of a key, or -1. */
static ssize_t find_key(const struct fake_map *m, const void *key)
{
	for (size_t i = 0; i < m->count; i++)
		if (memcmp(m->keys + i * m->key_size, key, m->key_size) == 0)
			return (ssize_t)i;
	return -1;
}

static void put(struct fake_map *m, const void *key, const void *value)
{
	ssize_t i = find_key(m, key);

	if (i < 0) {
		if (m->count == m->room) {
			m->room = m->room ? 2 * m->room : 16;
			m->keys = realloc(m->keys, m->room * m->key_size);
			m->values = realloc(m->values, m->room * m->value_size);
			if (!m->keys || !m->values)
				weir__test_die("out of memory");
		}
		i = (ssize_t)m->count++;
		memcpy(m->keys + (size_t)i * m->key_size, key, m->key_size);
	}
	memcpy(m->values + (size_t)i * m->value_size, value, m->value_size);
}

static struct fake_map *must_find(struct weir_test *t, const char *name)
{
	struct fake_map *m = find_map(t, name);

	if (!m)
		weir__test_die("no map \"%s\": make it with weir_test_map()", name);
	return m;
}

void weir_test_map_put(struct weir_test *t, const char *name, const void *key, const void *value)
{
	struct fake_map *m = must_find(t, name);

	if (m->entries && find_key(m, key) < 0)
		weir__test_die("map_put: beyond the array \"%s\"", name);
	put(m, key, value);
}

void *weir_test_map_get(struct weir_test *t, const char *name, const void *key)
{
	struct fake_map *m = must_find(t, name);
	ssize_t i = find_key(m, key);

	return i < 0 ? NULL : m->values + (size_t)i * m->value_size;
}

/* The map of a number, or an error: -EBADF, or what the test asked for. */
static int map_of(int fd, struct fake_map **ret)
{
	int i = fd - FIRST_FD;

	if (i < 0 || i >= MAX_MAPS || !maps[i])
		return -EBADF;
	if (weir__test_must_fail(owners[i], WEIR_TEST_MAP))
		return -EIO;
	*ret = maps[i];
	return 0;
}

static int test_map_lookup(int fd, const void *key, void *value)
{
	struct fake_map *m = NULL;
	int r = map_of(fd, &m);
	ssize_t i;

	if (r < 0)
		return r;
	i = find_key(m, key);
	if (i < 0)
		return -ENOENT;
	memcpy(value, m->values + (size_t)i * m->value_size, m->value_size);
	return 0;
}

static int test_map_update(int fd, const void *key, const void *value, uint64_t flags)
{
	struct fake_map *m = NULL;
	int r = map_of(fd, &m);
	bool there;

	if (r < 0)
		return r;
	there = find_key(m, key) >= 0;
	if (m->entries && !there)
		return -E2BIG;
	if (flags == 1 && there) /* BPF_NOEXIST */
		return -EEXIST;
	if (flags == 2 && !there) /* BPF_EXIST */
		return -ENOENT;
	put(m, key, value);
	return 0;
}

static int test_map_delete(int fd, const void *key)
{
	struct fake_map *m = NULL;
	int r = map_of(fd, &m);
	ssize_t i;

	if (r < 0)
		return r;
	if (m->entries)
		return -EINVAL;
	i = find_key(m, key);
	if (i < 0)
		return -ENOENT;
	m->count--;
	memmove(m->keys + (size_t)i * m->key_size, m->keys + ((size_t)i + 1) * m->key_size,
	        (m->count - (size_t)i) * m->key_size);
	memmove(m->values + (size_t)i * m->value_size, m->values + ((size_t)i + 1) * m->value_size,
	        (m->count - (size_t)i) * m->value_size);
	return 0;
}

static int test_map_next(int fd, const void *key, void *next_key)
{
	struct fake_map *m = NULL;
	int r = map_of(fd, &m);
	size_t i;

	if (r < 0)
		return r;
	/* as in the kernel: from a key that is gone it begins anew */
	i = key ? (size_t)(find_key(m, key) + 1) : 0;
	if (i >= m->count)
		return -ENOENT;
	memcpy(next_key, m->keys + i * m->key_size, m->key_size);
	return 0;
}

static int test_map_batch(int fd, void *token, bool first, void *keys, void *values, uint32_t *count)
{
	struct fake_map *m = NULL;
	int r = map_of(fd, &m);
	uint32_t at = 0, n;

	if (r < 0)
		return r;
	if (!first)
		memcpy(&at, token, sizeof(at));
	n = at < m->count ? (uint32_t)m->count - at : 0;
	if (n > *count)
		n = *count;
	if (n) {
		memcpy(keys, m->keys + at * m->key_size, n * m->key_size);
		memcpy(values, m->values + at * m->value_size, n * m->value_size);
	}
	at += n;
	memcpy(token, &at, sizeof(at));
	*count = n;
	return at >= m->count ? -ENOENT : 0;
}

static int test_map_drain(int fd, void *token, bool first, void *keys, void *values, uint32_t *count)
{
	struct fake_map *m = NULL;
	int r = test_map_batch(fd, token, true, keys, values, count);
	uint32_t n = *count;

	(void)first; /* what was read is gone, so each time begins at the start */
	if (r < 0 && r != -ENOENT)
		return r;
	if (map_of(fd, &m) < 0 || m->entries)
		return -EINVAL;
	if (!n) /* an empty map may have no memory at all */
		return r;
	m->count -= n;
	memmove(m->keys, m->keys + n * m->key_size, m->count * m->key_size);
	memmove(m->values, m->values + n * m->value_size, m->count * m->value_size);
	return r;
}

/* ---- after load -------------------------------------------------------------------------- */

static int test_bpf_map(struct weir_plugin *p, const char *map)
{
	struct weir_test *t = weir__test_of(p);
	struct fake_map *m = find_map(t, map);

	if (weir__test_must_fail(t, WEIR_TEST_MAP))
		return -EIO;
	return m ? m->fd : -ENOENT;
}

static const void *test_bpf_mmap(struct weir_plugin *p, const char *map, size_t *ret_value_size,
                                 uint32_t *ret_entries)
{
	struct weir_test *t = weir__test_of(p);
	struct fake_map *m = find_map(t, map);

	if (weir__test_must_fail(t, WEIR_TEST_MAP) || !m || !m->entries)
		return NULL;
	if (ret_value_size)
		*ret_value_size = m->value_size;
	if (ret_entries)
		*ret_entries = m->entries;
	return m->values;
}

/* bpf_attach() decides for MANUAL programs; for others it is on or off. */
static int test_attach(struct weir_plugin *p, const char *program, bool on)
{
	return set_switch(p, &weir__test_of(p)->enabled, program, on);
}

/* Which interfaces is not kept: the switch is. */
static int test_attach_at(struct weir_plugin *p, const char *program, int ifindex, uint32_t flags, bool on)
{
	(void)flags;
	return ifindex > 0 ? set_switch(p, &weir__test_of(p)->enabled, program, on) : -EINVAL;
}

void weir_test_attached(struct weir_test *t, const char *program, const char *variant)
{
	if (!find_program(t, program))
		weir__test_die("%s has no program \"%s\"", t->desc->name, program);
	weir__named_set(&t->attached, program, variant ? variant : "", variant ? strlen(variant) : 0);
}

static const char *test_attached(struct weir_plugin *p, const char *program)
{
	struct weir_test *t = weir__test_of(p);
	const struct weir_program *g = find_program(t, program);
	struct named *n = weir__named_find(t->attached, program);
	struct named *on = weir__named_find(t->enabled, program);

	if (!g)
		return NULL;
	if (n)
		return n->len ? n->data : NULL;
	if (on ? !*(bool *)on->data : !!(g->flags & WEIR_PROGRAM_MANUAL))
		return NULL;
	if (!g->variants)
		return g->name;
	return weir__named_set(&t->variants, program, g->variants, strcspn(g->variants, " "))->data;
}

void weir_test_iter(struct weir_test *t, const char *program, const void *data, size_t len)
{
	weir__named_set(&t->iters, program, data, len);
}

static int test_iter(struct weir_plugin *p, const char *program)
{
	struct weir_test *t = weir__test_of(p);
	struct named *n = weir__named_find(t->iters, program);
	int fd;

	if (weir__test_must_fail(t, WEIR_TEST_MAP))
		return -EIO;
	if (!n)
		return -ENOENT;
	fd = memfd_create("weir-test-iter", MFD_CLOEXEC);
	if (fd < 0 || write(fd, n->data, n->len) != (ssize_t)n->len || lseek(fd, 0, SEEK_SET) < 0)
		weir__test_die("memfd: %s", strerror(errno));
	return fd;
}

void weir_test_cpus(struct weir_test *t, uint32_t cpus)
{
	t->cpus = cpus;
}

static uint32_t test_cpus(struct weir_plugin *p)
{
	return weir__test_of(p)->cpus;
}

static struct bpf_object *test_object(struct weir_plugin *p)
{
	(void)p;
	return NULL;
}

void weir__test_bpf_free(struct weir_test *t)
{
	struct named **lists[] = { &t->consts, &t->entries, &t->enabled, &t->kernel,
	                           &t->attached, &t->variants, &t->iters };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		weir__named_free(lists[i]);
	while (t->maps) {
		struct fake_map *m = t->maps;

		t->maps = m->next;
		maps[m->fd - FIRST_FD] = NULL;
		free(m->name);
		free(m->keys);
		free(m->values);
		free(m);
	}
	free(t->histogram);
}

void weir__test_bpf_slots(struct weir_host *h)
{
	h->bpf_set_const = test_set_const;
	h->bpf_set_entries = test_set_entries;
	h->bpf_enable = test_enable;
	h->kernel_has = test_kernel_has;
	h->kernel_enum = test_kernel_enum;
	h->bpf_map = test_bpf_map;
	h->bpf_attach = test_attach;
	h->bpf_attached = test_attached;
	h->bpf_mmap = test_bpf_mmap;
	h->map_lookup = test_map_lookup;
	h->map_update = test_map_update;
	h->map_delete = test_map_delete;
	h->map_next = test_map_next;
	h->map_batch = test_map_batch;
	h->map_drain = test_map_drain;
	h->bpf_attach_at = test_attach_at;
	h->bpf_iter = test_iter;
	h->cpus = test_cpus;
	h->bpf_object = test_object;
}
