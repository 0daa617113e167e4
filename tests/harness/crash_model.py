# SPDX-License-Identifier: Apache-2.0
"""What a directory may look like after a crash.

One worker changes one directory, alone, and writes down each operation before it begins and after it
returned.  From that log the states are computed that the directory went through, and what is found
after the crash must be one of those that the contract allows:

  - when the daemon was killed: the state behind the last operation that returned, or behind the one
    under way;
  - after a power failure: any state from the last operation on that promised to be durable.

Bytes that were written and not acknowledged by fsync or close may be there or not, each by itself.
"""
import json, os, random, stat


def content(tag, size):
    return random.Random(tag).randbytes(size)


class File:
    def __init__(self, data=b''):
        self.data = data        # acknowledged
        self.maybe = []         # (offset, bytes): written, not acknowledged
        self.sizes = {len(data)}
        self.xattr = None
        self.mode = 0o644

    def copy(self):
        f = File(self.data)
        f.maybe, f.sizes = list(self.maybe), set(self.sizes)
        f.xattr, f.mode = self.xattr, self.mode
        return f

    def write(self, offset, data):
        size = max(self.sizes)
        self.maybe.append((offset, data))
        self.sizes.add(max(size, offset + len(data)))

    def acknowledge(self):
        data = bytearray(self.data)
        for offset, new in self.maybe:
            if len(data) < offset:
                data += bytes(offset - len(data))
            data[offset:offset + len(new)] = new
        self.data, self.maybe, self.sizes = bytes(data), [], {len(data)}

    def truncate(self, size):
        self.acknowledge()
        self.data = self.data[:size] + bytes(max(0, size - len(self.data)))
        self.sizes = {size}

    def explain(self, found):
        """Why these bytes must not be; None if they may."""
        if len(found) not in self.sizes:
            return f'{len(found)} bytes long, expected {sorted(self.sizes)}'
        if found == self.data:
            return None
        want = self.data[:len(found)] + bytes(max(0, len(found) - len(self.data)))
        if found == want:
            return None
        for at in (i for i in range(len(found)) if found[i] != want[i]):
            if not any(o <= at < o + len(d) and d[at - o] == found[at] for o, d in self.maybe):
                return f'byte {at} is {found[at]}, expected {want[at]}'
        return None


class Tree:
    """Paths of one worker's directory -> File, 'dir', ('link', target) or 'fifo'."""

    def __init__(self):
        self.at = {}

    def copy(self):
        t, files = Tree(), {}
        for path, what in self.at.items():
            if isinstance(what, File):
                if id(what) not in files:
                    files[id(what)] = what.copy()
                what = files[id(what)]
            t.at[path] = what
        return t

    def apply(self, op):
        at, kind, path = self.at, op[0], op[1]
        if kind == 'create':        # create, write, close
            at[path] = File(content(op[2], op[3]))
        elif kind == 'replace':     # a temporary file, renamed over it
            at[path] = File(content(op[2], op[3]))
        elif kind == 'pwrite':      # and fsync
            at[path].write(op[2], content(op[3], op[4]))
            at[path].acknowledge()
        elif kind == 'staged':      # and neither fsync nor close
            at[path].write(op[2], content(op[3], op[4]))
        elif kind == 'fsync':
            at[path].acknowledge()
        elif kind == 'truncate':
            at[path].truncate(op[2])
        elif kind == 'rename':
            moved = {p: w for p, w in at.items() if p == path or p.startswith(path + '/')}
            for p in moved:
                del at[p]
            for p in [p for p in at if p == op[2]]:
                del at[p]
            for p, w in moved.items():
                at[op[2] + p[len(path):]] = w
        elif kind == 'exchange':
            at[path], at[op[2]] = at[op[2]], at[path]
        elif kind == 'link':
            at[op[2]] = at[path]
        elif kind in ('unlink', 'rmdir'):
            del at[path]
        elif kind == 'mkdir':
            at[path] = 'dir'
        elif kind == 'symlink':
            at[path] = ('link', op[2])
        elif kind == 'fifo':
            at[path] = 'fifo'
        elif kind == 'chmod':
            at[path].mode = op[2]
        elif kind == 'xattr':
            at[path].xattr = op[2]
        elif kind not in ('syncdir', 'none'):
            raise ValueError(kind)

    def during(self, op):
        """States that may be seen when it was interrupted, besides before and after."""
        states = []
        if op[0] == 'create':
            t = self.copy()
            f = t.at[op[1]] = File()
            f.write(0, content(op[2], op[3]))
            f.sizes = range(op[3] + 1)
            states.append(t)
        elif op[0] == 'replace':
            t = self.copy()
            f = t.at[op[1] + '.new'] = File()
            f.write(0, content(op[2], op[3]))
            f.sizes = range(op[3] + 1)
            states.append(t)
        elif op[0] == 'pwrite':
            t = self.copy()
            f = t.at[op[1]]
            f.write(op[2], content(op[3], op[4]))
            f.sizes = range(min(f.sizes), max(f.sizes) + 1)
            states.append(t)
        return states

    def explain(self, root):
        """Compare with what is there. None: it is this state."""
        found = dict(walk(root))
        for path in sorted(set(found) | set(self.at)):
            want, is_ = self.at.get(path), found.get(path)
            if want is None or is_ is None:
                return f'{path} is {"there" if is_ else "missing"}'
            st, full = is_, os.path.join(root, path)
            if isinstance(want, File):
                if not stat.S_ISREG(st.st_mode):
                    return f'{path} is no file'
                links = sum(w is want for w in self.at.values())
                if st.st_nlink != links:
                    return f'{path} has {st.st_nlink} links, expected {links}'
                if stat.S_IMODE(st.st_mode) != want.mode:
                    return f'{path} has mode {st.st_mode:o}, expected {want.mode:o}'
                if st.st_size not in want.sizes:
                    return f'{path} is {st.st_size} bytes long, expected {sorted(want.sizes)[:8]}'
                why = want.explain(open(full, 'rb').read())
                if why:
                    return f'{path}: {why}'
                value = os.getxattr(full, 'user.x').decode() if 'user.x' in os.listxattr(full) else None
                if value != want.xattr:
                    return f'{path}: user.x is {value}, expected {want.xattr}'
            elif want == 'dir':
                if not stat.S_ISDIR(st.st_mode):
                    return f'{path} is no directory'
            elif want == 'fifo':
                if not stat.S_ISFIFO(st.st_mode):
                    return f'{path} is no fifo'
            elif not stat.S_ISLNK(st.st_mode) or os.readlink(full) != want[1]:
                return f'{path} is not the symlink it was'
        return None

    @staticmethod
    def load(root):
        """What is there, as the state to begin with."""
        t, files = Tree(), {}
        for path, st in walk(root):
            full = os.path.join(root, path)
            if stat.S_ISREG(st.st_mode):
                if st.st_ino not in files:
                    f = files[st.st_ino] = File(open(full, 'rb').read())
                    f.mode = stat.S_IMODE(st.st_mode)
                    if 'user.x' in os.listxattr(full):
                        f.xattr = os.getxattr(full, 'user.x').decode()
                t.at[path] = files[st.st_ino]
            elif stat.S_ISLNK(st.st_mode):
                t.at[path] = ('link', os.readlink(full))
            else:
                t.at[path] = 'dir' if stat.S_ISDIR(st.st_mode) else 'fifo'
        return t


