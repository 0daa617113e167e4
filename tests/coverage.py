#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""coverage.py [--min=PERCENT] [--files] [--missed] BUILD FOLDER...: how many lines below the folders
were executed, by what gcc's --coverage left in BUILD.  A table of folders (with --files: of files, the least
covered first; with --missed: and the lines); status 1 if one of the given folders is below PERCENT."""

import argparse
import collections
import json
import os
import subprocess
import sys


def counted(build, folders):
    """{source: {line: executions}}; a header's lines are those of all who include it."""
    notes = [os.path.join(where, name) for folder in folders
             for where, _, names in os.walk(os.path.join(build, folder)) for name in names if name.endswith(".gcno")]
    if not notes:
        sys.exit(f"coverage: nothing below {build} was built for it; run 'make coverage'")
    said = subprocess.run(["gcov", "--json-format", "--stdout", *sorted(notes)], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    sources = collections.defaultdict(lambda: collections.defaultdict(int))
    for text in said.splitlines():
        for source in json.loads(text)["files"] if text.startswith("{") else ():
            if source["file"].split("/")[0] in folders:
                for line in source["lines"]:
                    sources[source["file"]][line["line_number"]] += line["count"]
    return sources


def ranges(numbers):
    """[3, 4, 5, 9] -> "3-5 9", where only lines without code lie between what is joined."""
    parts = []
    for number in numbers:
        if parts and number <= parts[-1][1] + 2:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(f"{a}-{b}" if a != b else str(a) for a, b in parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--min", type=float, default=0)
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("build")
    parser.add_argument("folders", nargs="+")
    args = parser.parse_args()

    sources = counted(args.build, args.folders)
    totals = collections.defaultdict(lambda: [0, 0])  # executed, all
    for source, lines in sources.items():
        folder = os.path.dirname(source)
        while folder:
            totals[folder + "/"][0] += sum(1 for n in lines.values() if n)
            totals[folder + "/"][1] += len(lines)
            folder = os.path.dirname(folder)
    show = lambda name, good, of: print(f"{name:<36} {good:>6} of {of:>6} lines  {100 * good / of:5.1f} %")
    if args.files or args.missed:
        done = {s: (sum(1 for n in lines.values() if n), len(lines)) for s, lines in sources.items() if lines}
        for source in sorted(done, key=lambda s: done[s][0] / done[s][1]):
            show(source, *done[source])
            if args.missed and done[source][0] < done[source][1]:
                print("   ", ranges(sorted(n for n, times in sources[source].items() if not times)))
    for name in sorted(totals):
        show(name, *totals[name])

    low = [f for f in args.folders if totals[f + "/"][0] * 100 < totals[f + "/"][1] * args.min]
    for folder in low:
        print(f"coverage: {folder}/ is below {args.min:g} %")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main())
