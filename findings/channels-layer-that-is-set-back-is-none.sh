#!/usr/bin/env bash
# channels: what channel_layers.set() returns can't be set back if no layer was in use yet.
#
# Packages:  channels 4.3.2, Django 5.2.19 (PyPI).
# Valid use: a test that puts a layer of its own in place, and the former one back:
#                before = channel_layers.set("default", mine)
#                ...
#                channel_layers.set("default", before)
# Expected:  afterwards get_channel_layer() returns the layer of CHANNEL_LAYERS, as before.
# Happens:   layers are made at their first use. Before that, set() returns None; and after None was set back,
#            get_channel_layer() returns None for good, because the alias is taken for known.
# For a site: whether a test harms those behind it depends on whether a layer was used before it.
# Way around: use the layer once before, `channel_layers["default"]`, so that there is one to set back.
#
# Output seen:
#   channels 4.3.2
#   set() returned None; afterwards get_channel_layer() is None
#   used before: set() returned InMemoryChannelLayer; afterwards get_channel_layer() is InMemoryChannelLayer
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check channels==4.3.2 Django==5.2.19

cat >"$folder/main.py" <<'PYTHON'
import sys

from django.conf import settings

settings.configure(CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}})

from channels.layers import ChannelLayerManager, InMemoryChannelLayer  # noqa: E402


def name(layer):
    return "None" if layer is None else type(layer).__name__


def swap(*, used_before):
    layers = ChannelLayerManager()
    if used_before:
        layers["default"]
    before = layers.set("default", InMemoryChannelLayer())
    layers.set("default", before)
    return name(before), name(layers["default"])


fresh, used = swap(used_before=False), swap(used_before=True)
print("channels 4.3.2")
print(f"set() returned {fresh[0]}; afterwards get_channel_layer() is {fresh[1]}")
print(f"used before: set() returned {used[0]}; afterwards get_channel_layer() is {used[1]}")
if (fresh, used) != (("None", "None"), ("InMemoryChannelLayer",) * 2):
    sys.exit("The behaviour has changed.")
PYTHON
"$folder/venv/bin/python" "$folder/main.py"
