#!/bin/sh
# Runs the unit tests with the newest versions that pyproject.toml allows, on a Python and a Django of
# your choice, in a virtualenv of their own. Warnings are errors.
#     tests/versions.sh python3.13 6.1
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$1" -m venv "$folder/venv"
"$1" - >"$folder/requirements.txt" <<'PYTHON'
import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
print(*project["dependencies"], *project["optional-dependencies"]["uvicorn"], sep="\n")
# What only the tests need comes in the versions that all tests run with.
print(Path("requirements.txt").read_text().split("# Tests")[1].split("\n\n")[0])
PYTHON
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "Django~=$2.0" \
  dj-database-url cryptography --requirement "$folder/requirements.txt"
"$folder/venv/bin/python" --version
"$folder/venv/bin/python" -m pip freeze
"$folder/venv/bin/python" -m pytest tests/realtime tests/accounts
