// SPDX-License-Identifier: GPL-2.0
#include "stats.bpf.h"

SEC("struct_ops/extfuse_request")
int BPF_PROG(extfuse_request, struct extfuse_request *req)
{
	if (mount_config.events)
		count(EXTFUSE_OP_OTHER, EXTFUSE_PASS);
	return EXTFUSE_V_PASS;
}

SEC("struct_ops/extfuse_read")
int BPF_PROG(extfuse_read, struct extfuse_read *rd)
{
	return EXTFUSE_V_PASS;
}

SEC(".struct_ops.link")
struct extfuse_ops extfuse = {
	.request = (void *)extfuse_request,
	.read = (void *)extfuse_read,
	.abi_version = EXTFUSE_ABI_VERSION,
};

char LICENSE[] SEC("license") = "GPL";
