# SPDX-License-Identifier: Apache-2.0
"""concurrent.py DIRECTORY SECONDS PROCESSES: processes that replace, rename, link, write, cut and remove
files, those of each other and their own. What a read gives must be one writer's whole content (shared
files are replaced by rename), or exactly what the process itself wrote last."""
import multiprocessing
import os
import random
import sys
import time

SHARED_SIZES = (10, 5000, 70000, 300000)


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Worker:
    def __init__(self, number):
        self.number = number
        self.random = random.Random(number)
        self.own = f"own{number}"
        self.content = {}  # of the files in own
        os.makedirs(self.own, exist_ok=True)

    def shared(self):
        return f"shared{self.random.randrange(8)}"

    def pick(self):
        return self.random.choice(list(self.content))

    def replace(self):
        text = bytes([65 + self.number % 26]) * self.random.choice(SHARED_SIZES)
        with open(f"new{self.number}", "wb") as f:
            f.write(text)
        os.rename(f"new{self.number}", self.shared())

    def read_shared(self):
        text = read(self.shared())
        assert len(set(text)) == 1 and len(text) in SHARED_SIZES, (len(text), set(text))

    def unlink(self):
        os.unlink(self.shared())

    def rename(self):
        os.rename(self.shared(), self.shared())

    def look(self):
        os.listdir(".")
        os.stat(self.shared())

    def link(self):
        os.link(self.shared(), f"link{self.number}")
        os.unlink(f"link{self.number}")

    def write(self):
        name = f"{self.own}/{self.random.randrange(10)}"
        text = self.random.randbytes(self.random.randrange(200000))
        with open(name, "wb") as f:
            f.write(text)
        self.content[name] = text

    def check(self):
        name = self.pick()
        assert read(name) == self.content[name], name
        assert os.stat(name).st_size == len(self.content[name]), name

    def patch(self):
        name = self.pick()
        text = bytearray(self.content[name])
        at = self.random.randrange(len(text) + 1)
        piece = self.random.randbytes(self.random.randrange(1, 5000))
        text[at : at + len(piece)] = piece
        self.content[name] = bytes(text)
        with open(name, "r+b") as f:
            f.seek(at)
            f.write(piece)
            f.flush()
            # Not stored yet: nobody may be told the old size, by whichever request.
            for entry in os.scandir(self.own):
                entry.stat()
            assert os.fstat(f.fileno()).st_size == len(text), name
            f.seek(0)
            assert f.read() == text, name

    def truncate(self):
        name = self.pick()
        size = self.random.randrange(300000)
        os.truncate(name, size)
        self.content[name] = self.content[name][:size].ljust(size, b"\0")

    def run(self, seconds):
        end, done = time.time() + seconds, 0
        on_shared = [self.replace, self.unlink, self.rename, self.look, self.link] + [self.read_shared] * 3
        on_own = [self.check, self.patch, self.truncate]
        while time.time() < end:
            step = self.random.choice(on_shared + [self.write] + (on_own if self.content else []))
            try:
                step()
            except FileNotFoundError:
                assert step in on_shared
            done += 1
        for name, text in self.content.items():
            assert read(name) == text, name
        return done


def work(number):
    return Worker(number).run(float(sys.argv[2]))


if __name__ == "__main__":
    os.chdir(sys.argv[1])
    with multiprocessing.Pool(int(sys.argv[3])) as pool:
        print(sum(pool.map(work, range(int(sys.argv[3])), 1)), "operations")
