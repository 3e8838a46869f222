"""Renders fragments for everybody in a room, and packs them as publications."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from django.conf import settings
from django.template import loader
from django.utils import timezone, translation

from ..rooms.payloads import encode
from ..rooms.publications import html_body

Action = Literal["replace", "update", "append", "prepend", "before", "after", "remove"]
"""What a page does with a fragment; the names are those of Turbo Streams."""

ACTIONS = frozenset(get_args(Action))


class _PagesOwn(str):
    """The token of `{% csrf_token %}` where there is no visitor: an empty field, which the script
    fills with the token of the page."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return True


_PAGES_OWN = _PagesOwn()


def render(template: str, context: Mapping[str, Any], language: str | None = None) -> str:
    """Render a template as nobody in particular: without a request, in `language` or the site's.

    All who are in the room get this text, so it depends on nobody's language, time zone or rights.
    """
    with translation.override(language or settings.LANGUAGE_CODE), timezone.override(None):
        values = {"csrf_token": _PAGES_OWN, **context}
        return loader.get_template(template).render(values)


def fragment_body(
    html: str, action: Action = "replace", target: str | None = None, template: str | None = None
) -> bytes:
    """Return the publication of a fragment. Raises `InvalidPayload` if it is too large."""
    data: dict[str, str] = {"action": action}
    if target is not None:
        data["target"] = target
    if template is not None:
        data["template"] = template
    if action != "remove":
        data["html"] = html
    return html_body(encode(data))
