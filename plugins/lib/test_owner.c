/* SPDX-License-Identifier: Apache-2.0 */
/* Owners: paths as the runtimes make them, files of procfs, and real cgroups of this kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "owner.h"

#define ID "3f4b9f2c1d5e6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d"
#define ID2 "aaaabbbbccccddddeeeeffff0000111122223333444455556666777788889999"
#define UID "2d0e9f6a-1c2b-4d3e-8f4a-5b6c7d8e9f01"
#define UID_ "2d0e9f6a_1c2b_4d3e_8f4a_5b6c7d8e9f01"

static const struct {
	const char *path, *container, *unit, *pod;
} paths[] = {
	/* docker: systemd driver, cgroupfs driver */
	{ "/system.slice/docker-" ID ".scope", ID, "", "" },
	{ "/docker/" ID, ID, "", "" },
	/* Kubernetes, systemd driver: containerd, CRI-O (crun puts processes one below), dockershim */
	{ "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_ ".slice/cri-containerd-" ID ".scope",
	  ID, "", UID },
	{ "/kubepods.slice/kubepods-pod" UID_ ".slice/crio-" ID ".scope/container", ID, "", UID },
	{ "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" UID_ ".slice/docker-" ID ".scope",
	  ID, "", UID },
	{ "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
	  "kubelet-kubepods-besteffort-pod" UID_ ".slice/cri-containerd-" ID ".scope", ID, "", UID },
	/* ... cgroupfs driver; the pod's own cgroup; a static pod; a container of systemd's in it */
	{ "/kubepods/burstable/pod" UID "/" ID, ID, "", UID },
	{ "/kubepods/pod" UID, "", "", UID },
	{ "/kubepods/pod0123456789abcdef0123456789abcdef/" ID, ID, "", "0123456789abcdef0123456789abcdef" },
	{ "/kubepods/burstable/pod" UID "/" ID "/system.slice/nginx.service", ID, "nginx.service", UID },
	/* ... the two drivers mixed up, as many nodes have it */
	{ "/system.slice/containerd.service/kubepods-burstable-pod" UID_ ".slice:cri-containerd:" ID,
	  ID, "containerd.service", UID },
	/* kind: a node in a container; the innermost one counts */
	{ "/docker/" ID2 "/kubelet/kubepods/besteffort/pod" UID "/" ID, ID, "", UID },
	/* podman: of root, of a user, and its watcher, which is not the container */
	{ "/machine.slice/libpod-" ID ".scope/container", ID, "", "" },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", ID, "user@1000.service", "" },
	{ "/machine.slice/libpod-conmon-" ID ".scope", "", "libpod-conmon-3f4b9f2c1d5e6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e", "" },
	/* nerdctl, plain containerd, a cgroup namespace seen from a sibling, Fargate */
	{ "/system.slice/nerdctl-" ID ".scope", ID, "", "" },
	{ "/default/" ID, ID, "", "" },
	{ "/../../pod" UID "/" ID, ID, "", "" },
	/* systemd alone: innermost unit; an escaped name; slices are none */
	{ "/system.slice/ssh.service", "", "ssh.service", "" },
	{ "/system.slice/system-getty.slice/getty@tty1.service", "", "getty@tty1.service", "" },
	{ "/user.slice/user-1000.slice/session-3.scope", "", "session-3.scope", "" },
	{ "/user.slice/user-0.slice/user@0.service/app.slice/a\\x2db.scope", "", "a\\x2db.scope", "" },
	{ "/system.slice/_cpu.service", "", "cpu.service", "" },
	{ "/system.slice/gone.service (deleted)", "", "gone.service", "" },
	{ "/user.slice", "", "", "" },
	{ "/", "", "", "" },
	{ "", "", "", "" },
	/* hostile: control bytes, a digit too many or too few, capitals, an id after no separator */
	{ "/system.slice/\033[31m.service", "", "", "" },
	{ "/system.slice/\xff\xfe.scope", "", "", "" },
	{ "/.service/.scope", "", "", "" },
	{ "/docker/0" ID, "", "", "" },
	{ "/docker/AAAA" "bbbbccccddddeeeeffff0000111122223333444455556666777788889999", "", "", "" },
	{ "/kubepods/pod2d0e9f6a-1c2b-4d3e-8f4a+5b6c7d8e9f01", "", "", "" },
	{ "/kubepods/pod", "", "", "" },
	{ "/kubepods-pod.slice", "", "", "" },
	{ "/other/pod" UID, "", "", "" },
};

/* Each path gives exactly the names that its runtime meant. */
static void path_names(void **state)
{
	struct owner_cgroup g;

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
		owner_parse_path(paths[i].path, &g);
		assert_string_equal(g.container, paths[i].container);
		assert_string_equal(g.unit, paths[i].unit);
		assert_string_equal(g.pod, paths[i].pod);
	}
}

