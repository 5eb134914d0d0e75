/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin, and every way to spoil it: built once for each refusal reason that
 * lies in the file itself. Without a macro it is right.
 */
#include <weir/weir.h>

#include <stdlib.h>

#ifdef LOUD
/* Code of a refused plugin must not run; the test looks for this variable. */
__attribute__((constructor)) static void run(void)
{
	setenv("WEIR_TEST_CODE_HAS_RUN", NAME, 1);
}
#endif

#ifdef UNDEFINED
int weir_there_is_no_such_function(void);
#endif

static int deliver(struct weir_plugin *p, const struct weir_batch *b)
{
	(void)p, (void)b;
#ifdef UNDEFINED
	return weir_there_is_no_such_function();
#else
	return 0;
#endif
}

#ifndef NAME
#define NAME "right"
#endif
#ifndef MAJOR
#define MAJOR WEIR_ABI_MAJOR
#endif
#ifndef MINOR
#define MINOR WEIR_ABI_MINOR
#endif
#ifndef NOTE_SIZE
#define NOTE_SIZE sizeof(struct weir_plugin_desc)
#endif
#ifndef DESC_SIZE
#define DESC_SIZE sizeof(struct weir_plugin_desc)
#endif
#ifndef KIND
#define KIND WEIR_OUTPUT
#endif
#ifndef VISIBILITY
#define VISIBILITY "default"
#endif

#ifndef NO_NOTE
__attribute__((section(".note.weir"), used, aligned(4)))
static const struct weir_note note = { 5, 8, WEIR_NOTE_TYPE, "Weir", MAJOR, MINOR, NOTE_SIZE };
#endif

#ifdef LONGER
/* As a later release would have it: bytes at the end that this one passes over. */
struct longer {
	struct weir_plugin_desc desc;
	void *more[4];
};
__attribute__((visibility("default"), used))
const struct longer weir_plugin = { .desc = {
#else
__attribute__((visibility(VISIBILITY), used))
const struct weir_plugin_desc weir_plugin = {
#endif
	.desc_size = DESC_SIZE, .abi_major = MAJOR, .abi_minor = MINOR, .kind = KIND,
	.name = NAME, .version = "1.0.0", .doc = "Takes batches and does nothing", .deliver = deliver,
#ifdef LONGER
} };
#else
};
#endif
