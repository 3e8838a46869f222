"""The files of this package: another distribution that has the same import name overwrites them."""

from __future__ import annotations

from importlib.metadata import distributions
from typing import Any

from django.core.checks import CheckMessage, Error

from ..version import DISTRIBUTION

_FILE = "realtime/__init__.py"


def check_import_name(**kwargs: Any) -> list[CheckMessage]:
    others = sorted(set(_owners()) - {DISTRIBUTION})
    if not others:
        return []
    names = " ".join(others)
    return [
        Error(
            f"The distribution {', '.join(others)} is installed in this environment, and has the "
            "import name `realtime` too: pip has written the files of one over the other's.",
            hint=f"Run `pip uninstall {names} {DISTRIBUTION}`, and install {DISTRIBUTION} again. "
            "If you need both, use two environments.",
            id="realtime.E015",
        )
    ]


def _owners() -> list[str]:
    """Return the names of the distributions to which `realtime/__init__.py` belongs."""
    found = []
    for distribution in distributions():
        # Text is searched, because the list of files takes a hundred times as long to make.
        files = distribution.read_text("RECORD") or distribution.read_text("installed-files.txt")
        if files is not None and _FILE in files and _has(files):
            found.append(distribution.metadata["Name"].lower())
    return found


def _has(files: str) -> bool:
    paths = (line.split(",", 1)[0].strip('"').removeprefix("../") for line in files.splitlines())
    return _FILE in paths