/* A path longer than is kept loses its end, not its names. */
static void long_path(void **state)
{
	char path[2000];
	struct owner_cgroup g;

	(void)state;
	memset(path, 'x', sizeof path);
	path[0] = '/';
	strcpy(path + 1000, "/docker-" ID ".scope");
	owner_parse_path(path, &g);
	assert_string_equal(g.container, ID);
	assert_int_equal(strlen(g.path), sizeof g.path - 1);
}

/* Of the lines that one process has, the one that says most. */
static void lines(void **state)
{
	static const struct {
		const char *text, *path;
		bool found, v2;
	} in[] = {
		{ "0::/system.slice/ssh.service\n", "/system.slice/ssh.service", true, true },
		{ "12:memory:/docker/" ID "\n1:name=systemd:/\n0::/\n", "/docker/" ID, true, false },
		{ "2:cpu,cpuacct:/docker/" ID "\n0::/docker/" ID "\n", "/docker/" ID, true, true },
		{ "3:name=systemd:/a:b/c\n0::/\n", "/a:b/c", true, false },
		{ "0::/\n", "/", true, true },
		{ "0::/cut", "", false, false },
		{ "::\n", "", true, false },
		{ "no colons\n\n", "", false, false },
		{ "", "", false, false },
	};
	struct owner_cgroup g;

	(void)state;
	for (size_t i = 0; i < sizeof in / sizeof in[0]; i++) {
		bool v2 = false;

		memset(&g, 0, sizeof g);
		assert_int_equal(owner_parse_lines(in[i].text, strlen(in[i].text), &g, &v2), in[i].found);
		assert_string_equal(g.path, in[i].path);
		assert_int_equal(v2, in[i].v2);
	}
}

/* The mount of cgroup v2 is found among others, its name unescaped. */
static void mounts(void **state)
{
	static const char in[] =
		"24 1 0:22 / /proc rw - proc proc rw\n"
		"30 25 0:26 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
		"31 25 0:27 / /sys/fs/my\\040cgroup rw,nosuid shared:10 - cgroup2 cgroup2 rw\n";
	char path[64], small[8];

	(void)state;
	assert_true(owner_parse_mounts(in, strlen(in), path, sizeof path));
	assert_string_equal(path, "/sys/fs/my cgroup");
	assert_false(owner_parse_mounts(in, strlen(in), small, sizeof small));
	for (size_t len = 0; len < strlen(in); len++)
		assert_false(owner_parse_mounts(in, len, path, sizeof path));
}

/* ---- with files ------------------------------------------------------------------ */

struct heap {
	long blocks, fail_at;
};

static void *heap_realloc(void *arg, void *ptr, size_t size)
{
	struct heap *h = arg;

	if (!size) {
		h->blocks -= ptr != NULL;
		free(ptr);
		return NULL;
	}
	if (!h->fail_at--)
		return NULL;
	h->blocks += ptr == NULL;
	return realloc(ptr, size);
}

