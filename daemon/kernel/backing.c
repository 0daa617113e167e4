/* SPDX-License-Identifier: Apache-2.0 */
/* Cache files that the kernel may read by itself, and the barrier before one is touched. */
#include "common/log.h"
#include "daemon/kernel/internal.h"

#include <sys/ioctl.h>

uint64_t kernel_backing_add(struct kernel *k, int fd)
{
	struct extfuse_ioc_backing backing = {.fd = fd};

	if (!k)
		return 0;
	if (ioctl(k->device_fd, EXTFUSE_IOC_BACKING_ADD, &backing) < 0) {
		log_debug("registering a cache file with the kernel: %m");
		return 0;
	}
	atomic_fetch_add(&k->backing_files, 1);
	return backing.id;
}

void kernel_backing_del(struct kernel *k, uint64_t id)
{
	if (!k || !id)
		return;
	if (ioctl(k->device_fd, EXTFUSE_IOC_BACKING_DEL, &id) < 0)
		log_debug("taking backing file %llu back: %m", (unsigned long long)id);
	else
		atomic_fetch_sub(&k->backing_files, 1);
}

bool kernel_is_mapped(struct kernel *k, int fd)
{
	int r;

	if (!k)
		return false;
	r = ioctl(k->device_fd, EXTFUSE_IOC_MAPPED, &fd);
	if (r < 0)
		log_debug("asking whether a cache file is mapped: %m");
	return r != 0; /* who cannot say does not say no */
}

void kernel_barrier(struct kernel *k)
{
	/* Interrupted by a signal it has not waited; nothing may go on before it has. */
	while (k && ioctl(k->device_fd, EXTFUSE_IOC_BARRIER) < 0 && errno == EINTR)
		;
}

void kernel_settle(struct kernel *k)
{
	while (k && ioctl(k->device_fd, EXTFUSE_IOC_SETTLE) < 0 && errno == EINTR)
		;
}
