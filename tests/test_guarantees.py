"""The page of guarantees names tests that exist, and tests of hostile clients have bystanders."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOSTILE = ("test_hostile_frames.py", "test_hanging.py")


def rows():
    page = (ROOT / "docs" / "guarantees.md").read_text()
    return [line for line in page.splitlines() if line.startswith("| J")]


def known_tests():
    sources = [path.read_text() for path in ROOT.glob("tests/**/test_*.py")]
    return {name for source in sources for name in re.findall(r"def (test_\w+)\(", source)}


def test_every_row_names_tests_that_exist():
    known = known_tests()
    for row in rows():
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert set(named) <= known, set(named) - known


def test_other_pages_name_tests_that_exist():
    known = known_tests()
    for page in (ROOT / "docs").glob("*.md"):
        named = set(re.findall(r"`(test_\w+)`", page.read_text()))
        assert named <= known, (page.name, named - known)


def test_rows_are_numbered():
    assert len(rows()) > 30
    numbers = [row.split("|")[1].strip() for row in rows()]
    # A number stays with its row: a new one has the next, wherever it stands.
    assert sorted(numbers, key=lambda text: int(text[1:])) == [
        f"J{number}" for number in range(1, len(numbers) + 1)
    ]


def test_nobody_is_attacked_without_bystanders():
    for name in HOSTILE:
        tree = ast.parse((ROOT / "tests" / "integration" / name).read_text())
        for test in ast.walk(tree):
            if isinstance(test, ast.AsyncFunctionDef) and test.name.startswith("test_"):
                has_bystander = "bystander" in {argument.arg for argument in test.args.args}
                assert has_bystander or len(list(clients_of(test))) > 1, test.name


def clients_of(test):
    """The places where a test opens connections."""
    for node in ast.walk(test):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "open_client":
            yield node
