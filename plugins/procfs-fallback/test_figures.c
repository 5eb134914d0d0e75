/* SPDX-License-Identifier: Apache-2.0 */
/* Devices, memory, pressure and cgroups, and what happens when something fails. */
#include "test_procfs.h"
#include <string.h>
#include <sys/stat.h>

#define near(a, b) assert_true(fabs((a) - (b)) < 1e-6)

static const void *payload(struct fake *f, int kind, size_t i)
{
	const struct weir_test_event *e = weir_test_event_of(f->t, (uint16_t)kind, i);

	return e ? e->payload : NULL;
}

static void next(struct fake *f)
{
	weir_test_events_clear(f->t);
	fake_tick(f);
}

/* ---- devices -------------------------------------------------------------------- */

/* Growth per device in bytes and ns; totals since boot; idle ones and partitions
 * have none. */
static void devices(void **state)
{
	const struct weir_procfs_device *d;
	struct fake f;

	(void)state;
	FAKE_START(&f);
	fake_file(&f, "diskstats", "7 0 loop0 0 0 0 0 0 0 0 0 0 0 0\n"
	                           "254 0 vda 10 0 80 5 20 0 160 6 0 9 11\n"
	                           "254 1 vda1 9 0 80 5 20 0 160 6 0 9 11\n");
	next(&f);
	assert_null(payload(&f, PROCFS_IO_DEVICE, 0));
	near(weir_test_metric(f.t, "weir_procfs_device_read_bytes_total", "vda"), 80 * 512);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_device_reads_total", "loop0")));
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_device_reads_total", "vda1")));
	fake_file(&f, "diskstats", "254 0 vda 13 0 100 1005 20 0 160 6 2 19 31\n");
	next(&f);
	d = payload(&f, PROCFS_IO_DEVICE, 0);
	assert_non_null(d);
	assert_string_equal(d->name, "vda");
	assert_int_equal(d->major, 254);
	assert_int_equal(d->reads, 3);
	assert_int_equal(d->read_bytes, 20 * 512);
	assert_int_equal(d->read_ns, 1000 * WEIR_TEST_MS);
	assert_int_equal(d->busy_ns, 10 * WEIR_TEST_MS);
	assert_int_equal(d->writes, 0);
	assert_int_equal(d->in_flight, 2);
	near(weir_test_metric(f.t, "weir_procfs_device_read_seconds_total", "vda"), 1.005);
	fake_end(&f);
}

/* The millisecond figures wrap at 2^32; a device that came back starts from zero;
 * one that went loses its series. */
static void device_wrap_and_reset(void **state)
{
	const struct weir_procfs_device *d;
	struct fake f;

	(void)state;
	FAKE_START(&f, "partitions=true");
	fake_file(&f, "diskstats", "8 0 sda 10 0 80 4294967290 20 0 160 6 0 9 11\n8 1 sda1 1 0 8 0 0 0 0 0 0 0 0\n");
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_device_reads_total", "sda1"), 1);
	fake_file(&f, "diskstats", "8 0 sda 11 0 88 4 20 0 160 6 0 9 11\n");
	next(&f);
	d = payload(&f, PROCFS_IO_DEVICE, 0);
	assert_int_equal(d->read_ns, 10 * WEIR_TEST_MS);
	near(weir_test_metric(f.t, "weir_procfs_device_read_seconds_total", "sda"), 4294967.3);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_device_reads_total", "sda1")));
	fake_file(&f, "diskstats", "8 0 sda 2 0 16 1 0 0 0 0 0 0 0\n");
	next(&f);
	d = payload(&f, PROCFS_IO_DEVICE, 0);
	assert_int_equal(d->reads, 2);
	assert_int_equal(d->read_ns, WEIR_TEST_MS);
	near(weir_test_metric(f.t, "weir_procfs_device_reads_total", "sda"), 13);
	fake_file(&f, "diskstats", "");
	next(&f);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_device_reads_total", "sda")));
	fake_end(&f);
}

/* Devices beyond the bound have no series and are counted. */
static void device_bound(void **state)
{
	char text[8192] = "";
	struct fake f;
	size_t n = 0;

	(void)state;
	FAKE_START(&f);
	for (int i = 0; i < PROCFS_MAX_DEVICES + 5; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "253 %d dm-%d 1 0 8 1 0 0 0 0 0 1 1\n", i, i);
	fake_file(&f, "diskstats", text);
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_devices_untracked"), 5);
	fake_end(&f);
}

/* ---- memory --------------------------------------------------------------------- */

