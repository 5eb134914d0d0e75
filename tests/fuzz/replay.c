/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer where there is none: gives each file of the folders
 * named on the command line to the fuzzer's entry, once. Fails if there was none.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A seed is small: libFuzzer's own default limit is 4 KiB. */
#define SEED_MAX (1 << 20)

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *all, *data;
	size_t n;

	if (!f) {
		perror(path);
		return -1;
	}
	all = malloc(SEED_MAX);
	n = all ? fread(all, 1, SEED_MAX, f) : 0;
	fclose(f);
	/* A block of just this size, so that a sanitizer sees one byte too far. */
	data = malloc(n ? n : 1);
	if (!all || !data)
		abort();
	for (size_t i = 0; i < n; i++)
		data[i] = all[i];
	free(all);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent *entry;
	char path[4096];
	int count = 0, i;

	for (i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);

		if (!dir) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(dir))) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			if (replay_file(path))
				return 1;
			count++;
		}
		closedir(dir);
	}
	printf("%d seeds\n", count);
	return count ? 0 : 1;
}
