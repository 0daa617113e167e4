/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring's consumer: what the kernel dropped by itself, and what it began to write.  A record is a wake-up
 * and an audit; the maps are the truth, so a lost one is counted and costs nothing.
 */
#include "common/log.h"
#include "daemon/kernel/internal.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_WAKE_EVERY 32 /* records, a page of them; fewer are taken at the next tick */
#define RING_TICK_MS 500

static void take_record(void *arg, int cpu, void *data, uint32_t size)
{
	struct kernel *k = arg;
	const struct extfuse_event *event = data;

	/* The kernel pads a record to 8 bytes. */
	if (size < sizeof(*event) || event->op >= EXTFUSE_OP_COUNT ||
	    (event->kind != EXTFUSE_EVENT_DROP && event->kind != EXTFUSE_EVENT_WRITE)) {
		log_debug("ring of CPU %d: a record of %u bytes is not understood", cpu, size);
		atomic_fetch_add(&k->ring_lost, 1);
		return;
	}
	atomic_fetch_add(&k->ring_records, 1);
	if (event->kind == EXTFUSE_EVENT_WRITE) {
		log_debug("kernel writes inode %llu", (unsigned long long)event->ino);
		pthread_mutex_lock(&k->on_write_lock);
		if (k->on_write)
			k->on_write(k->on_write_arg, event->ino);
		pthread_mutex_unlock(&k->on_write_lock);
		return;
	}
	log_debug("kernel dropped inode %llu, names in %llu and %llu (operation %u)",
	          (unsigned long long)event->ino, (unsigned long long)event->parent,
	          (unsigned long long)event->new_parent, event->op);
}

void kernel_on_write(struct kernel *k, void (*fn)(void *arg, uint64_t ino), void *arg)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->on_write_lock);
	k->on_write = fn;
	k->on_write_arg = arg;
	pthread_mutex_unlock(&k->on_write_lock);
}

static void count_lost(void *arg, int cpu, __u64 count)
{
	struct kernel *k = arg;

	atomic_fetch_add(&k->ring_lost, count);
	log_debug("ring of CPU %d: %llu records lost", cpu, (unsigned long long)count);
}

static void *consume(void *arg)
{
	struct kernel *k = arg;
	struct pollfd fds[] = {
		{.fd = perf_buffer__epoll_fd(k->ring), .events = POLLIN},
		{.fd = k->ring_stop_fd, .events = POLLIN},
	};

	for (;;) {
		if (poll(fds, 2, RING_TICK_MS) < 0 && errno != EINTR)
			break;
		perf_buffer__consume(k->ring);
		if (fds[1].revents)
			break;
		/* Reset the level that epoll reports. */
		perf_buffer__poll(k->ring, 0);
	}
	return NULL;
}

int kernel_events_start(struct kernel *k, uint32_t ring_pages)
{
	struct perf_buffer_opts opts = {.sz = sizeof(opts), .sample_period = RING_WAKE_EVERY};

	k->ring = perf_buffer__new(k->map_fd[MAP_EVENTS], ring_pages, take_record, count_lost, k, &opts);
	if (!k->ring)
		return -errno;
	k->ring_stop_fd = eventfd(0, EFD_CLOEXEC);
	if (k->ring_stop_fd < 0)
		return -errno;
	if (pthread_create(&k->ring_thread, NULL, consume, k))
		return -EAGAIN;
	k->ring_running = true;
	return 0;
}

void kernel_events_stop(struct kernel *k)
{
	const uint64_t one = 1;

	if (k->ring_running) {
		while (write(k->ring_stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
		pthread_join(k->ring_thread, NULL);
		k->ring_running = false;
	}
	if (k->ring_stop_fd >= 0)
		close(k->ring_stop_fd);
	k->ring_stop_fd = -1;
	perf_buffer__free(k->ring);
	k->ring = NULL;
}
