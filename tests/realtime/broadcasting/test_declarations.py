"""Mistakes in `@broadcasts` are refused with their cure."""

import subprocess
import sys

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime import broadcasts
from tests.support import processes


@pytest.mark.parametrize(
    ("rooms", "options", "sentence"),
    [
        ("orders/{pk}", {}, "needs fields, a serializer or a template"),
        ("orders/{pk}", {"fields": "status"}, "takes a list of fields"),
        ("orders/{pk}", {"fields": ["a"], "serializer": dict}, "either fields or a serializer"),
        ("orders/{pk}", {"fields": ["a"], "target": "x"}, "only with a template"),
        ("orders/{pk}", {"template": "a.html", "into": "x", "insert": "last"}, "'prepend'"),
        ("orders/{}", {"fields": ["a"]}, "name of an attribute"),
        ("orders/{pk!r}", {"fields": ["a"]}, "name of an attribute"),
        ("orders/{pk:04}", {"fields": ["a"]}, "name of an attribute"),
        ("orders/{a[0]}", {"fields": ["a"]}, "name of an attribute"),
        ("orders/{pk", {"fields": ["a"]}, "orders/{pk"),
        ([], {"fields": ["a"]}, "takes the name of a room"),
        ([7], {"fields": ["a"]}, "takes the name of a room"),
    ],
)
def test_a_wrong_declaration_says_what_to_write(rooms, options, sentence):
    with pytest.raises(ImproperlyConfigured) as caught:
        broadcasts(rooms, **options)
    assert sentence in str(caught.value)


def test_it_stands_on_a_model():
    with pytest.raises(ImproperlyConfigured, match="stands on a model"):
        broadcasts("orders", fields=["status"])(object)


def test_models_can_broadcast_before_the_apps_are_ready():
    code = "from realtime import broadcasts; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=processes.ROOT,
        check=False,
    )
    loaded = done.stdout.split()
    assert "realtime.broadcasting.declarations" in loaded, done.stderr
    assert not {"realtime.models", "rest_framework", "channels"} & set(loaded)
