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
    for heading, code in _blocks(page).items():
        if "import " not in code:
            names = {}
            exec(code, names)
            found[heading] = {name: each for name, each in names.items() if name.isupper()}
    return found


def functions_of(page, heading):
    """What the code below a heading defines."""
    names = {}
    exec(_blocks(page)[heading], names)
    return names


def _blocks(page):
    text = (DOCS / page).read_text()
    return {block["heading"]: block["code"] for block in _BLOCK.finditer(text)}
