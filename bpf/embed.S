/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF object's bytes, for programs to load from memory: see embed.h. */
	.section .rodata
	.balign 16
	.global extfuse_bpf_start, extfuse_bpf_end
extfuse_bpf_start:
	.incbin EXTFUSE_BPF_OBJECT
extfuse_bpf_end:
	.section .note.GNU-stack, "", @progbits
