/* SPDX-License-Identifier: Apache-2.0 */
/* The text of kpatch-extfuse/fuse.known, and a NUL: see fuse_known.h. */
	.section .rodata
	.global fuse_known_list
fuse_known_list:
	.incbin "kpatch-extfuse/fuse.known"
	.byte 0
	.section .note.GNU-stack, "", @progbits
