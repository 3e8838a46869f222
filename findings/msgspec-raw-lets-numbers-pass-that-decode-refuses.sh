#!/usr/bin/env bash
# msgspec: a field of type Raw accepts a number that the same decoder refuses as a value.
#
# Package:   msgspec 0.22.0 (PyPI).
# Valid use: `msgspec.Raw` for a part of a JSON message that is passed on as it came.
# Expected:  the decoder has checked that part: the documentation says that Raw delays decoding, and
#            other mistakes in it (a missing quote, a stray comma) are found at once.
# Happens:   the syntax is checked, the range of numbers is not. `1e999` passes inside of a Raw and
#            raises `ValidationError: Number out of range` when it is decoded. Python's own `json`
#            reads it as infinity, and writes that out as `Infinity`, which is no JSON.
# For a site: a relay that trusts the first decoder sends its clients a number that some of them
#            can't read, and some read as infinity.
# Way around: decode the part once more, into nothing, before it is passed on.
#
# Output seen:
#   msgspec 0.22.0
#   as Raw:    accepted: 1e999
#   decoded:   ValidationError: Number out of range
#   json.dumps(json.loads(...)): Infinity
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0

"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from importlib.metadata import version

import msgspec


class Message(msgspec.Struct):
    data: msgspec.Raw


raw = bytes(msgspec.json.decode(b'{"data": 1e999}', type=Message).data)
try:
    refused = f"accepted: {msgspec.json.decode(raw)}"
except msgspec.ValidationError as error:
    refused = f"ValidationError: {error}"
print("msgspec", version("msgspec"))
print("as Raw:    accepted:", raw.decode())
print("decoded:  ", refused)
print("json.dumps(json.loads(...)):", json.dumps(json.loads(raw)))
if raw != b"1e999" or not refused.startswith("ValidationError"):
    sys.exit("The behaviour has changed.")
PYTHON
