/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CURVEFS_OPTIONS_H
#define CURVEFS_OPTIONS_H

/*
 * The command line of curvefs-fuse, parsed and checked. An unknown option, a
 * value out of range or a missing argument is refused with a sentence that names it.
 */

#include <stdbool.h>
#include <stdint.h>

enum bpf_cache { BPF_CACHE_AUTO, BPF_CACHE_REQUIRE, BPF_CACHE_OFF };

struct options {
	char *source;     /* file:///dir or s3://bucket[/prefix] */
	char *mountpoint; /* absolute, resolved */
	bool foreground;  /* -f */
	bool debug;       /* -d: libfuse's own trace, implies -f */
	bool read_only;   /* -o ro */
	bool allow_other;
	bool acl;        /* -o acl: POSIX ACLs */
	char *fuse_opts; /* the -o options that libfuse or the kernel take, comma-separated */

	enum bpf_cache bpf_cache;
	uint32_t bpf_max_entries; /* per map; default 1 << 20 */
	uint32_t bpf_ring_pages;  /* per CPU, a power of two; default 16 */

	char *cache_dir;         /* default /var/cache/curvefs/<uuid> */
	uint64_t cache_size;     /* bytes; default 100 GiB */
	double free_space_ratio; /* default 0.1 */
	char *meta_dir;          /* default /var/lib/curvefs/<uuid> */
	unsigned meta_backup_s;  /* between copies of the metadata to the store; 0: none; default 60 */
	bool writeback;          /* close and fsync return when the local disk has it */
	unsigned upload_delay_s; /* with writeback; default 0 */
	unsigned dirty_expire_s; /* what is written is uploaded then, closed or not; default 30 */
	bool break_lease;        /* take it from whoever has the volume mounted */

	/* Seconds, fractions allowed; NAN: not given, then 1 without BPF and 0 with it. */
	double attr_cache, entry_cache, negative_entry_cache;

	char *endpoint_url, *region;
	unsigned get_timeout_s, retries;
	unsigned max_uploads, max_downloads;
	uint64_t buffer_size; /* bytes */
	uint64_t read_ahead;  /* bytes */

	bool clone_fd;
	unsigned max_idle_threads;
	int log_level;
};

/**
 * Parse @p argv. @return 0; 1: --help or --version was printed; or -EINVAL and *ret_why (free it).
 */
int options_parse(int argc, char *const argv[], struct options *ret, char **ret_why);
void options_free(struct options *o);

/** Bytes from "4M", "100G", "1.5T", "65536" (powers of 1024). -EINVAL, -ERANGE. */
int options_parse_size(const char *text, uint64_t *ret);

#endif
