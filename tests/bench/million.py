#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Create, list, stat, rename and delete a million files on a real mount, in one directory and in a tree, and
say how long one operation takes and what memory the daemon has as the number of files grows.

The result is a table, and with --json and --svg a file of all figures and a drawing of them.  Nothing
passes or fails on a time; a file too many or too few is an error."""
import argparse, json, os, shutil, subprocess, sys, tempfile, time

import svg

SHAPES = {'flat': 'one directory', 'tree': 'a tree'}
PHASES = ['create', 'list', 'stat', 'delete']


def tree_size(path):
    """Bytes that the files below it take."""
    total = 0
    for where, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:   # a table that was merged away
                pass
    return total


def forget_names():
    """Make the kernel forget what it knows of names and inodes, as far as we may."""
    try:
        with open('/proc/sys/vm/drop_caches', 'w') as f:
            f.write('2')
    except OSError:
        pass


class Volume:
    def __init__(self, build, where):
        self.build, self.where = build, where
        self.at = {name: os.path.join(where, name) for name in ('volume', 'meta', 'cache', 'mnt')}
        for path in self.at.values():
            os.mkdir(path, 0o700)
        self.source = 'file://' + self.at['volume']
        self.tool('format', self.source, '--meta-dir', self.at['meta'])

    def tool(self, *args):
        """@return how long it took, in seconds, and its peak memory in KiB."""
        start = time.monotonic()
        process = subprocess.Popen([os.path.join(self.build, 'curvefs'), *args], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f'curvefs {args[0]} failed')
        return time.monotonic() - start, usage.ru_maxrss

    def mounted(self):
        return any(line.split()[1] == self.at['mnt'] for line in open('/proc/self/mounts'))

    def mount(self, options):
        start = time.monotonic()
        self.daemon = subprocess.Popen(
            [os.path.join(self.build, 'curvefs-fuse'), '-f', '--bpf-cache=off', '--meta-dir', self.at['meta'],
             '--cache-dir', self.at['cache'], *options, self.source, self.at['mnt']], stdin=subprocess.DEVNULL)
        while not self.mounted():
            if self.daemon.poll() is not None:
                sys.exit(f'curvefs-fuse ended with {self.daemon.returncode}')
            time.sleep(0.005)
        return time.monotonic() - start

    def umount(self):
        """@return how long that took."""
        start = time.monotonic()
        subprocess.run(['umount', self.at['mnt']], check=True)
        if self.daemon.wait() != 0:
            sys.exit(f'curvefs-fuse ended with {self.daemon.returncode}')
        return time.monotonic() - start

    def clear(self):
        if self.mounted():
            subprocess.run(['umount', '-l', self.at['mnt']])
        if self.daemon.poll() is None:
            self.daemon.kill()
        self.daemon.wait()


def run_shape(args, shape, where):
    volume = Volume(args.build, where)
    steps = []
    once = {'mount_s': volume.mount(args.option)}
    try:
        for phase in PHASES:
            forget_names()
            process = subprocess.Popen(
                [os.path.join(args.build, 'tests/bench/million'), phase, volume.at['mnt'], shape,
                 *map(str, (args.files, args.step, args.bytes, volume.daemon.pid))], stdout=subprocess.PIPE, text=True)
            for line in process.stdout:
                step = dict(json.loads(line), shape=shape, meta_bytes=tree_size(volume.at['meta']))
                steps.append(step)
                print_step(step)
            if process.wait() != 0:
                sys.exit(f'{phase} failed')
            if phase == 'stat':
                # A volume that is full: how long its coming and going takes.
                once['umount_full_s'] = volume.umount()
                once['meta_bytes'] = tree_size(volume.at['meta'])
                once['fsck_s'], once['fsck_kib'] = volume.tool('fsck', volume.source, '--meta-dir', volume.at['meta'])
                once['mount_full_s'] = volume.mount(args.option)
        once['umount_s'] = volume.umount()
        once['fsck_empty_s'], _ = volume.tool('fsck', volume.source, '--meta-dir', volume.at['meta'])
    finally:
        volume.clear()
    return steps, once


HEAD = f'{"":6}{"":8}{"files":>9}{"us each":>10}{"stat us":>10}{"rename us":>11}{"first us":>10}{"RSS MiB":>9}{"meta MiB":>10}'


def print_step(step):
    extra = [f'{step[name]:.1f}' if name in step else '' for name in ('stat_us', 'rename_us', 'first_us')]
    print(f'{step["shape"]:6}{step["phase"]:8}{step["files"]:9}{step["us"]:10.1f}{extra[0]:>10}{extra[1]:>11}{extra[2]:>10}'
          f'{step["rss_kib"] / 1024:9.1f}{step["meta_bytes"] / 2**20:10.1f}', flush=True)


# ---- the drawing ----

WIDTH, HEIGHT, LEFT, TOP, GAP = 330, 200, 60, 40, 70
COLOURS = {'create': '#1b6ca8', 'delete': '#c0392b', 'stat': '#c98a00', 'list': '#777777', 'stat_us': '#2a9d5c',
           'rename_us': '#8a4fbf', 'first_us': '#d16ba5'}
# Phase, figure, divided by, name of the curve, colour.
COLUMNS = {
    'Time of one operation': ('microseconds', [
        ('create', 'us', 1, 'create', 'create'), ('delete', 'us', 1, 'delete', 'delete'), ('stat', 'us', 1, 'ls -l, a name', 'stat'),
        ('list', 'us', 1, 'ls, a name', 'list'), ('create', 'stat_us', 1, 'stat one at random', 'stat_us'),
        ('create', 'rename_us', 1, 'rename the top directory', 'rename_us')]),
    'Computing time of the daemon': ('microseconds', [
        ('create', 'cpu_us', 1, 'create', 'create'), ('delete', 'cpu_us', 1, 'delete', 'delete'),
        ('stat', 'cpu_us', 1, 'ls -l, a name', 'stat'), ('list', 'cpu_us', 1, 'ls, a name', 'list')]),
    'Memory of the daemon': ('MiB resident', [
        ('create', 'rss_kib', 1024, 'creating', 'create'), ('delete', 'rss_kib', 1024, 'deleting', 'delete'),
        ('stat', 'rss_kib', 1024, 'ls -l', 'stat'), ('list', 'rss_kib', 1024, 'ls', 'list')]),
}


def nice(value):
    """The next round number."""
    step = 1
    while True:
        for n in (1, 2, 5):
            if n * step >= value:
                return n * step
        step *= 10


def panel(x, y, title, unit, curves, files):
    """@return SVG of one diagram; curves: (name, colour, [(files, value)])."""
    top = nice(max((value for _, _, points in curves for _, value in points), default=1))
    out = [f'<g transform="translate({x},{y})"><text x="0" y="-12" class="title">{title}</text>']
    for i in range(5):
        at = HEIGHT - HEIGHT * i / 4
        out.append(f'<line x1="0" y1="{at}" x2="{WIDTH}" y2="{at}" class="grid"/>'
                   f'<text x="-6" y="{at + 4}" text-anchor="end">{top * i / 4:g}</text>')
        count = files * i / 4
        out.append(f'<text x="{WIDTH * i / 4}" y="{HEIGHT + 16}" text-anchor="middle">{count / 1000:g}k</text>')
    out.append(f'<text x="-44" y="{HEIGHT / 2}" transform="rotate(-90 -44 {HEIGHT / 2})" text-anchor="middle">{unit}</text>')
    for i, (name, colour, points) in enumerate(curves):
        line = ' '.join(f'{WIDTH * n / files:.1f},{HEIGHT - HEIGHT * value / top:.1f}' for n, value in points)
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{WIDTH * (i % 2) / 2}" y="{HEIGHT + 36 + 16 * (i // 2)}" fill="{colour}">{name}</text>')
    return '\n'.join(out) + '</g>'


def drawing(result):
    files, shapes = result['files'], [s for s in SHAPES if any(step['shape'] == s for step in result['steps'])]
    across, down = WIDTH + GAP, HEIGHT + 120
    out = []
    for row, shape in enumerate(shapes):
        for column, (title, (unit, kinds)) in enumerate(COLUMNS.items()):
            curves = [(name, COLOURS[colour], [(s['files'], s[key] / scale) for s in result['steps']
                                               if s['shape'] == shape and s['phase'] == phase and key in s])
                      for phase, key, scale, name, colour in kinds]
            out.append(panel(LEFT + column * across, TOP + row * down, f'{title}, {SHAPES[shape]}', unit, curves, files))
    return svg.document(LEFT + len(COLUMNS) * across, TOP + down * len(shapes), out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--build', default='build')
    parser.add_argument('--files', type=int, default=1000000)
    parser.add_argument('--step', type=int, default=0, help='default: a twentieth of the files')
    parser.add_argument('--bytes', type=int, default=0, help='size of each file')
    parser.add_argument('--shape', choices=[*SHAPES, 'both'], default='both')
    parser.add_argument('--dir', help='where to have the volume (default: a temporary directory)')
    parser.add_argument('--json', help='keep all figures in this file')
    parser.add_argument('--svg', help='draw them into this file')
    parser.add_argument('--draw', help='draw the figures of this JSON file, without a new run')
    parser.add_argument('option', nargs='*', help='options for the mount, behind "--"')
    args = parser.parse_args()
    args.step = args.step or max(args.files // 20, 1)
    if args.draw:
        result = json.load(open(args.draw))
    else:
        result = {'files': args.files, 'bytes': args.bytes, 'step': args.step, 'options': args.option, 'once': {},
                  'steps': []}
        print(HEAD)
        for shape in SHAPES if args.shape == 'both' else [args.shape]:
            where = tempfile.mkdtemp(prefix='curvefs-million.', dir=args.dir)
            try:
                steps, result['once'][shape] = run_shape(args, shape, where)
            finally:
                shutil.rmtree(where, ignore_errors=True)
            result['steps'] += steps
            print(shape, ', '.join(f'{name} {value:.1f}' for name, value in result['once'][shape].items()))
        if args.json:
            with open(args.json, 'w') as f:
                f.write('{' + ',\n'.join(f'"{key}": ' + (json.dumps(value) if key != 'steps' else
                        '[\n' + ',\n'.join(map(json.dumps, value)) + ']') for key, value in result.items()) + '}\n')
    if args.svg:
        with open(args.svg, 'w') as f:
            f.write(drawing(result))


main()