#define VMSTAT(in, scan, steal, file)                                                       \
	"nr_file_pages 79023\npgpgin " in "\npgpgout 0\nallocstall_dma 1\nallocstall_normal 2\n" \
	"pgscan_kswapd " scan "\npgsteal_kswapd " steal "\npgscan_direct 0\npgsteal_direct 0\n"   \
	"pgscan_direct_throttle 5\npgsteal_file " file "\npgmajfault 10\n"

/* vmstat and meminfo: kernel counters as they are, growth in the record, and what
 * this kernel does not have is absent. */
static void memory(void **state)
{
	const struct weir_procfs_memory *m;
	struct fake f;

	(void)state;
	FAKE_START(&f);
	fake_file(&f, "vmstat", VMSTAT("1000", "100", "50", "40"));
	fake_file(&f, "meminfo", "MemTotal:  2048 kB\nMemFree: 1024 kB\nActive(file): 4 kB\nDirty: 8 kB\n");
	next(&f);
	assert_null(payload(&f, PROCFS_MEMORY_SUMMARY, 0)); /* no interval yet */
	near(weir_test_metric(f.t, "weir_procfs_vm_paged_in_bytes_total"), 1000 * 1024);
	near(weir_test_metric(f.t, "weir_procfs_vm_direct_reclaims_total"), 3);
	near(weir_test_metric(f.t, "weir_procfs_memory_bytes", "active_file"), 4096);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_memory_bytes", "available")));
	assert_true(isnan(weir_test_metric(f.t, "ebpf_memory_reclaim_efficiency_percent", "kswapd", "procfs")));
	fake_file(&f, "vmstat", VMSTAT("1500", "300", "150", "140"));
	next(&f);
	m = payload(&f, PROCFS_MEMORY_SUMMARY, 0);
	assert_non_null(m);
	assert_int_equal(m->interval_ns, 10 * WEIR_TEST_SECOND);
	assert_int_equal(m->paged_in_bytes, 500 * 1024);
	assert_int_equal(m->scanned_kswapd_pages, 200);
	assert_int_equal(m->reclaimed_file_pages, 100);
	assert_int_equal(m->dirty, 8192);
	assert_int_equal(m->unknown, MEM_VALUES - 4 + VM_VALUES - 10);
	near(weir_test_metric(f.t, "ebpf_memory_reclaim_efficiency_percent", "kswapd", "procfs"), 50);
	assert_true(isnan(weir_test_metric(f.t, "ebpf_memory_reclaim_efficiency_percent", "direct", "procfs")));
	near(weir_test_metric(f.t, "ebpf_lru_pages_scanned_total", "kswapd", "procfs"), 300);
	near(weir_test_metric(f.t, "ebpf_lru_pages_scanned_total", "direct", "procfs"), 0);
	assert_true(isnan(weir_test_metric(f.t, "ebpf_lru_pages_scanned_total", "memcg", "procfs")));
	near(weir_test_metric(f.t, "ebpf_pages_evicted_from_cache_total", "reclaim", "procfs"), 140);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_vm_oom_kills_total")));
	fake_end(&f);
}

/* A vmstat that goes, or is cut, makes its figures absent, and they come back. */
static void memory_gone(void **state)
{
	const struct weir_procfs_memory *m;
	struct fake f;

	(void)state;
	FAKE_START(&f);
	fake_file(&f, "vmstat", VMSTAT("1000", "1", "1", "1"));
	next(&f);
	fake_error(&f, "vmstat", -EIO);
	next(&f);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_vm_paged_in_bytes_total")));
	fake_file(&f, "vmstat", "nr_file_pages 5\npgpgin 200");
	next(&f);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_vm_paged_in_bytes_total")));
	near(weir_test_metric(f.t, "weir_procfs_vm_pages", "file"), 5);
	fake_file(&f, "vmstat", VMSTAT("2000", "1", "1", "1"));
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_vm_paged_in_bytes_total"), 2000 * 1024);
	m = payload(&f, PROCFS_MEMORY_SUMMARY, 0);
	assert_int_equal(m->paged_in_bytes, 0); /* since when, is not known */
	fake_end(&f);
}

