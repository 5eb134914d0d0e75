/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One plugin per refusal reason: each is refused for just that, with both values,
 * before any of its code has run where the reason allows it; and the daemon's
 * process goes on. Plugins made by plugin.c are in PLUGINS, what concerns owners,
 * modes and folders is made here, in a new folder.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "loader.h"
#include "mem.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)
#define ABI        TEXT(WEIR_ABI_MAJOR) "." TEXT(WEIR_ABI_MINOR)

static char folder[] = "/tmp/weir-abi-XXXXXX";
static bool seen[64]; /* by refusal */

/* ---- making files ---------------------------------------------------------------- */

static const char *in_folder(const char *name)
{
	static char path[4][256];
	static int turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static size_t read_all(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, buf, size);

	assert_true(fd >= 0 && n > 0 && (size_t)n < size);
	close(fd);
	return (size_t)n;
}

static const char *write_all(const char *name, const char *buf, size_t len)
{
	const char *path = in_folder(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, buf, len), len);
	close(fd);
	return path;
}

static char image[1 << 20];

/* A copy of the right plugin in our folder, cut at `len` bytes. */
static const char *copy_right(const char *name, size_t len)
{
	size_t n = read_all(PLUGINS "/right.so", image, sizeof(image));

	return write_all(name, image, len < n ? len : n);
}

static const char *other_machine(void)
{
	size_t n = read_all(PLUGINS "/right.so", image, sizeof(image));

	((Elf64_Ehdr *)(void *)image)->e_machine = EM_68K;
	return write_all("machine.so", image, n);
}

static const char *writable(void)
{
	const char *path = copy_right("writable.so", SIZE_MAX);

	assert_int_equal(chmod(path, 0664), 0);
	return path;
}

static const char *foreign(void)
{
	const char *path = copy_right("foreign.so", SIZE_MAX);

	assert_int_equal(chown(path, 12345, 12345), 0);
	return path;
}

static const char *in_open_folder(void)
{
	assert_int_equal(mkdir(in_folder("open"), 0755), 0);
	assert_int_equal(chmod(in_folder("open"), 0777), 0);
	assert_int_equal(mkdir(in_folder("open/inner"), 0755), 0);
	return copy_right("open/inner/right.so", SIZE_MAX);
}

static const char *a_fifo(void)
{
	const char *path = in_folder("fifo.so");

	assert_int_equal(mkfifo(path, 0644), 0);
	return path;
}

static const char *a_text(void)
{
	return write_all("text.so", "#!/bin/sh\n", 10);
}

/* ---- refusals --------------------------------------------------------------------- */

static int load(const char *path, const char *name, int *refusal, char *why, size_t size)
{
	struct weir__loaded *l = NULL;
	int r = weir__load(path, name, &l, refusal, why, size);

	assert_true(r < 0 ? l == NULL : l != NULL);
	return r;
}

static void refused(const char *path, const char *name, int refusal, const char *says)
{
	long before = weir__mem_live();
	int got = -1, r;
	char why[512];

	r = load(path, name, &got, why, sizeof(why));
	if (r >= 0 || got != refusal || !strstr(why, says))
		fail_msg("%s: %d, %s, \"%s\"; expected %s, \"%s\"", path, r, weir__refusal_name(got), why,
		         weir__refusal_name(refusal), says);
	assert_int_equal(strncmp(why, weir__refusal_name(refusal), strlen(weir__refusal_name(refusal))), 0);
	assert_int_equal(weir__mem_live(), before);
	seen[refusal] = true;
}

/* A plugin with nothing wrong loads; asked for again it is the same one. */
static void right_one_loads(void **state)
{
	struct weir__loaded *a = NULL, *b = NULL;
	char why[512];
	int refusal;

	(void)state;
	assert_int_equal(weir__load(PLUGINS "/right.so", "right", &a, &refusal, why, sizeof(why)), 0);
	assert_int_equal(weir__load(PLUGINS "/right.so", NULL, &b, &refusal, why, sizeof(why)), 0);
	assert_ptr_equal(a, b);
	assert_string_equal(a->desc.name, "right");
	assert_true((uintptr_t)a->desc.deliver >= a->base && (uintptr_t)a->desc.deliver < a->end);
}

/* Two plugins opened with the same descriptor number are two plugins. */
static void two_plugins_differ(void **state)
{
	struct weir__loaded *a = NULL, *b = NULL;
	char why[512];
	int refusal;

	(void)state;
	assert_int_equal(weir__load(PLUGINS "/right.so", NULL, &a, &refusal, why, sizeof(why)), 0);
	assert_int_equal(weir__load(PLUGINS "/second.so", NULL, &b, &refusal, why, sizeof(why)), 0);
	assert_string_equal(b->desc.name, "second");
	assert_ptr_not_equal(a->desc.deliver, b->desc.deliver);
}

