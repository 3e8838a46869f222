"""The dict `REALTIME`: unknown keys, wrong types and values."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from .. import conf
from ..conf import realtime_settings
from ..rooms.nesting import PAYLOAD_LEVELS
from . import socketio, tokens
from .credentials import check_authenticator, check_token_size

_PATHS = ("AUTHENTICATOR", "USER_INFO", "USER_LABEL", "SERVER_ROOMS")
_PATH = re.compile(r"/?([A-Za-z0-9._~-]+/)*([A-Za-z0-9._~-]+)?", re.ASCII)


def check_settings(**kwargs: Any) -> list[CheckMessage]:
    configured = getattr(settings, "REALTIME", {})
    if not isinstance(configured, dict):
        hint = "Write REALTIME = {...}."
        return [Error("REALTIME is not a dict.", hint=hint, id="realtime.E001")]
    messages: list[CheckMessage] = []
    wrong = set()
    for key, value in configured.items():
        if key not in conf.KEYS:
            messages.append(_unknown_key(key))
        elif not _has_type_of(value, conf.default(key)):
            wrong.add(key)
            messages.append(_wrong_type(key, value))
    for keys, check in _OF_VALUES:
        if not wrong.intersection(keys):
            messages += check()
    return messages


def _check_ways() -> list[CheckMessage]:
    hint = f"Choose from: {', '.join(conf.CREDENTIALS)}."
    return [
        Error(
            f'REALTIME["CREDENTIALS"] contains {way!r}, which is not a credential.',
            hint=hint,
            id="realtime.E004",
        )
        for way in realtime_settings.CREDENTIALS
        if way not in conf.CREDENTIALS
    ]


def _check_levels() -> list[CheckMessage]:
    if realtime_settings.MESSAGE_MAX_LEVELS <= PAYLOAD_LEVELS:
        return []
    return [
        Error(
            f'REALTIME["MESSAGE_MAX_LEVELS"] is above {PAYLOAD_LEVELS}.',
            hint="Parsers of some Python releases take no more.",
            id="realtime.E007",
        )
    ]


def _check_path() -> list[CheckMessage]:
    if _PATH.fullmatch(realtime_settings.PATH):
        return []
    return [
        Error(
            f'REALTIME["PATH"] is {realtime_settings.PATH!r}, which is not a path.',
            hint='Write the path of the sockets below your site, such as "ws/" or "live/ws/".',
            id="realtime.E016",
        )
    ]


def _check_import(key: str) -> list[CheckMessage]:
    path = getattr(realtime_settings, key)
    try:
        if path or conf.KEYS[key].default:
            import_string(path)
    except ImportError as error:
        return [
            Error(
                f'REALTIME["{key}"] can\'t be imported: {error}',
                hint="Write the dotted path of a class or function.",
                id="realtime.E005",
            )
        ]
    return []


_OF_VALUES: tuple[tuple[tuple[str, ...], Callable[[], list[CheckMessage]]], ...] = (
    (("CREDENTIALS",), _check_ways),
    (("MESSAGE_MAX_LEVELS",), _check_levels),
    (("PATH",), _check_path),
    *(((key,), partial(_check_import, key)) for key in _PATHS),
    (("AUTHENTICATOR",), check_authenticator),
    (("AUTHENTICATOR",), tokens.check_library),
    (("UNKNOWN_USERS",), tokens.check_unknown_users),
    (("SCOPES",), tokens.check_scopes),
    (("SOCKETIO_EVENTS",), socketio.check_events),
    (("SOCKETIO_NAMESPACES",), socketio.check_namespaces),
    (("TOKEN_MAX_BYTES", "FRAME_MAX_BYTES", "CREDENTIALS"), check_token_size),
)
"""The checks of values, and the keys that each reads: it is left out if one has a wrong type."""


def _wrong_type(key: str, value: Any) -> CheckMessage:
    default = conf.default(key)
    if isinstance(default, tuple):
        example = [value] if isinstance(value, str) else list(default)
        wanted, hint = "a list", f"Write {example!r}."
    else:
        wanted, hint = f"of type {type(default).__name__}", f"The default is {default!r}."
    return Error(f'REALTIME["{key}"] is not {wanted}.', hint=hint, id="realtime.E003")


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