/* Pressure of the machine: seconds as a counter, averages as ratios, growth in ns. */
static void pressure(void **state)
{
	const struct weir_procfs_stall *r;
	struct fake f;

	(void)state;
	FAKE_START(&f);
	fake_file(&f, "pressure/io", "some avg10=50.00 avg60=1.00 avg300=0.54 total=1000000\n"
	                             "full avg10=25.00 avg60=0.00 avg300=0.00 total=500\n");
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_pressure_stalled_seconds_total", "io", "some"), 1);
	near(weir_test_metric(f.t, "weir_procfs_pressure_ratio", "io", "full", "10s"), 0.25);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_pressure_ratio", "cpu", "some", "10s")));
	assert_null(payload(&f, PROCFS_MEMORY_PRESSURE, 0));
	fake_file(&f, "pressure/io", "some avg10=60.00 avg60=1.00 avg300=0.54 total=3000000\n");
	next(&f);
	r = payload(&f, PROCFS_MEMORY_PRESSURE, 0);
	assert_non_null(r);
	assert_int_equal(r->resource, PSI_IO);
	assert_int_equal(r->some_ns, 2 * WEIR_TEST_SECOND);
	assert_int_equal(r->full_ns, 0);
	near(r->some_avg10, 60);
	assert_string_equal(r->cgroup, "");
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_pressure_ratio", "io", "full", "10s")));
	fake_end(&f);
}

/* ---- cgroups -------------------------------------------------------------------- */

/* mountinfo with these hierarchies below <root>/cg, which are made too. */
static void mount(struct fake *f, bool v1, bool v2)
{
	char text[1024];
	size_t n = 0;

	fake_mkdir(f, "cg");
	if (v1) {
		fake_mkdir(f, "cg/memory");
		fake_mkdir(f, "cg/blkio");
		n += (size_t)snprintf(text + n, sizeof text - n,
		                      "35 31 0:32 / %s/cg/memory rw - cgroup cgroup rw,memory\n"
		                      "38 31 0:35 / %s/cg/blkio rw - cgroup cgroup rw,blkio\n", f->root, f->root);
	}
	if (v2) {
		fake_mkdir(f, "cg/unified");
		n += (size_t)snprintf(text + n, sizeof text - n,
		                      "41 31 0:38 / %s/cg/unified rw - cgroup2 cgroup2 rw\n", f->root);
	}
	fake_file(f, "self/mountinfo", n ? text : "");
}

/* v2: memory, its parts, the limit, I/O and pressure, below the root and deeper. */
static void cgroup_v2(void **state)
{
	const struct weir_procfs_cgroup *c;
	const struct weir_procfs_stall *r;
	struct fake f;

	(void)state;
	FAKE_START(&f);
	mount(&f, false, true);
	fake_mkdir(&f, "cg/unified/sys.slice/db.service");
	fake_file(&f, "cg/unified/sys.slice/db.service/memory.current", "8192\n");
	fake_file(&f, "cg/unified/sys.slice/db.service/memory.max", "max\n");
	fake_file(&f, "cg/unified/sys.slice/db.service/memory.stat",
	          "anon 100\nfile 200\nfile_dirty 5\npgscan 10\npgsteal 9\nworkingset_refault_file 3\n");
	fake_file(&f, "cg/unified/sys.slice/db.service/io.stat", "254:0 rbytes=100 wbytes=0 rios=1 wios=0\n");
	fake_file(&f, "cg/unified/sys.slice/db.service/memory.pressure",
	          "some avg10=0.00 avg60=0.00 avg300=0.00 total=100\n");
	next(&f); /* the walk */
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroups", "tracked"), 3);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/sys.slice/db.service", "usage"), 8192);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/sys.slice/db.service", "dirty"), 5);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/sys.slice/db.service", "limit")));
	near(weir_test_metric(f.t, "weir_procfs_cgroup_io_bytes_total", "/sys.slice/db.service", "read"), 100);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_pressure_stalled_seconds_total",
	                      "/sys.slice/db.service", "memory", "some"), 0.0001);
	assert_null(payload(&f, PROCFS_MEMORY_CGROUP, 0));
	fake_file(&f, "cg/unified/sys.slice/db.service/memory.max", "65536\n");
	fake_file(&f, "cg/unified/sys.slice/db.service/io.stat", "254:0 rbytes=612 wbytes=0 rios=2 wios=0\n");
	fake_file(&f, "cg/unified/sys.slice/db.service/memory.pressure",
	          "some avg10=1.00 avg60=0.00 avg300=0.00 total=150\n");
	next(&f);
	c = payload(&f, PROCFS_MEMORY_CGROUP, 0);
	assert_non_null(c);
	assert_string_equal(c->cgroup, "/sys.slice/db.service");
	assert_int_equal(c->memory_version, 2);
	assert_int_equal(c->limit, 65536);
	assert_int_equal(c->read_bytes, 512);
	assert_int_equal(c->refaulted_pages, 0);
	assert_int_equal(c->interval_ns, 10 * WEIR_TEST_SECOND);
	r = payload(&f, PROCFS_MEMORY_PRESSURE, 0);
	assert_non_null(r);
	assert_int_equal(r->some_ns, 50000);
	assert_string_equal(r->cgroup, "/sys.slice/db.service");
	fake_end(&f);
}

