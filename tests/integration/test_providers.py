"""Libraries that make a site a provider of tokens: tests that need them in INSTALLED_APPS."""

from __future__ import annotations

import subprocess
import sys

from tests.realtime.authentication.conftest import LIBRARIES
from tests.support import processes


def test_the_tests_of_optional_libraries_pass():
    paths = [f"tests/realtime/authentication/{name}" for name in LIBRARIES]
    command = [sys.executable, "-m", "pytest", "--quiet", "--numprocesses=0", *paths]
    done = subprocess.run(
        [*command, "--ds=tests.settings.providers", "-p", "no:cacheprovider"],
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
