/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json FILE PATH: print the value at PATH ("kernel.lookup.hit", "chunks.0.object") of a JSON file;
 * "-" is standard input.  Ends with 1 and says so if there is no such value.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const json_t *find(const json_t *value, char *path)
{
	char *save = NULL;

	for (char *key = strtok_r(path, ".", &save); key && value; key = strtok_r(NULL, ".", &save)) {
		if (json_is_array(value))
			value = json_array_get(value, strtoul(key, NULL, 10));
		else
			value = json_object_get(value, key);
	}
	return value;
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root;
	const json_t *value;
	int status = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: json FILE PATH\n");
		return 2;
	}
	root = strcmp(argv[1], "-") ? json_load_file(argv[1], 0, &error) : json_loadf(stdin, 0, &error);
	if (!root) {
		fprintf(stderr, "json: %s:%d: %s\n", argv[1], error.line, error.text);
		return 2;
	}
	value = find(root, argv[2]);
	if (json_is_string(value)) {
		puts(json_string_value(value));
	} else if (value) {
		json_dumpf(value, stdout, JSON_ENCODE_ANY | JSON_COMPACT);
		putchar('\n');
	} else {
		fprintf(stderr, "json: %s has no such value\n", argv[1]);
		status = 1;
	}
	json_decref(root);
	return status;
}
