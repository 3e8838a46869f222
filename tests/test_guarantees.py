"""The page of guarantees names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_row_names_tests_that_exist():
    sources = [path.read_text() for path in ROOT.glob("tests/**/test_*.py")]
    known = {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}
    page = (ROOT / "docs" / "guarantees.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= known, set(named) - known
