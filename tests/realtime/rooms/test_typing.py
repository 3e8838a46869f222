"""Type checkers accept the room types of a site."""

import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT


@pytest.mark.timeout(300)
def test_hooks_with_types_pass_mypy_in_strict_mode(tmp_path):
    pytest.importorskip("mypy")  # which other versions of the dependencies are tested without
    # Without the plugins, which load the whole site, and with the project's own results.
    config = tmp_path / "mypy.ini"
    config.write_text(
        "[mypy]\nstrict = true\nfollow_imports = silent\nignore_missing_imports = true\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "tests/support/typed_rooms.py"],
        cwd=ROOT,
        env={**os.environ, "MYPY_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
