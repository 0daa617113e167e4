# SPDX-License-Identifier: Apache-2.0
"""What the drawings of million.py and bench.py have in common."""


def document(width, height, parts):
    """@return the whole SVG file; parts: SVG elements, drawn one over the other."""
    return '\n'.join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">',
        '<style>.grid{stroke:#ddd} .title{font-weight:bold;font-size:14px}</style>',
        '<rect width="100%" height="100%" fill="white"/>', *parts, '</svg>\n'])
