"""An environment that has what a wheel declares, and nothing else of what is installed here."""

from __future__ import annotations

import email
import sysconfig
import zipfile
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# A module of the fresh environment that `site` imports, because a .pth file names it. It finds what
# is installed here where it is: nothing is downloaded, and nothing compiled a second time.
FINDER = """
import sys
from importlib.machinery import PathFinder
from importlib.metadata import DistributionFinder, MetadataPathFinder

FOLDER = {folder!r}
MODULES = {modules!r}
DISTRIBUTIONS = {distributions!r}


class Finder(DistributionFinder):
    def find_spec(self, name, path=None, target=None):
        if path is None and name in MODULES:
            return PathFinder.find_spec(name, [FOLDER], target)

    def find_distributions(self, context=DistributionFinder.Context()):
        here = DistributionFinder.Context(name=context.name, path=[FOLDER])
        for each in MetadataPathFinder.find_distributions(here):
            if each.metadata["Name"] in DISTRIBUTIONS:
                yield each


sys.meta_path.append(Finder())
"""


def requirements_of(wheel: Path) -> list[Requirement]:
    """What a wheel declares, with its extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        declared = email.message_from_bytes(archive.read(name)).get_all("Requires-Dist", [])
    return list(map(Requirement, declared))


def extras_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.message_from_bytes(archive.read(name)).get_all("Provides-Extra", [])


def closure(requirements: Iterable[Requirement]) -> dict[str, metadata.Distribution]:
    """The installed distributions that these requirements ask for, and those that they ask for, by
    name. Fails if one is missing or has another version than was asked for."""
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if not is_asked_for(requirement, extra):
            continue
        name = canonicalize_name(requirement.name)
        found[name] = installed(requirement)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen:
                seen.add((name, wanted))
                waiting += [(Requirement(text), wanted) for text in found[name].requires or ()]
    return found


def is_asked_for(requirement: Requirement, extra: str = "") -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def installed(requirement: Requirement) -> metadata.Distribution:
    """Return what is installed here for a requirement; fails if it is not what was asked for."""
    distribution = metadata.distribution(requirement.name)
    assert requirement.specifier.contains(distribution.version, prereleases=True), (
        f"{requirement} is asked for, and {distribution.version} is installed"
    )
    return distribution


def limit(packages: Path, declared: dict[str, metadata.Distribution]) -> None:
    """Give the environment that has this folder of packages what is installed here and declared."""
    text = FINDER.format(
        folder=sysconfig.get_path("purelib"),
        modules=sorted({module for each in declared.values() for module in _modules(each)}),
        distributions=sorted(each.metadata["Name"] for each in declared.values()),
    )
    (packages / "what_is_declared.py").write_text(text)
    (packages / "dependencies.pth").write_text("import what_is_declared\n")


def _modules(distribution: metadata.Distribution) -> set[str]:
    """The names of its top-level modules and packages."""
    return {
        path.parts[0].partition(".")[0]
        for path in distribution.files or ()
        if path.suffix in (".py", ".so") and path.parts[0] not in ("..", "__pycache__")
    }