def walk(root):
    for top, dirs, files in os.walk(root):
        for name in dirs + files:
            full = os.path.join(top, name)
            yield os.path.relpath(full, root), os.lstat(full)


# ---- the worker ----

class Worker:
    """Carries out random operations in a directory until something fails, or `count` of them."""

    def __init__(self, root, log, seed, tree):
        self.root, self.rng, self.tree = root, random.Random(seed), tree
        self.seed, self.fds = seed, {}
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)

    def note(self, *what):
        os.write(self.log, (json.dumps(what) + '\n').encode())

    def full(self, path):
        return os.path.join(self.root, path)

    def choose(self):
        r, at = self.rng, self.tree.at
        files = sorted(p for p, w in at.items() if isinstance(w, File))
        dirs = sorted(p for p, w in at.items() if w == 'dir')
        others = sorted(p for p, w in at.items() if isinstance(w, tuple) or w == 'fifo')
        new = os.path.join(r.choice(dirs + [''] * 2), f'n{r.randrange(10 ** 6)}')
        size = r.choice([0, r.randrange(100), r.randrange(70000), r.randrange(300000),
                         r.randrange(6 << 20) if r.random() < 0.1 else 5000])
        tag = r.randrange(10 ** 9)
        kind = r.choice(['create'] * 3 + ['replace'] * 3 + ['pwrite'] * 4 + ['staged'] * 3 + [
            'fsync', 'truncate', 'truncate', 'rename', 'rename', 'rename', 'exchange', 'link', 'unlink',
            'unlink', 'mkdir', 'rmdir', 'symlink', 'fifo', 'chmod', 'xattr', 'syncdir'])
        if len(files) > 40:
            kind = r.choice(['unlink', kind])
        if kind in ('create', 'mkdir', 'symlink', 'fifo') or not files:
            if new in at:
                return self.choose()
            return {'mkdir': ('mkdir', new), 'fifo': ('fifo', new),
                    'symlink': ('symlink', new, f't{tag}')}.get(kind, ('create', new, tag, size))
        path = r.choice(files)
        f = at[path]
        if kind == 'replace':
            # Two of its names would have to be told apart, and what is open stays with the old one.
            fine = f not in self.open_files() and path + '.new' not in at
            return (kind, path, tag, size) if fine else self.choose()
        if kind in ('pwrite', 'staged'):
            return (kind, path, r.randrange(max(f.sizes) + 1000), tag, r.randrange(1, 100000))
        if kind == 'fsync':
            return (kind, path)
        if kind == 'truncate':
            return (kind, path, r.randrange(max(f.sizes) + 5000))
        if kind == 'link':
            return (kind, path, new) if new not in at else self.choose()
        if kind == 'chmod':
            return (kind, path, r.choice([0o600, 0o644, 0o755]))
        if kind == 'xattr':
            return (kind, path, str(tag))
        if kind == 'syncdir':
            return (kind, '')
        if kind == 'rmdir':
            empty = [d for d in dirs if not any(p.startswith(d + '/') for p in at)]
            return (kind, r.choice(empty)) if empty else self.choose()
        if kind == 'unlink':
            return (kind, r.choice(files + others))
        if kind == 'exchange':
            other = r.choice(files)
            return (kind, path, other) if other != path and at[other] is not f else self.choose()
        # rename: a file over a file, or anything to a new name
        if r.random() < 0.5:
            target = r.choice(files)
            return ('rename', path, target) if at[target] is not f else self.choose()
        path = r.choice(files + dirs + others)
        if new in at or new.startswith(path + '/'):
            return self.choose()
        return ('rename', path, new)

    def open_files(self):
        return [f for f, _ in self.fds.values()]

    def do(self, op):
        kind, path = op[0], self.full(op[1])
        if kind in ('create', 'replace'):
            name = path + ('.new' if kind == 'replace' else '')
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            os.write(fd, content(op[2], op[3]))
            os.close(fd)
            if kind == 'replace':
                os.rename(name, path)
        elif kind in ('pwrite', 'staged', 'fsync'):
            f = self.tree.at[op[1]]
            if id(f) not in self.fds:
                self.fds[id(f)] = (f, os.open(path, os.O_RDWR))
            fd = self.fds[id(f)][1]
            if kind != 'fsync':
                data = content(op[3], op[4])
                done = os.pwrite(fd, data, op[2])
                if done < len(data):
                    os.fsync(fd)        # the daemon is gone, or it is no excuse
                    raise AssertionError(f'pwrite of {len(data)} bytes wrote {done}')
            if kind != 'staged':
                os.fsync(fd)
        elif kind == 'truncate':
            os.truncate(path, op[2])
        elif kind == 'rename':
            os.rename(path, self.full(op[2]))
        elif kind == 'exchange':
            rename_exchange(path, self.full(op[2]))
        elif kind == 'link':
            os.link(path, self.full(op[2]))
        elif kind == 'unlink':
            os.unlink(path)
        elif kind == 'mkdir':
            os.mkdir(path)
        elif kind == 'rmdir':
            os.rmdir(path)
        elif kind == 'symlink':
            os.symlink(op[2], path)
        elif kind == 'fifo':
            os.mkfifo(path)
        elif kind == 'chmod':
            os.chmod(path, op[2])
        elif kind == 'xattr':
            os.setxattr(path, 'user.x', op[2].encode())
        elif kind == 'syncdir':
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.close(fd)

    def run(self, count):
        """@return the errno that ended it, or 0."""
        for _ in range(count):
            op = self.choose()
            self.note('begin', *op)
            try:
                self.do(op)
            except OSError as e:
                self.note('error', e.errno, str(e))
                return e.errno
            self.note('end')
            self.tree.apply(op)
            if len(self.fds) > 4:
                key = self.rng.choice(sorted(self.fds))
                f, fd = self.fds.pop(key)
                name = [p for p, w in self.tree.at.items() if w is f]
                # A close with nothing to wait for: it says nothing of what is not named any more.
                self.note('begin', *(('fsync', name[0]) if name else ('none', '')))
                try:
                    os.close(fd)
                except OSError as e:
                    self.note('error', e.errno, str(e))
                    return e.errno
                self.note('end')
                if name:
                    f.acknowledge()
        return 0


