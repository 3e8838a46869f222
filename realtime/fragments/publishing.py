"""Publishes HTML to the pages that show a room."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from asgiref.sync import sync_to_async

from ..concurrency.threads import refuse_on_event_loop
from ..server_api.publishing import apublish_body, publish_body
from .rendering import ACTIONS, Action, fragment_body, render


def publish_html(
    room: str,
    template: str | None,
    context: Mapping[str, Any] | None = None,
    *,
    action: Action = "replace",
    target: str | None = None,
    language: str | None = None,
    **options: Any,
) -> None:
    """Render `template` once, and show the HTML on all pages that show `room`.

    `target` is the id of an element. Without one, the action applies to the `{% live %}` elements
    of the room: those with this template, or with "append" and "prepend" all of them. `action`:

        replace   the element becomes the HTML; of a `{% live %}` element the content
        update    the content of the element becomes the HTML
        append    after the last child of the element
        prepend   before its first child
        before    before the element
        after     after the element
        remove    the element goes; the template is None

    There is no request: the template is rendered for nobody in particular, in the site's language
    or in `language`, and everybody in the room gets that one text. `options` are those of
    `publish`: the HTML is rendered now, and by default sent after the commit.

    Raises what `publish` raises, and the errors of the template.
    """
    refuse_on_event_loop("publish_html")
    body = _body(template, context, action, target, language)
    publish_body(room, body, **options)


async def apublish_html(
    room: str,
    template: str | None,
    context: Mapping[str, Any] | None = None,
    *,
    action: Action = "replace",
    target: str | None = None,
    language: str | None = None,
    **options: Any,
) -> None:
    """As `publish_html`, for coroutines. The template may read the database."""
    body = await sync_to_async(_body)(template, context, action, target, language)
    await apublish_body(room, body, **options)


def _body(
    template: str | None,
    context: Mapping[str, Any] | None,
    action: Action,
    target: str | None,
    language: str | None,
) -> bytes:
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is no action. Use one of: {', '.join(sorted(ACTIONS))}.")
    if action == "remove":
        if template is None and target is None:
            raise ValueError("To remove an element, name it: target='its id'.")
        return fragment_body("", action, target, template)
    if template is None:
        raise ValueError(f"The action {action!r} needs a template. Only 'remove' has none.")
    return fragment_body(render(template, context or {}, language), action, target, template)
