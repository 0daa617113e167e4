#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the table of `make bench` from what bench.sh wrote, and with --json and --svg a file of all figures and
a drawing of the ratios to ext4.

In the table: the median of five rounds; how many times ext4's that is; and by how much the quickest and the slowest
round are apart, half of it, in percent of the median."""
import argparse, json, math

import svg

CLOCKS = {'time': 'microseconds', 'instructions': 'instructions'}


def run_of(path):
    """@return {clock, kernel, ..., columns: {name: title}, rows: {operation: title}, figures: [...]}"""
    with open(path) as f:
        lines = [json.loads(line) for line in f]
    run = dict(lines[0], columns={}, rows={}, figures=[])
    for line in lines[1:]:
        if 'column' in line:
            run['columns'][line['column']] = line['title']
        else:
            run['rows'][line['operation']] = line.pop('title')
            run['figures'].append(line)
    for figure in run['figures']:
        figure['ratio'] = round(figure['ns'] / figure_of(run, 'ext4', figure['operation'])['ns'], 3)
    return run


def figure_of(run, column, row):
    """@return {ns, lowest, highest, ...} or None."""
    return next((f for f in run['figures'] if (f['where'], f['operation']) == (column, row)), None)


def number(value):
    return f'{value:.1f}' if value < 100 else f'{value:,.0f}'.replace(',', ' ')


def times(ratio):
    return f'{ratio:.2f}x' if ratio < 10 else f'{ratio:.0f}x'


def table(run):
    scale = 1000 if run['clock'] == 'time' else 1
    lines = [[CLOCKS[run['clock']], *(cell for title in run['columns'].values() for cell in (title, '', ''))]]
    for row, title in run['rows'].items():
        line = [title]
        for column in run['columns']:
            figure = figure_of(run, column, row)
            spread = (figure['highest'] - figure['lowest']) / 2 / figure['ns']
            value = figure['ns'] / scale
            line += [number(value) if scale > 1 else f'{value:.0f}', '' if column == 'ext4' else times(figure['ratio']),
                     f'\u00b1{100 * spread:.0f}%' if spread >= 0.01 else f'\u00b1{100 * spread:.1f}%']
        lines.append(line)
    # The titles of the columns reach over the figures below.
    widths = [max(len(line[i]) for line in lines[1:]) for i in range(len(lines[0]))]
    widths[0] = max(len(line[0]) for line in lines)
    for i in range(1, len(widths), 3):
        widths[i] += max(0, len(lines[0][i]) - sum(widths[i:i + 3]) - 2)
    yield lines[0][0].ljust(widths[0]) + ''.join(
        lines[0][i].rjust(sum(widths[i:i + 3]) + 2 + 3) for i in range(1, len(widths), 3)).rstrip()
    for line in lines[1:]:
        yield line[0].ljust(widths[0]) + ''.join(
            ('   ' if i % 3 == 1 else ' ') + line[i].rjust(widths[i]) for i in range(1, len(widths))).rstrip()


# ---- the drawing: for each operation a bar for each column but ext4, on a logarithmic scale ----

LEFT, TOP, WIDTH, BAR, GAP, RIGHT = 270, 60, 420, 11, 10, 70
COLOURS = ['#2a9d5c', '#c98a00', '#8a4fbf', '#c0392b', '#1b6ca8']


def panel(x, run):
    columns = [c for c in run['columns'] if c != 'ext4']
    ratios = [f[k] / figure_of(run, 'ext4', f['operation'])['ns'] for f in run['figures'] if f['where'] != 'ext4'
              for k in ('lowest', 'highest')]
    first, last = math.floor(math.log10(min(*ratios, 1))), math.ceil(math.log10(max(*ratios, 1.001)))
    height = len(run['rows']) * (len(columns) * BAR + GAP)

    def at(ratio):
        return WIDTH * (math.log10(ratio) - first) / (last - first)

    out = [f'<g transform="translate({x + LEFT},{TOP})">'
           f'<text x="{-LEFT + 20}" y="-36" class="title">{"Time" if run["clock"] == "time" else "Instructions"}'
           f' of one operation, as a multiple of ext4\'s</text>']
    for i, column in enumerate(columns):
        out.append(f'<rect x="{-LEFT + 20 + 170 * i}" y="-26" width="10" height="10" fill="{COLOURS[i]}"/>'
                   f'<text x="{-LEFT + 34 + 170 * i}" y="-17">{run["columns"][column]}</text>')
    for power in range(first, last + 1):
        for n in range(1, 10 if power < last else 2):
            ratio = n * 10.0 ** power
            out.append(f'<line x1="{at(ratio):.1f}" y1="0" x2="{at(ratio):.1f}" y2="{height}" class="grid"/>')
        out.append(f'<text x="{at(10.0 ** power):.1f}" y="{height + 16}" text-anchor="middle">{10.0 ** power:g}x</text>')
    y = GAP / 2
    for row, title in run['rows'].items():
        out.append(f'<text x="-8" y="{y + len(columns) * BAR / 2 + 4}" text-anchor="end">{title}</text>')
        for i, column in enumerate(columns):
            figure, base = figure_of(run, column, row), figure_of(run, 'ext4', row)['ns']
            low, high = sorted((at(1), at(figure['ratio'])))
            middle = y + BAR / 2
            out.append(f'<rect x="{low:.1f}" y="{y}" width="{max(high - low, 0.5):.1f}" height="{BAR - 2}" fill="{COLOURS[i]}"/>'
                       f'<line x1="{at(figure["lowest"] / base):.1f}" y1="{middle - 1}" x2="{at(figure["highest"] / base):.1f}" '
                       f'y2="{middle - 1}" stroke="black"/>'
                       f'<text x="{max(at(figure["highest"] / base), high) + 4:.1f}" y="{y + BAR - 2}" font-size="10">'
                       f'{times(figure["ratio"])}</text>')
            y += BAR
        y += GAP
    out.append(f'<line x1="{at(1):.1f}" y1="0" x2="{at(1):.1f}" y2="{height}" stroke="black"/></g>')
    return out, TOP + height + 30


def drawing(runs):
    parts, height, x = [], 0, 0
    for run in runs:
        drawn, tall = panel(x, run)
        parts += drawn
        height = max(height, tall)
        x += LEFT + WIDTH + RIGHT
    return svg.document(x, height, parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', help='keep all figures in this file')
    parser.add_argument('--svg', help='draw them into this file')
    parser.add_argument('--draw', help='take the figures from this JSON file')
    parser.add_argument('rows', nargs='*', help='what bench.sh wrote; the first goes first')
    args = parser.parse_args()
    runs = [run_of(path) for path in args.rows]
    if args.draw:
        with open(args.draw) as f:
            runs = json.load(f)
    for run in runs:
        print('\n'.join(table(run)), end='\n\n')
    if args.json:
        with open(args.json, 'w') as f:
            f.write('[' + ',\n'.join('{' + ',\n'.join(f'{json.dumps(key)}: ' + (json.dumps(value) if key != 'figures' else
                    '[\n' + ',\n'.join(map(json.dumps, value)) + ']') for key, value in run.items()) + '}' for run in runs) + ']\n')
    if args.svg:
        with open(args.svg, 'w') as f:
            f.write(drawing(runs))


main()
