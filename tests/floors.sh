#!/bin/sh
# Runs the unit tests with the lowest versions that pyproject.toml allows, in a virtualenv of their own.
#     tests/floors.sh .venv/bin/python
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" -m venv "$folder/venv"
"$1" - >"$folder/requirements.txt" <<'PYTHON'
import re
import tomllib
from pathlib import Path


def name(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
wanted = [*project["dependencies"], *project["optional-dependencies"]["uvicorn"]]
lowest = {name(line): re.match(r"([^>]+)>=([\w.]+)", line).expand(r"\1==\2") for line in wanted}
# What the tests need besides comes in the versions that all tests run with.
pinned = Path("requirements.txt").read_text().split("# Benchmarks")[0].splitlines()
others = [line for line in pinned if "==" in line and name(line) not in lowest]
print("\n".join([*lowest.values(), *others]))
PYTHON
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  --requirement "$folder/requirements.txt"
cat "$folder/requirements.txt"
"$folder/venv/bin/python" -m pytest tests/realtime tests/accounts
