/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin loader: file to descriptor, refusing with a reason, before any of
 * the plugin's code has run where that is possible. Main thread.
 */
#ifndef WEIR_CORE_LOADER_H
#define WEIR_CORE_LOADER_H

#include <stdbool.h>
#include <weir/plugin.h>

/* Why a plugin was refused; one list gives names and docs. */
#define WEIR__REFUSALS(X)                                                      \
	X(NOT_FOUND,   "not-found",   "no such file")                          \
	X(NOT_REGULAR, "not-regular", "not a regular file")                    \
	X(OWNER,       "owner",       "owned by neither root nor the daemon's user") \
	X(MODE,        "mode",        "others may write it")                   \
	X(DIRECTORY,   "directory",   "a directory above it can be changed by others") \
	X(NOT_ELF,     "not-elf",     "not an ELF library of this machine")    \
	X(NO_NOTE,     "no-note",     "no Weir ABI note: not a plugin")        \
	X(ABI_MAJOR,   "abi-major",   "built for another major ABI version")   \
	X(ABI_MINOR,   "abi-minor",   "built for a newer minor ABI version")   \
	X(NO_SYMBOL,   "no-symbol",   "does not export weir_plugin")           \
	X(DESC_SIZE,   "desc-size",   "descriptor too small or inconsistent")  \
	X(DLOPEN,      "dlopen",      "the dynamic linker refused it")         \
	X(DESCRIPTOR,  "descriptor",  "a field of the descriptor is wrong")    \
	X(NAME,        "name",        "its name is not that of the file")

enum weir__refusal {
	WEIR__REFUSED_NONE = 0,
#define X(id, name, doc) WEIR__REFUSED_##id,
	WEIR__REFUSALS(X)
#undef X
};
const char *weir__refusal_name(int refusal);

struct weir__loaded {
	/* A copy, desc_size honoured: what an older plugin lacks is zero. The
	 * tables' row_size too, through weir_table_row and the loader's copies. */
	struct weir_plugin_desc desc;
	char path[4096];
	/* address range of the mapped library, to name the plugin in a crash */
	uintptr_t base, end;
};

/* The record that a descriptor of the loader's is in. */
static inline const struct weir__loaded *weir__loaded_of(const struct weir_plugin_desc *desc)
{
	return (const struct weir__loaded *)(const void *)desc; /* its first member */
}

/* path: of the file. name: expected plugin name, or NULL. 0, or -errno with
 * *refusal and one sentence in reason ("abi-major: plugin has 2, weir has 1").
 * A loaded plugin is never unloaded. Same file twice gives the same result; a file that
 * was replaced, or rewritten in its place, is another one. */
int weir__load(const char *path, const char *name, struct weir__loaded **ret,
               int *refusal, char *reason, size_t size);
/* The same for a file that the daemon has opened and checked (weir__open_plugin); for
 * the process of a plugin, which may not see its directories. fd stays the caller's. */
int weir__load_fd(int fd, const char *path, const char *name, struct weir__loaded **ret,
                  int *refusal, char *reason, size_t size);
/* All the checks, and the file open: its descriptor, or -errno as above. */
int weir__open_plugin(const char *path, int *refusal, char *reason, size_t size);
/* Is it one of those that come with Weir, by name and place? The others are strangers. */
bool weir__plugin_is_shipped(const char *path, const char *name);
/* All the steps that need no dlopen. Same results. */
int weir__load_check(const char *path, int *refusal, char *reason, size_t size);
/* Every field of a descriptor, by value: names, tables, offsets, topics. */
int weir__desc_check(const struct weir_plugin_desc *d, char *reason, size_t size);
/* NAME.so in the directories in turn; dirs count 0: the directory "plugins"
 * beside the program, then <prefix>/lib/<multiarch>/weir/plugins. 0 or -ENOENT. */
int weir__find_plugin(const struct weir_strings *dirs, const char *name, char *path, size_t size);
/* Names of all *.so there, sorted, NULL-terminated; free with weir__free. */
int weir__list_plugins(const struct weir_strings *dirs, char ***ret_names);

#endif
