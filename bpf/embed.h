/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EXTFUSE_EMBED_H
#define EXTFUSE_EMBED_H

/* The compiled BPF object (an ELF file): from start up to, not including, end. */
extern const unsigned char extfuse_bpf_start[];
extern const unsigned char extfuse_bpf_end[];

#endif
