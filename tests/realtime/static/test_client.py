"""The browser client: its size, its behaviour on a clock of the test, and its advice."""

from __future__ import annotations

import gzip
import re
import subprocess

import pytest

from tests.support.processes import ROOT

FOLDER = ROOT / "realtime/static/realtime"


def test_the_client_is_less_than_12_kb():
    assert len(gzip.compress((FOLDER / "client.js").read_bytes(), 9)) < 12_000


def test_the_scripts_import_nothing():
    """Storages that put a hash into file names rewrite no imports."""
    imports = re.compile(r"^\s*(import|export .* from)\b|\bimport\(", re.M)
    for path in FOLDER.glob("*.js"):
        assert not imports.search(path.read_text()), path


@pytest.mark.parametrize("script", ["client", "advice"])
def test_scenarios(script):
    path = ROOT / f"tests/realtime/static/{script}.test.mjs"
    done = subprocess.run(
        ["node", "--test", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
