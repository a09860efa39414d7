/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without libFuzzer, as a test: on each file given, or in a directory given;
 * whole, cut at every length, and with every byte changed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1u << 20)
#define CUT_MAX   4096u /* longer inputs are cut and changed only so far */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t input[INPUT_MAX];

static unsigned long replay(size_t size)
{
	static const uint8_t masks[] = { 0xff, 0x80, 0x01 };
	size_t i, j, end = size < CUT_MAX ? size : CUT_MAX;
	unsigned long runs = 1;

	LLVMFuzzerTestOneInput(input, size);
	for (i = 0; i < end; i++, runs++)
		LLVMFuzzerTestOneInput(input, i);
	for (i = 0; i < end; i++) {
		for (j = 0; j < sizeof(masks); j++, runs++) {
			input[i] ^= masks[j];
			LLVMFuzzerTestOneInput(input, size);
			input[i] ^= masks[j];
		}
	}
	return runs;
}

static unsigned long replay_file(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long runs;
	size_t size;

	if (!file) {
		fprintf(stderr, "cannot open %s: %s\n", path, strerror(errno));
		exit(1);
	}
	size = fread(input, 1, sizeof(input), file);
	if (ferror(file) || !feof(file)) {
		fprintf(stderr, "cannot read all of %s: at most %u bytes\n", path, INPUT_MAX - 1);
		exit(1);
	}
	fclose(file);
	runs = replay(size);
	printf("%s: %lu runs\n", path, runs);
	return runs;
}

static unsigned long replay_directory(const char *path)
{
	unsigned long runs = 0;
	struct dirent *entry;
	char name[4096];
	DIR *dir;

	dir = opendir(path);
	if (!dir)
		return replay_file(path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		runs += replay_file(name);
	}
	closedir(dir);
	return runs;
}

int main(int argc, char **argv)
{
	unsigned long runs = 0;

	for (int i = 1; i < argc; i++)
		runs += replay_directory(argv[i]);
	printf("%lu runs\n", runs);
	if (runs == 0)
		fprintf(stderr, "usage: %s FILE|DIRECTORY…, with something in them\n", argv[0]);
	return runs == 0;
}
