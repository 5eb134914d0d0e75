/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the path of a cgroup says about who is in it, and the two files of procfs that paths
 * come from. Pure: text in, names out.
 *
 * Happy path: each component of the path is looked at once, from the root down; what lies
 * deeper replaces what was found before.
 * Failure modes: none. Any bytes are legal; what is not exactly of a known form is no id, no
 * unit, no uid. So a process that may name its own cgroup can claim an id, but cannot get
 * a control byte into a record.
 * Threads: any.
 */
#include "owner.h"

#include <string.h>

#define ID_LEN 64

static bool is_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
			return false;
	return true;
}

static bool ends_with(const char *s, size_t n, const char *end)
{
	size_t e = strlen(end);

	return n > e && !memcmp(s + n - e, end, e);
}

/* <64 hex>, <runtime>-<64 hex>[.scope], <slice>:<runtime>:<64 hex>. Not a container: the
 * process that watches one, libpod-conmon-<id>.scope. */
static bool take_container(const char *s, size_t n, struct owner_cgroup *ret)
{
	const char *id;

	if (ends_with(s, n, ".scope"))
		n -= strlen(".scope");
	if (n < ID_LEN)
		return false;
	id = s + n - ID_LEN;
	if (!is_hex(id, ID_LEN))
		return false;
	if (id != s && id[-1] != '-' && id[-1] != ':')
		return false;
	if (id != s && ends_with(s, (size_t)(id - 1 - s), "conmon"))
		return false;
	memcpy(ret->container, id, ID_LEN);
	ret->container[ID_LEN] = '\0';
	return true;
}

/* 8-4-4-4-12 hex with - (cgroupfs driver) or _ (systemd driver) between; or 32 hex, for pods
 * that a kubelet has from a file. Returned with -. */
static bool take_uid(const char *s, size_t n, char *ret)
{
	if (n == 32 && is_hex(s, n)) {
		memcpy(ret, s, n);
		ret[n] = '\0';
		return true;
	}
	if (n != 36)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool gap = i == 8 || i == 13 || i == 18 || i == 23;

		if (gap ? s[i] != '-' && s[i] != '_' : !is_hex(s + i, 1))
			return false;
	}
	for (size_t i = 0; i < n; i++)
		ret[i] = s[i] == '_' ? '-' : s[i];
	ret[n] = '\0';
	return true;
}

/* pod<uid> (cgroupfs driver, below kubepods) or <...>kubepods[-<class>]-pod<uid>.slice */
static bool take_pod(const char *s, size_t n, bool below_kubepods, struct owner_cgroup *ret)
{
	const char *colon = memchr(s, ':', n); /* <slice>:<runtime>:<id> */
	const char *pod = NULL;

	if (colon)
		n = (size_t)(colon - s);
	if (!ends_with(s, n, ".slice"))
		return below_kubepods && n > 3 && !memcmp(s, "pod", 3) && take_uid(s + 3, n - 3, ret->pod);
	n -= strlen(".slice");
	if (!memmem(s, n, "kubepods-", 9))
		return false;
	for (const char *at = s; (at = memmem(at, (size_t)(s + n - at), "-pod", 4)); at += 4)
		pod = at + 4;
	return pod && take_uid(pod, (size_t)(s + n - pod), ret->pod);
}

/* What systemd takes as a unit's name (unit_name_is_valid()); a component that would be taken
 * for a file of the kernel's has an underscore before it (cg_escape()). */
static bool take_unit(const char *s, size_t n, struct owner_cgroup *ret)
{
	if (n && s[0] == '_') {
		s++;
		n--;
	}
	if (!ends_with(s, n, ".service") && !ends_with(s, n, ".scope"))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') || ((s[i] | 32) >= 'a' && (s[i] | 32) <= 'z') ||
		      memchr(":-_.\\@", s[i], 6)))
			return false;
	if (n >= sizeof ret->unit) /* the start tells more than the suffix */
		n = sizeof ret->unit - 1;
	memcpy(ret->unit, s, n);
	ret->unit[n] = '\0';
	return true;
}

static void parse(const char *path, size_t len, struct owner_cgroup *ret)
{
	static const char deleted[] = " (deleted)"; /* the kernel's, of a cgroup that is gone */
	bool below_kubepods = false;
	const char *at, *end;

	memset(ret, 0, sizeof *ret);
	if (ends_with(path, len, deleted))
		len -= strlen(deleted);
	memcpy(ret->path, path, len < sizeof ret->path ? len : sizeof ret->path - 1);
	for (at = path, end = path + len; at < end;) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		size_t n = (size_t)((slash ? slash : end) - at);

		if (n >= 8 && !memcmp(at, "kubepods", 8))
			below_kubepods = true;
		take_pod(at, n, below_kubepods, ret);
		if (!take_container(at, n, ret))
			take_unit(at, n, ret);
		at += n + 1;
	}
}

void owner_parse_path(const char *path, struct owner_cgroup *ret)
{
	parse(path, strlen(path), ret);
}

/* How much a line says, in order of worth. */
static int worth(const struct owner_cgroup *g)
{
	return (g->container[0] ? 8 : 0) + (g->pod[0] ? 4 : 0) + (g->unit[0] ? 2 : 0) +
	       (g->path[0] && strcmp(g->path, "/") ? 1 : 0);
}

bool owner_parse_lines(const char *text, size_t len, struct owner_cgroup *ret, bool *ret_v2)
{
	const char *end = text + len, *nl, *path;
	struct owner_cgroup g;
	int best = -1;

	/* The kernel prints cgroup v2, hierarchy 0, last; on a tie it is the one. */
	for (; (nl = memchr(text, '\n', (size_t)(end - text))); text = nl + 1) {
		bool v2 = nl - text > 3 && !memcmp(text, "0::", 3);
		int w;

		path = memchr(text, ':', (size_t)(nl - text));
		path = path ? memchr(path + 1, ':', (size_t)(nl - path - 1)) : NULL;
		if (!path)
			continue;
		parse(path + 1, (size_t)(nl - path - 1), &g);
		w = worth(&g);
		if (w > best || (w == best && v2)) {
			best = w;
			*ret = g;
			*ret_v2 = v2;
		}
	}
	return best >= 0;
}

/* \ooo as mountinfo(5) has it for blanks and backslashes. */
static bool unescape(const char *s, size_t n, char *ret, size_t size)
{
	size_t out = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\\' && n - i > 3 && strspn(s + i + 1, "01234567") >= 3) {
			c = (unsigned char)((s[i + 1] - '0') * 64 + (s[i + 2] - '0') * 8 + s[i + 3] - '0');
			i += 3;
		}
		if (out + 1 >= size || !c)
			return false;
		ret[out++] = (char)c;
	}
	ret[out] = '\0';
	return out > 0;
}

/* 36 35 98:0 /root /mount options [fields...] - type source superoptions */
bool owner_parse_mounts(const char *text, size_t len, char *ret, size_t size)
{
	static const char kind[] = " - cgroup2 ";
	const char *end = text + len, *nl;

	for (; (nl = memchr(text, '\n', (size_t)(end - text))); text = nl + 1) {
		const char *at = text, *next;
		int field = 0;

		if (!memmem(text, (size_t)(nl - text), kind, strlen(kind)))
			continue;
		for (; field < 4 && (next = memchr(at, ' ', (size_t)(nl - at))); field++)
			at = next + 1;
		next = memchr(at, ' ', (size_t)(nl - at));
		if (field == 4 && next && unescape(at, (size_t)(next - at), ret, size))
			return true;
	}
	return false;
}