/* v1: hierarchical figures; the largest multiple of a page is no limit. */
static void cgroup_v1(void **state)
{
	const struct weir_procfs_cgroup *c;
	struct fake f;

	(void)state;
	FAKE_START(&f);
	mount(&f, true, false);
	fake_mkdir(&f, "cg/memory/box");
	fake_file(&f, "cg/memory/box/memory.usage_in_bytes", "4096\n");
	fake_file(&f, "cg/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
	fake_file(&f, "cg/memory/box/memory.stat", "cache 1\ntotal_cache 20\ntotal_rss 30\ntotal_pgmajfault 4\n");
	fake_file(&f, "cg/blkio/box/blkio.throttle.io_service_bytes_recursive",
	          "254:0 Read 100\n254:0 Write 7\n254:0 Total 107\nTotal 107\n");
	next(&f);
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/box", "file"), 20);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/box", "limit")));
	near(weir_test_metric(f.t, "weir_procfs_cgroup_io_bytes_total", "/box", "write"), 7);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_cgroup_scanned_pages_total", "/box")));
	fake_file(&f, "cg/memory/box/memory.usage_in_bytes", "8192\n");
	next(&f);
	c = payload(&f, PROCFS_MEMORY_CGROUP, 0);
	assert_non_null(c);
	assert_int_equal(c->memory_version, 1);
	assert_int_equal(c->usage, 8192);
	assert_int_equal(c->limit, 0);
	fake_end(&f);
}

/* Hybrid: memory and I/O from v1, pressure from v2, as one cgroup. */
static void cgroup_hybrid(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	mount(&f, true, true);
	fake_mkdir(&f, "cg/memory/box");
	fake_file(&f, "cg/memory/box/memory.usage_in_bytes", "4096\n");
	fake_file(&f, "cg/unified/box/memory.current", "9\n");
	fake_file(&f, "cg/unified/box/io.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\n");
	next(&f);
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/box", "usage"), 4096);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_pressure_stalled_seconds_total", "/box", "io", "some"), 2);
	fake_end(&f);
}

/* What is near the root comes first; what is too many or too deep is not followed. */
static void cgroup_bounds(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f, "max_cgroups=4", "cgroup_depth=2");
	mount(&f, false, true);
	fake_mkdir(&f, "cg/unified/a/b/c/d");
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroups", "tracked"), 3); /* /, a, a/b */
	fake_mkdir(&f, "cg/unified/e");
	fake_mkdir(&f, "cg/unified/f");
	for (int i = 0; i < 6; i++)
		next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroups", "tracked"), 4);
	near(weir_test_metric(f.t, "weir_procfs_cgroups", "untracked"), 1);
	fake_end(&f);
}

