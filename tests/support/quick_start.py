"""The quick start of the README: its snippets, and sites that are made of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

from tests.support import declared, processes

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"^(?:#|//|<!--) ([\w/]+\.\w+)")


class QuickStart:
    """What the chapter says: words for INSTALLED_APPS, commands, and texts for files."""

    def __init__(self) -> None:
        readme = (processes.ROOT / "README.md").read_text()
        chapter = readme.split("\n## Quick start\n")[1].split("\n## ")[0]
        self.files: dict[str, str] = {}
        self.commands: list[str] = []
        for language, text in _BLOCK.findall(chapter):
            if language == "console":
                self.commands += re.findall(r"^\$ (.*?)(?:\s+#.*)?$", text, re.MULTILINE)
            else:
                name = _FILE.match(text)
                assert name, f"a snippet without the name of its file:\n{text}"
                self.files[name[1]] = text
        self.commands += re.findall(r"`(python manage\.py (?!run|create).*?)`", chapter)
        sentence = re.search(r"Add ((?:`\".+?\"`(?: and )?)+) to `INSTALLED_APPS`", chapter)
        assert sentence, "what is added to INSTALLED_APPS?"
        self.apps = re.findall(r'"(\w+)"', sentence[1])

    def lines(self) -> list[str]:
        """What somebody types into the files of a site, one name of an app a line."""
        typed = "\n".join(self.files.values()).splitlines()
        return [
            *self.apps,
            *[line for line in typed if line.strip() and not _FILE.match(line)],
        ]


def build_wheel(folder: Path) -> Path:
    """Build the wheel from a copy, because the build leaves files beside its source. A release has
    built one already."""
    if built := os.environ.get("REALTIME_WHEEL"):
        return Path(built)
    source = folder / "source"
    shutil.copytree(processes.ROOT / "realtime", source / "realtime")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(processes.ROOT / name, source)
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(folder)], source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def make_environment(folder: Path, wheel: Path, *more: str) -> Path:
    """Return the Python of a fresh environment with the wheel, what it declares, and `more`.
    Nothing is downloaded: the dependencies are those that the tests have, without the others."""
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    install = ["install", "--no-deps", "--no-index", "--no-compile", "--quiet", str(wheel)]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "--python", str(python), *install], folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    needed = [*declared.requirements_of(wheel), *map(Requirement, more)]
    declared.limit(packages, declared.closure(needed))
    return python


@dataclass
class Project:
    """A site from `django-admin startproject mysite .`."""

    folder: Path
    python: Path
    printed: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.run("-m", "django", "startproject", "mysite", ".")

    @property
    def env(self) -> dict[str, str]:
        unwanted = ("DJANGO", "PYTHON", "REALTIME", "REDIS", "DATABASE")
        kept = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
        cache = {"PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", "")}
        return {**kept, **{name: text for name, text in cache.items() if text}}

    def run(self, *words: str) -> str:
        return _run([str(self.python), *words], self.folder, self.env)

    def manage(self, *words: str) -> str:
        return self.run("-W", "error", "manage.py", *words)

    def append(self, name: str, text: str) -> None:
        """Write a snippet where it belongs: to the end of what is there, or into a new file."""
        package = "" if "/" in name else "mysite"
        path = self.folder / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"\n{text}" if file.tell() else text)

    def add_apps(self, *names: str) -> None:
        settings = self.folder / "mysite" / "settings.py"
        added = "".join(f'\n    "{name}",' for name in names)
        text = settings.read_text()
        settings.write_text(text.replace("INSTALLED_APPS = [", f"INSTALLED_APPS = [{added}"))

    def follow(self, quick_start: QuickStart) -> None:
        """Do what the chapter says, for one process."""
        for command in sorted(quick_start.commands, key=lambda line: "startapp" not in line):
            program, *words = command.split()
            if program == "pip":
                continue  # the wheel is installed
            assert words[0] == "manage.py", command
            self.manage(*words[1:])
            if "startapp" in words:
                self.add_apps(*quick_start.apps)
        for name, text in quick_start.files.items():
            if name != "settings.py":
                self.append(name, text)

    def serve(self, folder: Path, *command: str) -> processes.Site:
        """Start a server of the site; `{port}` in the command is its port."""
        port = processes.free_port()
        words = [word.format(port=port) for word in command]
        variables = [f"{name}={text}" for name, text in self.env.items()]
        start = ["env", "-i", "-C", str(self.folder), *variables, str(self.python), "-W", "error"]
        process = processes.start([*start, *words], folder / f"server-{port}.log", port)
        return processes.Site(process, port)


def _run(command: list[str], folder: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr
