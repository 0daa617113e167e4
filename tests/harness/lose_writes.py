#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lose_writes.py DISK LOG SEED: what is on a disk with a volatile cache when its power fails.

DISK is an image as it was when a VM was started, LOG what the VM wrote to it since, as QEMU's blklogwrites
(and Linux's dm-log-writes) put it down.  All that a flush came after is written into DISK; what came
later may be there or not, each write by itself, and some in part."""
import os, random, struct, sys

SECTOR = 512                # as run.sh tells QEMU
MAGIC, VERSION = 0x6A736677736872, 1
FLUSH, FUA, DISCARD = 1, 2, 4


def entries(log):
    """(flags, offset on the disk, length, where its bytes are in the log)."""
    size = os.fstat(log.fileno()).st_size
    magic, version, _, sector = struct.unpack('<QQQI', log.read(28))
    if (magic, version, sector) != (MAGIC, VERSION, SECTOR):
        sys.exit(f'lose_writes: {log.name} is no log of writes')
    at = SECTOR
    while at + SECTOR <= size:
        log.seek(at)
        first, count, flags, _ = struct.unpack('<QQQQ', log.read(32))
        at += SECTOR
        if not count and not flags:
            continue        # the room of one that was under way when the VM was killed
        yield flags, first * SECTOR, count * SECTOR, at
        if not flags & DISCARD:
            at += count * SECTOR


def main():
    disk_path, log_path, seed = sys.argv[1:]
    rng = random.Random(seed)
    log, disk = open(log_path, 'rb'), open(disk_path, 'r+b')
    end = os.fstat(disk.fileno()).st_size
    all_ = list(entries(log))
    durable = max((i for i, entry in enumerate(all_) if entry[0] & FLUSH), default=-1)
    kept = rng.choice([0, 0.5, 0.9])
    lost = torn = 0
    for i, (flags, offset, length, at) in enumerate(all_):
        if not length or flags & DISCARD:   # who discards does not mind
            continue
        if offset + length > end:
            sys.exit(f'lose_writes: a write behind the end of the disk, at {offset}')
        part = range(0, length, SECTOR)
        if i > durable and not flags & FUA:
            if rng.random() >= kept:
                lost += 1
                continue
            if length > SECTOR and rng.random() < 0.1:
                torn += 1
                part = [o for o in part if rng.random() < 0.5]
        log.seek(at)
        data = log.read(length)
        if isinstance(part, range):
            disk.seek(offset)
            disk.write(data)
        else:
            for o in part:
                disk.seek(offset + o)
                disk.write(data[o:o + SECTOR])
    print(f'{len(all_)} writes and flushes; of the {len(all_) - 1 - durable} behind the last flush '
          f'{lost} are lost and {torn} torn')


main()
