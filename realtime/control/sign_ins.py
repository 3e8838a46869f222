"""The sign-in of the running request: users who change their own password stay connected."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseBase
from rest_framework_simplejwt.authentication import JWTAuthentication
from rest_framework_simplejwt.exceptions import AuthenticationFailed, TokenError

from ..authentication import cached_sessions, django_sign_in
from ..authentication.sealing import seal
from .announcements import announce_after_commit
from .messages import NewSignIn

_running: ContextVar[HttpRequest | None] = ContextVar("realtime_running_request", default=None)


class SignInMiddleware:
    """A Django middleware, placed after `SessionMiddleware`.

    When people change their own password, Django lets the session live in which they do it, under
    another key, and ends the others. With this middleware the same holds for open connections;
    without it all of them are closed. It also finds sessions that end without a sign-out, as when
    somebody else signs in over them.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = bool(iscoroutinefunction(get_response))
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer(request)
        before, token = _session_key(request), _running.set(request)
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            _running.reset(token)
        _announce_new_key(request, before)
        _note_end(request)
        return response

    async def _answer(self, request: HttpRequest) -> HttpResponseBase:
        before, token = _session_key(request), _running.set(request)
        try:
            response: HttpResponseBase = await self.get_response(request)
        finally:
            _running.reset(token)
        if _session_key(request) != before:
            await sync_to_async(_announce_new_key)(request, before)
        if _may_be_saved(request):
            await sync_to_async(_note_end)(request)
        return response


def _may_be_saved(request: HttpRequest) -> bool:
    session = getattr(request, "session", None)
    return session is not None and (session.modified or settings.SESSION_SAVE_EVERY_REQUEST)


def _note_end(request: HttpRequest) -> None:
    if _may_be_saved(request):
        cached_sessions.note_end(request.session)


def of_running_request() -> list[str]:
    """The sign-ins that the running request proves: that of its Django session, that of its access
    token."""
    request = _running.get()
    if request is None:
        return []
    found = (django_sign_in(_session_key(request)), _of_token(request))
    return [sign_in for sign_in in found if sign_in]


def running_session_of(user: Any) -> str:
    """Return the sign-in of the Django session in which the running request is signed in as `user`,
    or "" if there is none. Needs `SignInMiddleware`."""
    request = _running.get()
    if request is None or not hasattr(request, "session"):
        return ""
    is_of_user = request.session.get(SESSION_KEY) == str(user.pk)
    return django_sign_in(_session_key(request)) if is_of_user else ""


def _session_key(request: HttpRequest) -> str | None:
    key: str | None = getattr(getattr(request, "session", None), "session_key", None)
    return key


def _of_token(request: HttpRequest) -> str:
    jwt: Any = JWTAuthentication()
    try:
        header = jwt.get_header(request)
        raw_token = None if header is None else jwt.get_raw_token(header)
        return "" if raw_token is None else str(jwt.get_validated_token(raw_token).get("sid") or "")
    except (AuthenticationFailed, TokenError, ValueError, TypeError, OverflowError):
        return ""  # a token that proves nothing


def _announce_new_key(request: HttpRequest, before: str | None) -> None:
    """Announce that a session has a new key. It goes on under that key; or it has ended, if nobody
    or another user is signed in there."""
    after = _session_key(request)
    if not before or before == after:
        return
    _announce(request, before, after)


def signed_in(request: HttpRequest | None, **kwargs: Any) -> None:
    """Somebody has signed in. Without `SignInMiddleware` this reports a session that got another
    user or key by that."""
    if request is None or _running.get() is not None:
        return
    after, before = _session_key(request), request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if before and before != after:
        _announce(request, before, after)


def _announce(request: HttpRequest, before: str, after: str | None) -> None:
    if not after and not request.session.modified:
        # Nothing was found under the key of the cookie, which anybody may have made up, or whose
        # store does not answer. `SessionWatch` finds connections of sessions that have ended.
        return
    message = NewSignIn(
        user=str(request.session.get(SESSION_KEY, "")) if after else "",
        old=django_sign_in(before),
        new=django_sign_in(after),
        sealed_key=seal(after, before) if after else "",
    )
    announce_after_commit(message)