/* A descriptor that a later SDK made longer loads; what is beyond is not read. */
static void longer_descriptor_loads(void **state)
{
	struct weir__loaded *l = NULL;
	char why[512];
	int refusal;

	(void)state;
	if (weir__load(PLUGINS "/longer.so", NULL, &l, &refusal, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_string_equal(l->desc.name, "longer");
	assert_null(l->desc.check);
}

/* What is wrong in the file is found before its constructors could run. */
static void file_is_judged_first(void **state)
{
	(void)state;
	unsetenv("WEIR_TEST_CODE_HAS_RUN");
	refused(PLUGINS "/abi-major.so", NULL, WEIR__REFUSED_ABI_MAJOR, "plugin has 9, weir has " TEXT(WEIR_ABI_MAJOR));
	refused(PLUGINS "/abi-minor.so", NULL, WEIR__REFUSED_ABI_MINOR, "plugin has 1.99, weir has " ABI);
	refused(PLUGINS "/no-note.so", NULL, WEIR__REFUSED_NO_NOTE, "no note");
	refused(PLUGINS "/no-symbol.so", NULL, WEIR__REFUSED_NO_SYMBOL, "weir_plugin");
	refused(PLUGINS "/desc-small.so", NULL, WEIR__REFUSED_DESC_SIZE, "says 40 bytes, ABI 1.0 has 216");
	refused(PLUGINS "/desc-lies.so", NULL, WEIR__REFUSED_DESC_SIZE, "says 216 bytes, the note 300");
	refused(PLUGINS "/desc-huge.so", NULL, WEIR__REFUSED_DESC_SIZE, "says 65536 bytes, its symbol has");
	assert_null(getenv("WEIR_TEST_CODE_HAS_RUN"));
	refused(PLUGINS "/dlopen.so", NULL, WEIR__REFUSED_DLOPEN, "weir_there_is_no_such_function");
	refused(PLUGINS "/descriptor.so", NULL, WEIR__REFUSED_DESCRIPTOR, "kind is 77, expected 1");
	refused(PLUGINS "/right.so", "other", WEIR__REFUSED_NAME, "\"right\", \"other\" was asked for");
}

/* A file that is no library of this machine is refused as such. */
static void other_files_are_refused(void **state)
{
	(void)state;
	refused(in_folder("none.so"), NULL, WEIR__REFUSED_NOT_FOUND, "No such file");
	refused(a_text(), NULL, WEIR__REFUSED_NOT_ELF, "10 bytes, an ELF header needs 64");
	refused(copy_right("cut.so", 100), NULL, WEIR__REFUSED_NOT_ELF, "outside the file of 100 bytes");
	refused(other_machine(), NULL, WEIR__REFUSED_NOT_ELF, "built for machine 4, this is machine");
	refused(a_fifo(), NULL, WEIR__REFUSED_NOT_REGULAR, "file type 010000");
	refused("/dev/null", NULL, WEIR__REFUSED_NOT_REGULAR, "file type 020000");
	refused(folder, NULL, WEIR__REFUSED_NOT_REGULAR, "file type 040000");
}

/* A file or folder that others may change is refused, with what to do. */
static void others_may_not_write(void **state)
{
	(void)state;
	refused(writable(), NULL, WEIR__REFUSED_MODE, "mode 0664");
	refused(in_open_folder(), NULL, WEIR__REFUSED_DIRECTORY, "open has mode 0777");
	if (geteuid() != 0) {
		print_message("SKIP: others_may_not_write: only root can make a file of another owner\n");
		seen[WEIR__REFUSED_OWNER] = true;
		return;
	}
	refused(foreign(), NULL, WEIR__REFUSED_OWNER, "belongs to uid 12345, expected 0");
}

/* A link is followed if it and what it leads to are trusted; both are checked. */
static void links_are_followed(void **state)
{
	char why[512];
	int refusal;

	(void)state;
	copy_right("real.so.1", SIZE_MAX);
	assert_int_equal(symlink("real.so.1", in_folder("link.so")), 0);
	if (load(in_folder("link.so"), NULL, &refusal, why, sizeof(why)) < 0)
		fail_msg("%s", why);
	assert_int_equal(symlink("open/inner/right.so", in_folder("out.so")), 0);
	refused(in_folder("out.so"), NULL, WEIR__REFUSED_DIRECTORY, "open has mode 0777");
	assert_int_equal(symlink("../real.so.1", in_folder("open/in.so")), 0);
	refused(in_folder("open/in.so"), NULL, WEIR__REFUSED_DIRECTORY, "open has mode 0777");
	assert_int_equal(symlink("loop.so", in_folder("loop.so")), 0);
	refused(in_folder("loop.so"), NULL, WEIR__REFUSED_NOT_FOUND, "symbolic links");
}

/* /tmp itself, which all may write but only owners may change, is no obstacle. */
static void sticky_folder_is_fine(void **state)
{
	char why[512];
	int refusal;

	(void)state;
	assert_int_equal(mkdir(in_folder("sticky"), 0755), 0);
	assert_int_equal(chmod(in_folder("sticky"), 01777), 0);
	if (geteuid() != 0) {
		print_message("SKIP: sticky_folder_is_fine: the folder must be root's\n");
		return;
	}
	if (weir__load_check(copy_right("sticky/right.so", SIZE_MAX), &refusal, why, sizeof(why)) < 0)
		fail_msg("%s", why);
}

/* Without memory the loader says so, refuses nothing, and leaves nothing. */
static void load_survives_without_memory(void **state)
{
	long before = weir__mem_live(), n = 0;
	char why[512];
	int refusal, r;

	(void)state;
	do {
		weir__mem_fail_at(n++);
		r = load(PLUGINS "/third.so", NULL, &refusal, why, sizeof(why));
		weir__mem_fail_at(-1);
		if (r == 0)
			break;
		assert_int_equal(r, -ENOMEM);
		assert_int_equal(refusal, WEIR__REFUSED_NONE);
		assert_int_equal(weir__mem_live(), before);
	} while (n < 100);
	assert_int_equal(r, 0);
	assert_true(n > 1);
}

/* Loading and refusing leave no descriptor open. */
static void no_descriptor_is_left(void **state)
{
	int before = dup(0), after, refusal;
	char why[512];

	(void)state;
	close(before);
	for (int i = 0; i < 10; i++) {
		load(PLUGINS "/right.so", NULL, &refusal, why, sizeof(why));
		load(PLUGINS "/abi-major.so", NULL, &refusal, why, sizeof(why));
		load(PLUGINS "/dlopen.so", NULL, &refusal, why, sizeof(why));
		load(PLUGINS "/descriptor.so", NULL, &refusal, why, sizeof(why));
	}
	after = dup(0);
	close(after);
	assert_int_equal(after, before);
}

/* Every reason in the list has its plugin here. */
static void every_reason_was_seen(void **state)
{
	(void)state;
#define X(id, name, doc) \
	if (!seen[WEIR__REFUSED_##id]) \
		fail_msg("no plugin was refused for %s", name);
	WEIR__REFUSALS(X)
#undef X
}

/* ---- finding --------------------------------------------------------------------- */

/* Names are looked for in the folders in turn, listed sorted and once; a name that
 * is a path is not found. */
static void plugins_are_found(void **state)
{
	const char *items[] = { in_folder("empty"), folder, PLUGINS };
	struct weir_strings dirs = { 3, items };
	long before = weir__mem_live();
	char path[PATH_MAX], **names = NULL;
	size_t count = 0, rights = 0;

	(void)state;
	copy_right("right.so", SIZE_MAX);
	assert_int_equal(weir__find_plugin(&dirs, "right", path, sizeof(path)), 0);
	assert_string_equal(path, in_folder("right.so"));
	assert_int_equal(weir__find_plugin(&dirs, "second", path, sizeof(path)), 0);
	assert_int_equal(weir__find_plugin(&dirs, "none", path, sizeof(path)), -ENOENT);
	assert_int_equal(weir__find_plugin(&dirs, "../abi/right", path, sizeof(path)), -ENOENT);
	assert_int_equal(weir__find_plugin(&dirs, "right", path, 10), -ENOENT);
	assert_int_equal(weir__list_plugins(&dirs, &names), 0);
	for (; names[count]; count++) {
		rights += strcmp(names[count], "right") == 0;
		assert_true(count == 0 || strcmp(names[count - 1], names[count]) < 0);
	}
	assert_int_equal(rights, 1);
	assert_true(count > 10);
	weir__free(names);
	assert_int_equal(weir__mem_live(), before);
}

/* Without memory a listing fails and leaves nothing. */
static void listing_survives_without_memory(void **state)
{
	const char *items[] = { PLUGINS };
	struct weir_strings dirs = { 1, items };
	long before = weir__mem_live(), n = 0;
	char **names = NULL;
	int r;

	(void)state;
	do {
		weir__mem_fail_at(n++);
		r = weir__list_plugins(&dirs, &names);
		weir__mem_fail_at(-1);
		assert_true(r == 0 || r == -ENOMEM);
		if (r)
			assert_int_equal(weir__mem_live(), before);
	} while (r && n < 100);
	assert_int_equal(r, 0);
	weir__free(names);
}

/* ---- the folder -------------------------------------------------------------------- */

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(right_one_loads),
		cmocka_unit_test(two_plugins_differ),
		cmocka_unit_test(longer_descriptor_loads),
		cmocka_unit_test(file_is_judged_first),
		cmocka_unit_test(other_files_are_refused),
		cmocka_unit_test(others_may_not_write),
		cmocka_unit_test(links_are_followed),
		cmocka_unit_test(sticky_folder_is_fine),
		cmocka_unit_test(load_survives_without_memory),
		cmocka_unit_test(no_descriptor_is_left),
		cmocka_unit_test(every_reason_was_seen),
		cmocka_unit_test(plugins_are_found),
		cmocka_unit_test(listing_survives_without_memory),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