def rename_exchange(a, b):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2) < 0:
        raise OSError(ctypes.get_errno(), 'renameat2', a)


# ---- after the crash ----

def promises(op, tree):
    """Does its return promise that all before it is durable, and itself?"""
    return (op[0] in ('pwrite', 'syncdir') or op[0] in ('create', 'replace') and op[3] > 0 or
            op[0] == 'fsync' and bool(tree.at[op[1]].maybe))


def check(root, log, tree, power_failure=False):
    """@return why what is in root is none of the states that are allowed; None if it is one."""
    begun, states = None, [tree.copy()]
    for line in open(log):
        if not line.endswith('\n'):
            break               # the log itself was cut off
        what = json.loads(line)
        if what[0] == 'begin':
            begun = what[1:]
        elif what[0] == 'end':
            last = states[-1]
            if not power_failure or promises(begun, last):
                states = []
            if power_failure and begun[0] in ('create', 'replace'):
                states += last.during(begun)    # the rename behind the close promises nothing
            last = last.copy()
            last.apply(begun)
            states.append(last)
            begun = None
    if begun:
        last = states[-1]
        after = last.copy()
        after.apply(begun)
        states += last.during(begun) + [after]
    whys = []
    for state in states:
        why = state.explain(root)
        if why is None:
            return None
        whys.append(why)
    return f'under way: {begun}; ' + '; '.join(dict.fromkeys(whys))
