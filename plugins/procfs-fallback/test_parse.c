/* SPDX-License-Identifier: Apache-2.0 */
/* The parsers: what kernels write, what is missing, what was cut, what is hostile. */
#include "test_procfs.h"
#include <string.h>

static struct procfs_text text(const char *s)
{
	return procfs_text(s, strlen(s));
}

/* A number is all of its word and fits 64 bits, or it is none. */
static void numbers(void **state)
{
	static const char *const bad[] = { "", "-1", "+1", "1x", "18446744073709551616", "0x10", " 1" };
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(procfs_u64(text(bad[i]), &v));
	assert_int_equal(v, 7);
	assert_true(procfs_u64(text("18446744073709551615"), &v));
	assert_true(v == UINT64_MAX);
}

/* Keys are found in any order, kB become bytes, a key that ends in '*' takes a sum. */
static void keys(void **state)
{
	static const char *const names[] = { "a", "MemTotal", "stall*", "absent", NULL };
	static const char in[] = "stall_dma 1\nab 9\na: 5\nMemTotal:   2048 kB\nstall 2\nstall_normal 4\nx\n\n: 3\n";
	uint64_t v[5];

	(void)state;
	assert_int_equal(procfs_parse_keys(in, strlen(in), names, 5, v), 7);
	assert_int_equal(v[0], 5);
	assert_int_equal(v[1], 2048 * 1024);
	assert_int_equal(v[2], 7);
}

/* A line that was cut is missing, not half a number. */
static void cut_line(void **state)
{
	static const char *const names[] = { "pgpgin", "pgpgout" };
	static const char in[] = "pgpgin 12345\npgpgout 67890\n";
	uint64_t v[2];

	(void)state;
	assert_int_equal(procfs_parse_keys(in, strlen(in), names, 2, v), 3);
	for (size_t len = 0; len < strlen(in); len++) {
		uint64_t found = procfs_parse_keys(in, len, names, 2, v);

		assert_int_equal(found, len > 12 ? 1 : 0);
		assert_true(!found || v[0] == 12345);
	}
}

#define STAT_REST " S 42 17 17 0 -1 4194560 100 200 7 300 1 2 3 4 20 0 1 0 98765 1000 10 18446744073709551615 " \
	"0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"

/* The name of a process may hold parentheses, blanks and control bytes. */
static void stat_names(void **state)
{
	static const struct {
		const char *in, *comm;
	} rows[] = {
		{ "17 (bash)" STAT_REST, "bash" },
		{ "17 (a) S 1 (b)" STAT_REST, "a) S 1 (b" },
		{ "17 ())" STAT_REST, ")" },
		{ "17 ()" STAT_REST, "" },
		{ "17 (x\033[2J\\n\\\\y)" STAT_REST, "x\033[2J\n\\y" },
		{ "17 (tab\tand blank)" STAT_REST, "tab\tand blank" },
		{ "17 (\xff\xfe)" STAT_REST, "\xff\xfe" },
		{ "17 (kworker/u8:2-events_unbound)" STAT_REST, "kworker/u8:2-ev" },
	};
	struct procfs_stat st;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memset(&st, 0xff, sizeof st);
		assert_int_equal(procfs_parse_stat(rows[i].in, strlen(rows[i].in), &st), 0);
		assert_string_equal(st.comm, rows[i].comm);
		assert_int_equal(st.ppid, 42);
		assert_int_equal(st.major_faults, 7);
		assert_int_equal(st.start, 98765);
	}
}

/* A stat file that was cut anywhere, or makes no sense, is refused. */
static void stat_bad(void **state)
{
	static const char whole[] = "17 (a) (b)" STAT_REST;
	static const char *const bad[] = { "", "\n", "17 bash S 1\n", ")(\n", "17 (a) S\n", "17 (a) S x 1 2\n" };
	struct procfs_stat st;

	(void)state;
	for (size_t len = 0; len < strlen(whole); len++)
		assert_int_equal(procfs_parse_stat(whole, len, &st), -EBADMSG);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(procfs_parse_stat(bad[i], strlen(bad[i]), &st), -EBADMSG);
}