/* A cgroup that goes takes its series along at once. */
static void cgroup_gone(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f);
	mount(&f, false, true);
	fake_mkdir(&f, "cg/unified/box");
	fake_file(&f, "cg/unified/box/memory.current", "4096\n");
	next(&f);
	next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/box", "usage"), 4096);
	fake_error(&f, "cg/unified/box/memory.current", -ENODEV);
	next(&f);
	assert_true(isnan(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/box", "usage")));
	fake_rmdir(&f, "cg/unified/box");
	for (int i = 0; i < 6; i++)
		next(&f);
	near(weir_test_metric(f.t, "weir_procfs_cgroups", "tracked"), 1);
	fake_end(&f);
}

/* ---- failures ------------------------------------------------------------------- */

static void populate(struct fake *f)
{
	mount(f, true, true);
	fake_mkdir(f, "cg/memory/box");
	fake_file(f, "cg/memory/box/memory.usage_in_bytes", "4096\n");
	fake_file(f, "diskstats", "8 0 sda 10 0 80 5 20 0 160 6 0 9 11\n");
	fake_file(f, "meminfo", "MemTotal: 1 kB\n");
	fake_mkdir(f, "50");
	fake_file(f, "50/io", "rchar: 1\nwchar: 1\nsyscr: 1\nsyscw: 1\nread_bytes: 1\nwrite_bytes: 1\n"
	                      "cancelled_write_bytes: 1\n");
	fake_file(f, "50/stat", "50 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n");
}

/* Whichever allocation fails, the tick says -ENOMEM, the next one is right again, and
 * nothing is left behind. */
static void no_memory(void **state)
{
	(void)state;
	for (long n = 0;; n++) {
		struct fake f;
		int last = 0;
		long calls;

		FAKE_START(&f);
		populate(&f);
		weir_test_fail(f.t, WEIR_TEST_REALLOC, n);
		weir_test_advance(f.t, 10 * WEIR_TEST_SECOND);
		calls = weir_test_fail(f.t, WEIR_TEST_REALLOC, -1);
		weir_test_tick_errors(f.t, &last);
		assert_int_equal(last, n < calls ? -ENOMEM : 0);
		assert_true(!last || strstr(weir_test_reason(f.t), "no memory"));
		for (int i = 0; i < 3; i++) /* ticks go on */
			weir_test_advance(f.t, 10 * WEIR_TEST_SECOND);
		assert_int_equal(weir_test_tick_errors(f.t, NULL), n < calls ? 1 : 0);
		near(weir_test_metric(f.t, "weir_procfs_processes", "read"), 1);
		near(weir_test_metric(f.t, "weir_procfs_cgroup_memory_bytes", "/box", "usage"), 4096);
		fake_end(&f);
		if (n >= calls)
			break;
	}
}

/* Whichever file cannot be read, or series had, the tick goes on. */
static void no_file(void **state)
{
	static const enum weir_test_service services[] = { WEIR_TEST_READ_FILE, WEIR_TEST_SERIES, WEIR_TEST_EMIT };

	(void)state;
	for (size_t s = 0; s < sizeof services / sizeof services[0]; s++) {
		struct fake f;
		long n = 0, calls;

		FAKE_START(&f);
		populate(&f);
		do {
			weir_test_fail(f.t, services[s], n++);
			fake_tick(&f);
			calls = weir_test_fail(f.t, services[s], -1);
		} while (n <= calls && n < 300);
		fake_tick(&f);
		near(weir_test_metric(f.t, "weir_procfs_processes", "read"), 1);
		fake_end(&f);
	}
}

/* Stop is legal at any time and twice; start after stop starts afresh. */
static void stop_twice(void **state)
{
	struct fake f;

	(void)state;
	FAKE_START(&f, "max_processes=1");
	populate(&f);
	fake_mkdir(&f, "51");
	fake_tick(&f); /* a pass is under way */
	weir_test_stop(f.t);
	assert_int_equal(weir_test_blocks(f.t), 0);
	weir_test_stop(f.t);
	assert_int_equal(weir_test_start(f.t, "procfs"), 0);
	fake_tick(&f);
	fake_tick(&f);
	fake_end(&f);
}

/* The real /proc of this machine: values come out, and no tick fails. */
static void real_proc(void **state)
{
	struct weir_test *t = weir_test_new(&weir_plugin, "max_processes=16384");
	char out[8192];

	(void)state;
	weir_test_real_files(t, true);
	assert_int_equal(weir_test_init(t), 0);
	assert_int_equal(weir_test_start(t, "procfs"), 0);
	for (int i = 0; i < 3; i++)
		weir_test_advance(t, 10 * WEIR_TEST_SECOND);
	assert_int_equal(weir_test_tick_errors(t, NULL), 0);
	assert_true(weir_test_metric(t, "weir_procfs_memory_bytes", "total") > 1e6);
	assert_false(isnan(weir_test_metric(t, "weir_procfs_vm_paged_in_bytes_total")));
	assert_true(weir_test_metric(t, "weir_procfs_passes_total") >= 3);
	assert_non_null(payload(&(struct fake){ .t = t }, PROCFS_MEMORY_SUMMARY, 0));
	assert_int_equal(weir_test_query(t, "summary", out, sizeof out), 0);
	print_message("%s", out);
	assert_int_equal(weir_test_free(t), 0);
}

int figure_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices),       cmocka_unit_test(device_wrap_and_reset),
		cmocka_unit_test(device_bound),  cmocka_unit_test(memory),
		cmocka_unit_test(memory_gone),   cmocka_unit_test(pressure),
		cmocka_unit_test(cgroup_v2),     cmocka_unit_test(cgroup_v1),
		cmocka_unit_test(cgroup_hybrid), cmocka_unit_test(cgroup_bounds),
		cmocka_unit_test(cgroup_gone),   cmocka_unit_test(no_memory),
		cmocka_unit_test(no_file),       cmocka_unit_test(stop_twice),
		cmocka_unit_test(real_proc),
	};

	return cmocka_run_group_tests_name("procfs figures", tests, NULL, NULL);
}
