"""Builds a release: `make release URL=https://…`, where URL is the folder of README.md on the web.

Builds the sdist and the wheel from what is committed, with links in the README that work on PyPI,
checks both, follows the quick start with the wheel, and closes the version's chapter of
CHANGELOG.md. Uploads nothing: the last line says how.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TWINE = "twine==7.0.0"
_LINK = re.compile(r"(!?)\[([^]]*)\]\((?!https?:|#|mailto:)([^)]+)\)")
_UNRELEASED = re.compile(r"^## (\S+) \(unreleased\)$", re.MULTILINE)


def with_absolute_links(text: str, url: str) -> str:
    """The README for a page that has no files beside it."""
    pages = url.rstrip("/")
    # Where the usual hosts have the file itself, not a page that shows it.
    files = pages.replace("/blob/", "/raw/", 1)

    def absolute(link: re.Match[str]) -> str:
        return f"{link[1]}[{link[2]}]({files if link[1] else pages}/{link[3]})"

    return _LINK.sub(absolute, text)


def closed_changelog(text: str, version: str, day: datetime.date) -> str:
    """The changelog with the date of this release at its chapter."""
    chapters = _UNRELEASED.findall(text)
    if chapters != [version]:
        raise SystemExit(
            f"CHANGELOG.md has no chapter '## {version} (unreleased)', but {chapters}. "
            "The version is in realtime/version.py."
        )
    return _UNRELEASED.sub(f"## {version} ({day.isoformat()})", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("url", help="where the files of the repository are to be read")
    url = parser.parse_args().url
    if not re.match(r"https://[^/\s]+", url):
        raise SystemExit("URL has to begin with https://")
    if _out("git", "status", "--porcelain"):
        raise SystemExit("Commit first: a release is built from what is committed.")
    version = _out(sys.executable, "-c", "import realtime; print(realtime.__version__)")
    changelog = closed_changelog(
        (ROOT / "CHANGELOG.md").read_text(), version, datetime.date.today()
    )
    with tempfile.TemporaryDirectory() as folder:
        built = _build(Path(folder), url, changelog)
        dist = ROOT / "dist"
        dist.mkdir(exist_ok=True)
        for path in built:
            shutil.copy(path, dist)
    (ROOT / "CHANGELOG.md").write_text(changelog)
    print(f"dist/ has {', '.join(path.name for path in built)}; CHANGELOG.md has the date.")
    print(f"Commit it, tag v{version}, and upload: python -m twine upload dist/*-{version}*")


def _build(folder: Path, url: str, changelog: str) -> list[Path]:
    source = folder / "source"
    source.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(source)], input=archive.stdout, check=True)
    readme = source / "README.md"
    readme.write_text(with_absolute_links(readme.read_text(), url))
    (source / "CHANGELOG.md").write_text(changelog)
    print("Building the sdist and the wheel ...", flush=True)
    _run(sys.executable, "-m", "build", "--no-isolation", "-o", str(folder / "dist"), cwd=source)
    built = sorted((folder / "dist").iterdir())
    print("Checking them ...", flush=True)
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / "bin" / "python")
    _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", TWINE)
    _run(python, "-m", "twine", "check", "--strict", *map(str, built))
    print("Following the quick start with the wheel ...", flush=True)
    (wheel,) = (path for path in built if path.suffix == ".whl")
    quick_start = ["-m", "pytest", "-q", "-n0", "tests/integration/test_quick_start.py"]
    _run(sys.executable, *quick_start, env={**os.environ, "REALTIME_WHEEL": str(wheel)})
    return built


def _run(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout[-5000:]}{done.stderr[-5000:]}")


def _out(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
