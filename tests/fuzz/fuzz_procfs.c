/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as every file that procfs-fallback reads. The parsers must stay inside
 * their text (sanitizers see it), end every string they give, say they found only
 * what they were asked for, and find no more in a text that was cut than in all of it.
 */
#if __has_include("../../plugins/procfs-fallback/parse.c")
#include "../../plugins/procfs-fallback/parse.c"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static bool ends(const char *s, size_t size)
{
	return memchr(s, '\0', size) != NULL;
}

static void fuzz_keys(const char *text, size_t len)
{
	static const char *const keys[] = { "rchar", "pgpgin", "allocstall*", "MemTotal", NULL, "anon", "*" };
	const unsigned int n = sizeof keys / sizeof keys[0];
	uint64_t all[7], cut[7], found = procfs_parse_keys(text, len, keys, n, all);
	uint64_t found_cut = procfs_parse_keys(text, len / 2, keys, n, cut);

	check(!(found >> n) && !(found & 1u << 4));
	check(!(found_cut & ~found));
	check(!(found_cut & 1u << 2) || cut[2] <= all[2]); /* a sum only grows */
}

static void fuzz_disks(const char *text, size_t len)
{
	struct procfs_text t = procfs_text(text, len);
	struct procfs_disk d;
	char last[sizeof d.name] = "";

	while (procfs_next_disk(&t, &d)) {
		check(t.at <= t.end);
		check(ends(d.name, sizeof d.name));
		check(!procfs_is_partition(d.name, d.name));
		procfs_is_partition(last, d.name);
		memcpy(last, d.name, sizeof last);
	}
}

static void fuzz_stat(const char *text, size_t len)
{
	struct procfs_stat st;
	char out[64];

	if (procfs_parse_stat(text, len, &st))
		return;
	check(ends(st.comm, sizeof st.comm));
	procfs_escape(out, sizeof out, st.comm, sizeof st.comm);
	for (const char *c = out; *c; c++)
		check(*c >= 0x20 && *c < 0x7f);
}

static void fuzz_cgroups(const char *text, size_t len)
{
	uint64_t v[CGIO_KEYS], r, w;
	struct procfs_mounts m;
	struct procfs_pressure p;

	procfs_parse_mounts(text, len, &m);
	check(ends(m.memory, sizeof m.memory) && ends(m.blkio, sizeof m.blkio) &&
	      ends(m.unified, sizeof m.unified));
	check(procfs_parse_io_stat(text, len, v) < 1u << CGIO_KEYS);
	procfs_parse_blkio(text, len, &r, &w);
	if (!procfs_parse_pressure(text, len, &p)) {
		check(p.known && p.known < 1u << STALL_KINDS);
		for (int i = 0; i < STALL_KINDS; i++)
			check(p.kind[i].avg10 >= 0 && p.kind[i].avg10 <= 2e19);
	}
	procfs_parse_value(text, len, &r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* a copy of just this size: one byte too far is seen */
	char *text = malloc(size ? size : 1);

	if (!text)
		return 0;
	memcpy(text, data, size);
	fuzz_keys(text, size);
	fuzz_disks(text, size);
	fuzz_stat(text, size);
	fuzz_cgroups(text, size);
	free(text);
	return 0;
}
#else /* the plugin's folder is not here */
#include <stddef.h>
#include <stdint.h>
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	(void)data, (void)size;
	return 0;
}
#endif