static void put(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static uint64_t make_dir(const char *dir, const char *name)
{
	char path[256];
	struct stat st;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void drop_tree(const char *dir)
{
	char cmd[128];

	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	assert_int_equal(system(cmd), 0);
}

/* A directory that is no cgroupfs has no handles of that kind: the process's own cgroup if
 * the inode is right, else the walk; and every failed allocation is only "not found". */
static void without_handles(void **state)
{
	char dir[] = "/tmp/test-owner-XXXXXX";
	struct heap h = { 0, -1 };
	struct pkt_memory m = { heap_realloc, &h };
	const struct owner_cgroup *g;
	struct owner_cache *c;
	uint64_t ssh, deep;

	(void)state;
	assert_non_null(mkdtemp(dir));
	make_dir(dir, "cg");
	make_dir(dir, "proc");
	make_dir(dir, "proc/42");
	ssh = make_dir(dir, "cg/ssh.service");
	make_dir(dir, "cg/docker");
	deep = make_dir(dir, "cg/docker/" ID);
	put(dir, "proc/42/cgroup", "0::/ssh.service\n");
	char proc[64], cg[64];
	snprintf(proc, sizeof proc, "%s/proc", dir);
	snprintf(cg, sizeof cg, "%s/cg", dir);
	for (long n = 0; n < 3; n++) {
		h.fail_at = n;
		if (owner_cache_new(&m, &c)) {
			assert_int_equal(n, 0);
			continue;
		}
		assert_int_equal(owner_cache_paths(c, proc, cg), 0);
		g = owner_cgroup(c, ssh, 42);
		assert_true(g || n == 1);
		if (g)
			assert_string_equal(g->unit, "ssh.service");
		g = owner_cgroup(c, deep, 42); /* not that process's, whatever it says */
		assert_non_null(g);
		assert_string_equal(g->container, ID);
		assert_null(owner_cgroup(c, deep + 100000, 42)); /* nor is this one's */
		g = owner_cgroup(c, 0, 42);
		assert_non_null(g);
		assert_null(owner_cgroup(c, 0, 43));
		assert_null(owner_cgroup(c, 0, 0));
		owner_cache_free(c);
		assert_int_equal(h.blocks, 0);
	}
	owner_cache_free(NULL);
	drop_tree(dir);
}

/* A hybrid host: cgroup v2 knows nothing, and many processes share one id of it. */
static void hybrid(void **state)
{
	char dir[] = "/tmp/test-owner-XXXXXX", proc[64], cg[64];
	struct heap h = { 0, -1 };
	struct pkt_memory m = { heap_realloc, &h };
	struct owner_cache *c;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	make_dir(dir, "cg");
	make_dir(dir, "proc");
	make_dir(dir, "proc/1");
	make_dir(dir, "proc/2");
	put(dir, "proc/1/cgroup", "4:memory:/docker/" ID "\n0::/\n");
	put(dir, "proc/2/cgroup", "4:memory:/docker/" ID2 "\n0::/\n");
	snprintf(proc, sizeof proc, "%s/proc", dir);
	snprintf(cg, sizeof cg, "%s/cg", dir);
	assert_int_equal(stat(cg, &st), 0);
	assert_int_equal(owner_cache_new(&m, &c), 0);
	assert_int_equal(owner_cache_paths(c, proc, cg), 0);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(owner_cgroup(c, st.st_ino, 1)->container, ID);
		assert_string_equal(owner_cgroup(c, st.st_ino, 2)->container, ID2);
	}
	owner_cache_free(c);
	drop_tree(dir);
}

/* More ids than places: the longest unused goes, none is mixed up with another. */
static void bounded(void **state)
{
	char dir[] = "/tmp/test-owner-XXXXXX", proc[64];
	struct heap h = { 0, -1 };
	struct pkt_memory m = { heap_realloc, &h };
	struct owner_cache *c;
	uint64_t ids[1500];
	char name[64];

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(proc, sizeof proc, "%s/proc", dir);
	make_dir(dir, "proc");
	make_dir(dir, "proc/7");
	assert_int_equal(owner_cache_new(&m, &c), 0);
	assert_int_equal(owner_cache_paths(c, proc, dir), 0);
	for (int i = 0; i < 1500; i++) {
		const struct owner_cgroup *g;
		char line[80];

		snprintf(name, sizeof name, "u%d.service", i);
		ids[i] = make_dir(dir, name);
		snprintf(line, sizeof line, "0::/%s\n", name);
		put(dir, "proc/7/cgroup", line);
		g = owner_cgroup(c, ids[i], 7);
		assert_non_null(g);
		assert_string_equal(g->unit, name);
	}
	drop_tree(dir); /* what is found now is cached */
	for (int i = 1499; i > 1500 - 1000; i--) {
		snprintf(name, sizeof name, "u%d.service", i);
		assert_string_equal(owner_cgroup(c, ids[i], 0)->unit, name);
	}
	assert_null(owner_cgroup(c, ids[0], 0));
	owner_cache_free(c);
	assert_int_equal(h.blocks, 0);
}

/* A cgroup of this kernel is found by its id alone, and no more when it is gone. */
static void real_cgroup(void **state)
{
	struct heap h = { 0, -1 };
	struct pkt_memory m = { heap_realloc, &h };
	const struct owner_cgroup *g;
	struct owner_cache *c;
	char text[16384], mount[256], path[400];
	struct stat st;
	FILE *f = fopen("/proc/self/mountinfo", "r");
	size_t len;

	(void)state;
	assert_non_null(f);
	len = fread(text, 1, sizeof text, f);
	fclose(f);
	if (!owner_parse_mounts(text, len, mount, sizeof mount)) {
		puts("SKIP: real_cgroup: cgroup v2 is not mounted");
		skip();
	}
	snprintf(path, sizeof path, "%s/weir-owner-test-%d.service", mount, getpid());
	if (mkdir(path, 0755)) {
		puts("SKIP: real_cgroup: no cgroup can be made here");
		skip();
	}
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(owner_cache_new(&m, &c), 0);
	g = owner_cgroup(c, st.st_ino, 0);
	assert_int_equal(rmdir(path), 0);
	assert_non_null(g);
	assert_string_equal(g->path, path + strlen(mount));
	assert_string_equal(g->unit, g->path + 1);
	assert_non_null(owner_cgroup(c, st.st_ino, 0)); /* cached */
	assert_int_equal(owner_cache_paths(c, NULL, NULL), 0);
	assert_null(owner_cgroup(c, st.st_ino, 0));
	owner_cache_free(c);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_names),      cmocka_unit_test(long_path),
		cmocka_unit_test(lines),           cmocka_unit_test(mounts),
		cmocka_unit_test(without_handles), cmocka_unit_test(hybrid),
		cmocka_unit_test(bounded),         cmocka_unit_test(real_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
