/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See privilege.h.
 *
 * Happy path, as root: raise the limit on locked memory (a right that is lost here),
 * take everything undeclared out of the bounding set, switch off what root's uid
 * stands for, change groups and ids while keeping the permitted set, then set
 * permitted, effective and inheritable to what is declared. Ambient is empty: a
 * child gets its own share (confine.c).
 * Failure modes: a container that may not change ids. Then the daemon must not run
 * as root by accident: the caller ends it.
 * Threads: capabilities are each thread's own; new ones inherit their maker's.
 */
#include "privilege.h"
#include "describe.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weir/plugin.h>

/* systemd's range for users that exist only while a service runs: nobody else
 * hands these out, and systemd looks who has one before it takes it. */
#define DYNAMIC_FIRST 61184u
#define DYNAMIC_COUNT (65519u - DYNAMIC_FIRST + 1)

#define BPF_RIGHTS (WEIR_CAP_BPF | WEIR_CAP_PERFMON)

/* Written once by drop, before there are threads. */
static bool reduced;
static uint64_t held_before;

/* ---- the kernel's sets --------------------------------------------------------- */

static int get_caps(uint64_t *ret_permitted, uint64_t *ret_effective)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &head, data) != 0)
		return -errno;
	*ret_permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	*ret_effective = data[0].effective | (uint64_t)data[1].effective << 32;
	return 0;
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	for (int i = 0; i < 2; i++) {
		data[i].permitted = (uint32_t)(caps >> 32 * i);
		data[i].effective = data[i].inheritable = data[i].permitted;
	}
	return syscall(SYS_capset, &head, data) == 0 ? 0 : -errno;
}

/* Where only CAP_SYS_ADMIN is held, it is what BPF works by. */
static uint64_t of_those_held(uint64_t needs, uint64_t held)
{
	if ((needs & BPF_RIGHTS & ~held) && (held & WEIR_CAP_SYS_ADMIN))
		needs |= WEIR_CAP_SYS_ADMIN;
	return needs & held;
}

static uint64_t lacking(uint64_t needs, uint64_t held)
{
	if (held & WEIR_CAP_SYS_ADMIN)
		held |= BPF_RIGHTS;
	return needs & ~held;
}

static uint64_t bounding_set(void)
{
	uint64_t set = 0;

	for (unsigned i = 0; i < 64; i++)
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1)
			set |= 1ull << i;
	return set;
}

const char *weir__privilege_names(uint64_t caps, char *buf, size_t size)
{
	size_t len = 0;

	snprintf(buf, size, "none");
	for (unsigned i = 0; i < 64; i++) {
		const char *name = weir__capability_name(i);

		if (!(caps & 1ull << i) || len >= size)
			continue;
		len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
		                        name ? name : "unknown");
	}
	return buf;
}

/* ---- who ------------------------------------------------------------------------ */

static bool id_taken(uint32_t id)
{
	char buf[16384]; /* a group's line with its members; longer is taken too */
	struct passwd pw, *user = NULL;
	struct group gr, *group = NULL;
	int u = getpwuid_r(id, &pw, buf, sizeof buf, &user);
	int g = getgrgid_r(id, &gr, buf, sizeof buf, &group);

	return user || group || u == ERANGE || g == ERANGE;
}

/* The same name has the same id on every start, so what it owns stays its own. */
static int derive(const char *name, struct weir__identity *ret)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (const char *s = name; *s; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	for (uint32_t i = 0; i < DYNAMIC_COUNT; i++) {
		uint32_t id = DYNAMIC_FIRST + (uint32_t)((h + i) % DYNAMIC_COUNT);

		if (id_taken(id))
			continue;
		ret->uid = ret->gid = id;
		ret->derived = true;
		return 0;
	}
	return -ERANGE;
}

int weir__privilege_identity(const char *name, struct weir__identity *ret)
{
	struct passwd pw, *found = NULL;
	char buf[16384], *end;
	unsigned long id = strtoul(name, &end, 10);
	bool number = *name >= '0' && *name <= '9' && !*end;
	int r;

	memset(ret, 0, sizeof *ret);
	ret->name = name;
	ret->untouched = !*name;
	ret->stay = !*name || geteuid() != 0;
	ret->uid = geteuid();
	ret->gid = getegid();
	if (ret->stay)
		return 0;
	if (number && id >= (uid_t)-1)
		return -ENOENT;
	r = number ? getpwuid_r((uid_t)id, &pw, buf, sizeof buf, &found)
	           : getpwnam_r(name, &pw, buf, sizeof buf, &found);
	if (found) {
		ret->uid = pw.pw_uid;
		ret->gid = pw.pw_gid;
		return 0;
	}
	if (r == ERANGE)
		return -ERANGE;
	if (!number)
		return derive(name, ret);
	ret->uid = (uid_t)id;
	ret->gid = (gid_t)id;
	return 0;
}

