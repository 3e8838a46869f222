"""The example of the page about rooms in code is one that a site can write."""

import re

import pytest

from realtime.rooms import definitions, room_types
from tests.support.processes import ROOT

PAGE = (ROOT / "docs/rooms.md").read_text()


@pytest.fixture(autouse=True)
def no_types(monkeypatch):
    monkeypatch.setattr(room_types, "_types", [])
    monkeypatch.setattr(room_types, "_listeners", [])


def test_the_example_can_be_registered():
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]
    models = "from django.contrib.auth.models import Group as Membership, Permission as Order\n"
    code = code.replace("from .models import Membership, Message, Order\n", models)
    exec(compile(code, "docs/rooms.md", "exec"), {"__name__": "example"})
    (found,) = room_types.registered()
    assert type(found.room_type).name(pk=42) == "orders/42"


def test_the_page_names_every_hook_and_option():
    for name in (*definitions.HOOKS, *definitions.OPTIONS):
        assert f"`{name}" in PAGE or f"    {name} = " in PAGE, name
