"""The settings that a page of `docs/` shows: its blocks of Python, by their headings."""

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
_BLOCK = re.compile(
    r"^#+ (?P<heading>[^\n]+)\n(?:(?!^#).)*?```python\n(?P<code>.*?)```", re.M | re.S
)


def settings_of(page):
    """`{"Keycloak": {"SIMPLE_JWT": {...}, "REALTIME": {...}}}`: the first block of each part."""
    found = {}
    for block in _BLOCK.finditer((DOCS / page).read_text()):
        names = {}
        exec(block["code"], names)
        found[block["heading"]] = {name: each for name, each in names.items() if name.isupper()}
    return found


def functions_of(page, heading):
    names = {}
    blocks = {
        block["heading"]: block["code"] for block in _BLOCK.finditer((DOCS / page).read_text())
    }
    exec(blocks[heading], names)
    return names
