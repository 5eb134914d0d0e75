/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel has: its BTF, its tracefs, its CPUs, and libbpf's complaints
 * caught as text. The BTF (some 5 MB parsed) is kept only while plugins are being
 * loaded; weir__kernel_btf_release gives it back. Any thread.
 */
#include "bpf_priv.h"
#include "bpf_kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t btf_lock = PTHREAD_MUTEX_INITIALIZER;
static struct btf *kernel_btf;
static __thread struct weir__bpf_said said;

/* The last line of a verifier log says why; the rest says where. */
static void last_line(const char *text, size_t len, char *out, size_t size)
{
	size_t end = len, start;

	for (;;) {
		while (end && (text[end - 1] == '\n' || text[end - 1] == ' '))
			end--;
		start = end;
		while (start && text[start - 1] != '\n')
			start--;
		if (start == 0 || (strncmp(text + start, "processed ", 10) &&
		                   strncmp(text + start, "-- END", 6)))
			break;
		end = start;
	}
	if (end - start >= size)
		end = start + size - 1;
	memcpy(out, text + start, end - start);
	out[end - start] = 0;
}

static int on_print(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	char *line;
	int n;

	if (level != LIBBPF_WARN)
		return 0;
	n = vasprintf(&line, fmt, ap); /* what counts is at the end of a verifier's log, of up to 16 MiB */
	if (n < 0)
		return 0;
	/* It raises that limit whenever bpf(2) is refused, and blames it for the refusal. */
	if (!strstr(line, "bump RLIMIT_MEMLOCK")) {
		sscanf(line, "libbpf: prog '%63[^']'", said.program);
		if (strstr(line, "BEGIN PROG LOAD LOG") || !said.text[0])
			last_line(line, (size_t)n, said.text, sizeof said.text);
	}
	free(line);
	return 0;
}

struct weir__bpf_said *weir__bpf_said(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, weir__bpf_catch);
	return &said;
}

void weir__bpf_catch(void)
{
	libbpf_set_print(on_print);
}

void weir__bpf_say(char *error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, WEIR__ERROR_TEXT, fmt, ap);
	va_end(ap);
}

/* In place of libbpf's. For a type or a weak function that the kernel itself has not, libbpf
 * goes on to the modules; to list them takes CAP_SYS_ADMIN, and its version 1.1 fails without
 * it, where later ones pass over them (load_module_btfs() in its libbpf.c). So: there are none. */
int bpf_btf_get_next_id(__u32 start_id, __u32 *next_id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof attr);
	attr.start_id = start_id;
	if (syscall(SYS_bpf, BPF_BTF_GET_NEXT_ID, &attr, sizeof attr)) {
		if (errno == EPERM)
			errno = ENOENT;
		return -errno;
	}
	*next_id = attr.next_id;
	return 0;
}

/* Lock held. */
static const struct btf *load_btf(void)
{
	weir__bpf_said();
	if (!kernel_btf) {
		kernel_btf = btf__load_vmlinux_btf();
		if (libbpf_get_error(kernel_btf))
			kernel_btf = NULL;
	}
	return kernel_btf;
}

const struct btf *weir__kernel_btf(void)
{
	const struct btf *btf;

	pthread_mutex_lock(&btf_lock);
	btf = load_btf();
	pthread_mutex_unlock(&btf_lock);
	return btf;
}

void weir__kernel_btf_release(void)
{
	pthread_mutex_lock(&btf_lock);
	btf__free(kernel_btf);
	kernel_btf = NULL;
	pthread_mutex_unlock(&btf_lock);
}

static bool struct_has(const struct btf *btf, int id, const char *member)
{
	const struct btf_type *t = btf__type_by_id(btf, (__u32)id);
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++, m++) {
		const char *name = btf__name_by_offset(btf, m->name_off);

		if (name && !strcmp(name, member))
			return true;
	}
	return false;
}

static bool btf_has(const struct btf *btf, const char *type, const char *member)
{
	/* A scan of all types each: what is asked for most comes first. */
	static const __u32 kinds[] = { BTF_KIND_TYPEDEF, BTF_KIND_FUNC, BTF_KIND_STRUCT,
		                       BTF_KIND_UNION, BTF_KIND_ENUM };
	int id;

	if (!btf)
		return false;
	if (member) {
		id = btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT);
		return id > 0 && struct_has(btf, id, member);
	}
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (btf__find_by_name_kind(btf, type, kinds[i]) > 0)
			return true;
	return false;
}

/* Under the lock: a running plugin may ask while the main thread gives the BTF back. */
bool weir__kernel_has(const char *type, const char *member)
{
	bool has;

	pthread_mutex_lock(&btf_lock);
	has = btf_has(load_btf(), type, member);
	pthread_mutex_unlock(&btf_lock);
	return has;
}

static const char *enum_name(const struct btf *btf, const char *type, int64_t value)
{
	int id = btf ? btf__find_by_name_kind(btf, type, BTF_KIND_ENUM) : -1;
	const struct btf_type *t = id > 0 ? btf__type_by_id(btf, (__u32)id) : NULL;
	const struct btf_enum *e = t ? btf_enum(t) : NULL;

	for (int i = 0; e && i < btf_vlen(t); i++, e++)
		if (e->val == value)
			return btf__name_by_offset(btf, e->name_off);
	return NULL;
}

int weir__kernel_enum(const char *type, int64_t value, char *ret_name, size_t size)
{
	const char *name;

	pthread_mutex_lock(&btf_lock);
	name = enum_name(load_btf(), type, value);
	if (name)
		snprintf(ret_name, size, "%s", name);
	pthread_mutex_unlock(&btf_lock);
	return name ? 0 : -ENOENT;
}

uint32_t weir__possible_cpus(void)
{
	int n = libbpf_num_possible_cpus();

	return n > 0 ? (uint32_t)n : 1;
}

/* tracefs where it is mounted, else a private mount that no namespace sees
 * (fsopen, Linux 5.2): nothing on the node changes. */
int weir__tracefs_events(void)
{
	static const char *const places[] = { "/sys/kernel/tracing/events",
		                              "/sys/kernel/debug/tracing/events" };
	int fs, mnt, fd;

	for (size_t i = 0; i < 2; i++) {
		fd = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	fs = fsopen("tracefs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0 ||
	    (mnt = fsmount(fs, FSMOUNT_CLOEXEC, 0)) < 0) {
		fd = -errno;
		close(fs);
		return fd;
	}
	fd = openat(mnt, "events", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		fd = -errno;
	close(mnt);
	close(fs);
	return fd;
}

void weir__ring_plan(uint64_t asked, uint32_t cpus, uint64_t memory_bytes,
                     uint32_t *ret_rings, uint32_t *ret_ring_bytes)
{
	uint64_t total = asked, rings = (cpus + 1) / 2, each = WEIR__RING_MIN;

	/* A ring is charged in full when it is made: at most 1/1024 of memory,
	 * 128 KiB on a machine of 128 MiB. */
	if (memory_bytes && total > memory_bytes / 1024)
		total = memory_bytes / 1024;
	if (total < WEIR__RING_MIN)
		total = WEIR__RING_MIN;
	if (rings > total / WEIR__RING_MIN)
		rings = total / WEIR__RING_MIN;
	if (!rings)
		rings = 1;
	while (each * 2 <= total / rings && each < (1u << 30))
		each *= 2;
	*ret_rings = (uint32_t)rings;
	*ret_ring_bytes = (uint32_t)each;
}
