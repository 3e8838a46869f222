"""The dict `REALTIME`: unknown keys, wrong types and values."""

from __future__ import annotations

import difflib
import re
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from .. import conf
from ..conf import realtime_settings
from ..rooms.nesting import PAYLOAD_LEVELS
from .credentials import check_authenticator, check_token_size

_PATH = re.compile(r"/?([A-Za-z0-9._~-]+/)*([A-Za-z0-9._~-]+)?", re.ASCII)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    configured = getattr(settings, "REALTIME", {})
    if not isinstance(configured, dict):
        hint = "Write REALTIME = {...}."
        return [Error("REALTIME is not a dict.", hint=hint, id="realtime.E001")]
    messages: list[CheckMessage] = []
    for key, value in configured.items():
        if key not in conf.KEYS:
            messages.append(_unknown_key(key))
        elif not _has_type_of(value, conf.KEYS[key].default):
            kind = type(conf.KEYS[key].default).__name__
            messages.append(
                Error(
                    f'REALTIME["{key}"] is not of type {kind}.',
                    hint=f"The default is {conf.KEYS[key].default!r}.",
                    id="realtime.E003",
                )
            )
    return messages or _check_values()


def _check_values() -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for way in set(realtime_settings.CREDENTIALS) - set(conf.CREDENTIALS):
        hint = f"Choose from: {', '.join(conf.CREDENTIALS)}."
        messages.append(
            Error(
                f'REALTIME["CREDENTIALS"] contains {way!r}, which is not a credential.',
                hint=hint,
                id="realtime.E004",
            )
        )
    if realtime_settings.MESSAGE_MAX_LEVELS > PAYLOAD_LEVELS:
        messages.append(
            Error(
                f'REALTIME["MESSAGE_MAX_LEVELS"] is above {PAYLOAD_LEVELS}.',
                hint="Parsers of some Python releases take no more.",
                id="realtime.E007",
            )
        )
    if not _PATH.fullmatch(realtime_settings.PATH):
        messages.append(
            Error(
                f'REALTIME["PATH"] is {realtime_settings.PATH!r}, which is not a path.',
                hint='Write the path of the sockets below your site, such as "ws/" or "live/ws/".',
                id="realtime.E016",
            )
        )
    for key in ("AUTHENTICATOR", "USER_INFO", "USER_LABEL"):
        path = getattr(realtime_settings, key)
        try:
            import_string(path)
        except ImportError as error:
            messages.append(
                Error(
                    f'REALTIME["{key}"] can\'t be imported: {error}',
                    hint="Write the dotted path of a class or function.",
                    id="realtime.E005",
                )
            )
    return [*messages, *check_authenticator(), *check_token_size()]


def _unknown_key(key: str) -> CheckMessage:
    near = difflib.get_close_matches(str(key), conf.KEYS, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known keys: {', '.join(conf.KEYS)}."
    return Error(f'REALTIME["{key}"] is not a setting.', hint=hint, id="realtime.E002")


def _has_type_of(value: Any, default: Any) -> bool:
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple | set)
    if isinstance(default, float | int):
        return isinstance(value, float | int) and not isinstance(value, bool) and value >= 0
    return isinstance(value, type(default))