/* Disk lines of 4.18 (14), 5.5 (18) and 6.x (20) fields are read, others passed over. */
static void disks(void **state)
{
	static const char in[] =
		"   8       0 sda 10 1 80 5 20 2 160 6 0 9 11\n"
		"   8       1 sda1 1 2 3 4 5 6 7 8 9 10 11 0 0 0 0\n"
		"garbage\n"
		"   8       2 sda2 1 2 3\n"
		"   8       3 a-name-of-more-than-thirty-one-bytes 1 2 3 4 5 6 7 8 9 10 11\n"
		" 259       0 nvme0n1 53851 8717 4091498 13555 17287 7499 1796232 4910 3 9208 19029 5595 81 433512 449 2151 114\n"
		" 259       1 nvme0n1p1 1 1 1 1 1 1 1 1 1 1 1";
	struct procfs_text t = text(in);
	struct procfs_disk d;

	(void)state;
	assert_true(procfs_next_disk(&t, &d));
	assert_string_equal(d.name, "sda");
	assert_int_equal(d.reads, 10);
	assert_int_equal(d.read_sectors, 80);
	assert_int_equal(d.read_ms, 5);
	assert_int_equal(d.writes, 20);
	assert_int_equal(d.write_sectors, 160);
	assert_int_equal(d.write_ms, 6);
	assert_int_equal(d.busy_ms, 9);
	assert_int_equal(d.queue_ms, 11);
	assert_true(procfs_next_disk(&t, &d));
	assert_string_equal(d.name, "sda1");
	assert_true(procfs_next_disk(&t, &d));
	assert_string_equal(d.name, "nvme0n1");
	assert_int_equal(d.in_flight, 3);
	assert_false(procfs_next_disk(&t, &d));
}

/* A partition is named after its disk as the kernel does it. */
static void partitions(void **state)
{
	(void)state;
	assert_true(procfs_is_partition("sda", "sda1"));
	assert_true(procfs_is_partition("nvme0n1", "nvme0n1p12"));
	assert_true(procfs_is_partition("loop1", "loop1p1"));
	assert_false(procfs_is_partition("loop1", "loop10"));
	assert_false(procfs_is_partition("sda", "sda"));
	assert_false(procfs_is_partition("sda", "sdaa"));
	assert_false(procfs_is_partition("sda", "sdb1"));
	assert_false(procfs_is_partition("loop1", "loop1p"));
	assert_false(procfs_is_partition("", "1"));
}

/* Pressure with both kinds, with one, and in other shapes. */
static void pressure(void **state)
{
	static const char both[] = "some avg10=3.82 avg60=1.83 avg300=0.54 total=9020348\n"
	                           "full avg10=100.00 avg60=0.00 avg300=0.01 total=7\n";
	static const char *const bad[] = {
		"", "some avg10=3.82 avg60=1.83 avg300=0.54 total=9020348", "some\n",
		"some avg10= avg60=1.83 avg300=0.54 total=1\n", "some avg10=1. avg60=1 avg300=1 total=1\n",
		"some avg10=-1.00 avg60=1.83 avg300=0.54 total=1\n", "most avg10=1 avg60=1 avg300=1 total=1\n",
		"some avg10=1.00 avg60=1.83 total=1\n", "some avg10=1 avg60=1 avg300=1 total=\n",
	};
	struct procfs_pressure p;

	(void)state;
	assert_int_equal(procfs_parse_pressure(both, strlen(both), &p), 0);
	assert_int_equal(p.known, 3);
	assert_true(fabs(p.kind[STALL_SOME].avg10 - 3.82) < 1e-9);
	assert_true(fabs(p.kind[STALL_FULL].avg10 - 100) < 1e-9);
	assert_true(fabs(p.kind[STALL_FULL].avg300 - 0.01) < 1e-9);
	assert_int_equal(p.kind[STALL_SOME].total_us, 9020348);
	assert_int_equal(procfs_parse_pressure(both, strlen(both) - 1, &p), 0);
	assert_int_equal(p.known, 1);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(procfs_parse_pressure(bad[i], strlen(bad[i]), &p), -EBADMSG);
}

