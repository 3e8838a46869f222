"""The element of a `{% live %}` tag: a fragment of the page that follows a room."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.template import Context, TemplateSyntaxError, Variable
from django.template.context import BaseContext
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from ..names import check_name
from .positions import position_before

_IN_BRACES = re.compile(r"\{([\w.]+)\}")
_TAG = re.compile(r"[a-z][a-z0-9-]*\Z")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_-]*\Z")


def live_element(
    context: Context, room: str, template: str | None, tag: str, attributes: Mapping[str, Any]
) -> SafeString:
    """Render `template` with the context of the page, inside an element that the script finds.

    The name of the room may have variables of the page in braces: "stock/{product.pk}". Only one
    that the author of the page has written: a name that comes from a variable may be the visitor's,
    who would read any variable of the page by it.

    Without a template the element is empty and hidden: the page shows what is published to the room
    with a target.
    """
    if isinstance(room, SafeString):  # as Django makes of what stands in a template itself
        room = _IN_BRACES.sub(lambda found: str(Variable(found[1]).resolve(context)), room)
    check_name(room)
    if not _TAG.match(tag):
        raise TemplateSyntaxError(f"{{% live %}}: {tag!r} is no name of an element.")
    # Before the template reads anything from the database.
    position = position_before(room)
    shown = {"data-realtime-room": room}
    if position is not None:
        shown["data-realtime-since"] = f"{position.epoch}:{position.offset}"
    if template is not None:
        shown["data-realtime-template"] = template
    else:
        shown["hidden"] = "hidden"
    for name, value in attributes.items():
        if not _ATTRIBUTE.match(name) or name.startswith("on"):
            raise TemplateSyntaxError(f"{{% live %}} does not take {name!r}.")
        if value is not None and value is not False:
            shown[name.replace("_", "-")] = value
    return format_html(
        "<{0}{1}>{2}</{0}>",
        mark_safe(tag),  # checked above
        format_html_join("", ' {}="{}"', shown.items()),
        "" if template is None else _render(context, template),
    )


def _render(context: BaseContext, template: str) -> SafeString:
    found = context.template.engine.get_template(template)  # type: ignore[attr-defined]
    with context.push():
        rendered: SafeString = found.render(context)
    return rendered