/* ---- the drop --------------------------------------------------------------------- */

__attribute__((format(printf, 4, 5))) static int
fail(char *err, size_t size, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, size, fmt, ap);
	va_end(ap);
	return code;
}

/* What is needed of CAP_SETPCAP: without it a non-root user keeps the bounding set,
 * from which it cannot gain anything with no_new_privs. */
static int bound(uint64_t keep, char *err, size_t size)
{
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS;

	for (unsigned i = 0; i < 64; i++)
		if (!(keep & 1ull << i) && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0)
			return fail(err, size, -errno, "cannot take capability %u out of the "
			            "bounding set: %s", i, strerror(errno));
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) != 0)
		return fail(err, size, -errno, "cannot set securebits: %s", strerror(errno));
	return 0;
}

static int become(const struct weir__identity *id, char *err, size_t size)
{
	bool known = !id->derived && !(*id->name >= '0' && *id->name <= '9');

	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 &&
	    (known ? initgroups(id->name, id->gid) : setgroups(0, NULL)) == 0 &&
	    setresgid(id->gid, id->gid, id->gid) == 0 &&
	    setresuid(id->uid, id->uid, id->uid) == 0)
		return 0;
	return fail(err, size, -errno, "cannot become user %.64s (uid %u): %s; grant CAP_SETUID and "
	            "CAP_SETGID, start weir as that user, or set user: root to run as root",
	            id->name, (unsigned)id->uid, strerror(errno));
}

int weir__privilege_drop(const struct weir__identity *id, uint64_t needs,
                         struct weir__privilege *ret, char *err, size_t size)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	uint64_t permitted, effective;
	int rc = get_caps(&permitted, &effective);

	if (rc)
		return fail(err, size, rc, "cannot read the capabilities: %s", strerror(-rc));
	held_before = permitted;
	ret->kept = of_those_held(needs, permitted);
	ret->missing = lacking(needs, permitted);
	ret->bounding = bounding_set();
	if (id->untouched) {
		ret->kept = permitted;
		return 0;
	}
	/* BPF maps count against it before Linux 5.11; a refusal costs only there. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	if (effective & 1ull << CAP_SETPCAP)
		rc = bound(ret->kept, err, size);
	if (!rc && !id->stay)
		rc = become(id, err, size);
	if (rc)
		return rc;
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	rc = set_caps(ret->kept);
	if (!rc && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		rc = -errno;
	if (rc)
		return fail(err, size, rc, "cannot reduce the capabilities: %s", strerror(-rc));
	/* Changing ids made /proc/self root's, and plugins are loaded through it. Others
	 * of this user still may not look in: they lack our capabilities. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	ret->bounding = bounding_set();
	reduced = true;
	return 0;
}

/* ---- threads ------------------------------------------------------------------------ */

void weir__privilege_thread(uint64_t needs)
{
	uint64_t permitted, effective;

	if (!reduced)
		return;
	if (get_caps(&permitted, &effective) != 0 ||
	    set_caps(of_those_held(needs, permitted)) != 0)
		abort(); /* foreign code would run with rights it never asked for */
}

struct bare {
	void (*fn)(void *);
	void *arg;
};

static void *run_bare(void *arg)
{
	struct bare *b = arg;

	weir__privilege_thread(0);
	b->fn(b->arg);
	return NULL;
}

int weir__privilege_bare(void (*fn)(void *), void *arg)
{
	struct bare b = { fn, arg };
	pthread_t thread;
	int rc = -pthread_create(&thread, NULL, run_bare, &b);

	if (rc)
		return rc;
	pthread_join(thread, NULL);
	return 0;
}

uint64_t weir__privilege_lacks(uint64_t needs)
{
	uint64_t permitted = 0, effective;

	get_caps(&permitted, &effective);
	return lacking(needs, permitted);
}

void weir__privilege_explain(uint64_t needs, char *reason, size_t size)
{
	uint64_t up = reduced ? weir__privilege_lacks(needs) & ~lacking(needs, held_before) : 0;
	size_t len = strnlen(reason, size);
	char names[256];

	if (!up || len >= size)
		return;
	snprintf(reason + len, size - len, "%sweir gave up %s at its start, since no configured plugin "
	         "declared it: name this one in the configuration (enabled: false will do) and restart weir",
	         len ? "; " : "", weir__privilege_names(up, names, sizeof names));
}
