#!/bin/sh
# Runs tests with the newest versions that pyproject.toml allows, on a Python and a Django of your
# choice, in a virtualenv of their own: the unit tests, or those that you name. Warnings are errors.
#     tests/versions.sh python3.13 6.1 [tests/realtime/layers ...]
set -eu
python=$1 django=$2
shift 2
[ $# -gt 0 ] || set -- tests/realtime tests/accounts
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" -m venv "$folder/venv"
"$python" - >"$folder/requirements.txt" <<'PYTHON'
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*project["dependencies"], *project["optional-dependencies"]["uvicorn"], sep="\n")
# What only the tests need comes in the versions that all tests run with.
pinned = Path("requirements.txt").read_text()
print(pinned.split("# Tests")[1].split("\n\n")[0])
print(*(line for line in pinned.splitlines() if line.startswith("drf-spectacular")))
PYTHON
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "Django~=$django.0" \
  dj-database-url cryptography --requirement "$folder/requirements.txt"
"$folder/venv/bin/python" --version
"$folder/venv/bin/python" -m pip freeze
"$folder/venv/bin/python" -m pytest "$@"
