/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loader's ELF reader on any bytes: it never reads outside the file, ends in
 * bounded time, and either accepts or says why not.
 */
#include "loader.h"
#include "loader_elf.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir__elf_file file = { .fd = -1, .mem = data, .size = size };
	struct weir__elf_info info;
	char reason[256] = "";
	int refusal = -1, r;

	r = weir__elf_check(&file, &info, &refusal, reason, sizeof(reason));
	if (r > 0 || (r == 0) != (refusal == WEIR__REFUSED_NONE) || (r == 0) != (reason[0] == 0))
		abort();
	if (r < 0 && strncmp(reason, weir__refusal_name(refusal), strlen(weir__refusal_name(refusal))) != 0)
		abort();
	/* accepted: what the loader relies on */
	if (r == 0 && (info.desc_size < 216 || info.symbol_size < info.desc_size))
		abort();
	if (info.reads > 200000)
		abort();
	return 0;
}
