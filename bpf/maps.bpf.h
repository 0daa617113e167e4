/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The maps.  They live as long as the daemon or a pin holds them, longer than
 * the attachment.  "daemon" is the one publisher in the daemon; the kernel side
 * only ever reads, deletes and counts.  The sizes here are defaults: the daemon
 * sets max_entries before it loads the object.
 *
 *   map          written by                    read by
 *   dentry*      daemon; request() deletes     request()
 *   inode        daemon; request() deletes     request(), read(), mmap()
 *   read_cache   daemon                        read()
 *   written      daemon; write(), write_end()  everybody
 *   dirty        daemon; write(), write_end()  write(), read(), daemon
 *   epoch        request() and daemon, add 1   daemon (mapped)
 *   changes      request() and daemon, add 1   the module
 *   statfs       daemon (mapped)               request()
 *   events       request()                     daemon (perf buffer)
 *   stats        all of them, the module       daemon, bpftool
 *   info         daemon, once                  whoever opens a pin
 *
 * The hash maps are not preallocated: a million possible entries cost memory
 * only when they are there.
 */
#ifndef EXTFUSE_MAPS_BPF_H
#define EXTFUSE_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>
#include "extfuse_abi.h"

/* (parent, name) -> node id, names of at most EXTFUSE_NAME_SHORT bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct extfuse_dentry_key);
	__type(value, struct extfuse_dentry);
} dentry SEC(".maps");

/* The same for longer names, so that the few of them do not cost every other one 216 bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, struct extfuse_dentry_long_key);
	__type(value, struct extfuse_dentry);
} dentry_long SEC(".maps");

/* node id -> attributes, and the cache file if it holds the whole file. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, __u64);
	__type(value, struct extfuse_inode);
} inode SEC(".maps");

/* (node id, chunk) -> what of the chunk is in a cache file; for files cached in part. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, struct extfuse_chunk_key);
	__type(value, struct extfuse_chunk);
} read_cache SEC(".maps");

/* node id -> what the kernel did to a file that it was lent. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 16);
	__type(key, __u64);
	__type(value, struct extfuse_written);
} written SEC(".maps");

/* (node id, chunk) -> the pages of it that the kernel wrote. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 18);
	__type(key, struct extfuse_chunk_key);
	__type(value, struct extfuse_dirty);
} dirty SEC(".maps");

/* Drop counters: see extfuse_epoch_slot(). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EXTFUSE_EPOCH_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

/* Change counters: see "Change counters" in extfuse_abi.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, EXTFUSE_EPOCH_SLOTS);
	__type(key, __u32);
	__type(value, __u32);
} changes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct extfuse_statfs);
} statfs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EXTFUSE_OP_COUNT *EXTFUSE_OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct extfuse_info);
} info SEC(".maps");

/* In a section of its own: the daemon sets it as the whole of map ".rodata.config". */
const volatile struct extfuse_config mount_config SEC(".rodata.config") = {};

#endif