/* Mounts of v1, v2 and hybrid; blanks in a path; a path that is too long is none. */
static void mounts(void **state)
{
	static const char hybrid[] =
		"23 1 0:5 / / rw shared:1 - ext4 /dev/vda rw\n"
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
		"38 31 0:35 / /sys/fs/cgroup/io\\040here rw shared:9 master:2 - cgroup cgroup rw,blkio,cpu\n"
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
		"42 31 0:38 / /second rw,relatime - cgroup2 cgroup2 rw\n"
		"43 31 0:38 / /cut rw - cgro";
	char line[512], in[400];
	struct procfs_mounts m;

	(void)state;
	procfs_parse_mounts(hybrid, strlen(hybrid), &m);
	assert_string_equal(m.memory, "/sys/fs/cgroup/memory");
	assert_string_equal(m.blkio, "/sys/fs/cgroup/io here");
	assert_string_equal(m.unified, "/sys/fs/cgroup/unified");
	memset(in, 'x', sizeof in);
	in[0] = '/';
	in[300] = '\0';
	snprintf(line, sizeof line, "1 2 0:1 / %s rw - cgroup2 cgroup2 rw\nno mount\n1 2 3 4 5 6\n", in);
	procfs_parse_mounts(line, strlen(line), &m);
	assert_string_equal(m.unified, "");
}

/* I/O of a cgroup is summed over devices; no I/O is 0, no file is unknown. */
static void cgroup_io(void **state)
{
	static const char v2[] = "254:0 rbytes=100 wbytes=200 rios=1 wios=2 dbytes=0 dios=0\n"
	                         "8:0 rbytes=11 wbytes=22 rios=3 wios=4 dbytes=9 dios=9\n8:16\n";
	static const char v1[] = "254:0 Read 100\n254:0 Write 200\n254:0 Sync 300\n254:0 Total 300\n"
	                         "8:0 Read 1\n8:0 Write 2\nTotal 303\n";
	uint64_t v[CGIO_KEYS], r = 5, w = 5;

	(void)state;
	assert_int_equal(procfs_parse_io_stat(v2, strlen(v2), v), 15);
	assert_int_equal(v[CGIO_READ_BYTES], 111);
	assert_int_equal(v[CGIO_WRITE_BYTES], 222);
	assert_int_equal(v[CGIO_READS], 4);
	assert_int_equal(v[CGIO_WRITES], 6);
	assert_int_equal(procfs_parse_io_stat("", 0, v), 15);
	assert_int_equal(v[CGIO_READS], 0);
	assert_true(procfs_parse_blkio(v1, strlen(v1), &r, &w));
	assert_int_equal(r, 101);
	assert_int_equal(w, 202);
	assert_false(procfs_parse_blkio(v1, strlen(v1) - 1, &r, &w)); /* cut: no total */
	assert_int_equal(r, 101);
	assert_true(procfs_parse_blkio("Total 0\n", 8, &r, &w));
	assert_int_equal(r, 0);
}

/* A single value: a number, or "max". */
static void values(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(procfs_parse_value("4096\n", 5, &v), 0);
	assert_int_equal(v, 4096);
	assert_int_equal(procfs_parse_value("max\n", 4, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(procfs_parse_value("40", 2, &v), -EBADMSG);
	assert_int_equal(procfs_parse_value("\n", 1, &v), -EBADMSG);
	assert_int_equal(procfs_parse_value("maximum\n", 8, &v), -EBADMSG);
}

/* Nothing but printable ASCII gets through, and the end is always a NUL. */
static void escapes(void **state)
{
	char out[16];

	(void)state;
	procfs_escape(out, sizeof out, "a\033\\\n", 16);
	assert_string_equal(out, "a\\x1b\\x5c\\x0a");
	procfs_escape(out, sizeof out, "\xff\xff\xff\xff\xff", 16);
	assert_string_equal(out, "\\xff\\xff\\xff");
	procfs_escape(out, 3, "abcdef", 6);
	assert_string_equal(out, "ab");
	procfs_escape(out, sizeof out, "abcdef", 2);
	assert_string_equal(out, "ab");
}

int parse_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),    cmocka_unit_test(keys),      cmocka_unit_test(cut_line),
		cmocka_unit_test(stat_names), cmocka_unit_test(stat_bad),  cmocka_unit_test(disks),
		cmocka_unit_test(partitions), cmocka_unit_test(pressure),  cmocka_unit_test(mounts),
		cmocka_unit_test(cgroup_io),  cmocka_unit_test(values),    cmocka_unit_test(escapes),
	};

	return cmocka_run_group_tests_name("procfs parsers", tests, NULL, NULL);
}
