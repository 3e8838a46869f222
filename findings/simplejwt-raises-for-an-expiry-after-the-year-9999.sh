#!/usr/bin/env bash
# SimpleJWT: a valid token that expires after the year 9999 is answered with HTTP 500.
#
# Packages:  djangorestframework-simplejwt 5.5.1, PyJWT 2.15.1, djangorestframework 3.18.3,
#            Django 5.2.19 (PyPI).
# Valid use: a token that "never" ends, made by another program with the same key: `exp` is
#            9999999999999. RFC 7519 (section 4.1.4): `exp` is a number of seconds, and the token must be
#            refused on or after that moment. No largest number is given.
# Expected:  the token is accepted, as PyJWT does, which SimpleJWT uses; or it is refused with HTTP 401.
# Happens:   PyJWT has checked signature and time. SimpleJWT then turns `exp` into a `datetime`, which
#            ends with the year 9999. `ValueError`, or `OverflowError` for larger numbers, comes out of
#            `AccessToken(...)`. Neither is a `TokenError`, which is what callers catch.
# For a site: every view that asks for a token answers such a client with 500, and logs a traceback. Code
#            that authenticates WebSockets with `except TokenError` fails in its handshake.
# Way around: an authentication class that turns `ValueError` and `OverflowError` of
#            `get_validated_token()` into `InvalidToken`.
#
# Output seen:
#   djangorestframework-simplejwt 5.5.1, PyJWT 2.15.1
#   exp 253402300799     PyJWT: accepted    AccessToken: accepted         view: 200
#   exp 253402300800     PyJWT: accepted    AccessToken: ValueError       view: 500
#   exp 9999999999999    PyJWT: accepted    AccessToken: ValueError       view: 500
#   exp 10 ** 20         PyJWT: accepted    AccessToken: OverflowError    view: 500
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  djangorestframework-simplejwt==5.5.1 PyJWT==2.15.1 djangorestframework==3.18.3 Django==5.2.19

"$folder/venv/bin/python" - <<'PYTHON'
import logging
import sys
from importlib.metadata import version

import django
import jwt
from django.conf import settings
from django.urls import path

KEY = "k" * 40
settings.configure(
    SECRET_KEY=KEY,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"
        ],
        "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
)
django.setup()
logging.disable(logging.CRITICAL)  # the tracebacks are not shown, only the statuses

from django.test import Client
from rest_framework.decorators import api_view
from rest_framework.response import Response
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.tokens import AccessToken


@api_view()
def view(request):
    return Response(request.user.id)


urlpatterns = [path("", view)]


def outcome(check):
    try:
        check()
    except (TokenError, jwt.InvalidTokenError) as error:
        return f"refused ({type(error).__name__})"
    except Exception as error:
        return type(error).__name__
    return "accepted"


print(f"djangorestframework-simplejwt {version('djangorestframework-simplejwt')}, PyJWT {version('PyJWT')}")
seen = {}
for name, exp in {
    "253402300799": 253402300799,
    "253402300800": 253402300800,
    "9999999999999": 9999999999999,
    "10 ** 20": 10**20,
}.items():
    claims = {"token_type": "access", "jti": "1", "user_id": "7", "exp": exp}
    token = jwt.encode(claims, KEY, "HS256")
    answer = Client(raise_request_exception=False).get("/", headers={"authorization": f"Bearer {token}"})
    seen[name] = (
        outcome(lambda: jwt.decode(token, KEY, ["HS256"])),
        outcome(lambda: AccessToken(token)),
        answer.status_code,
    )
    print(f"exp {name:<16} PyJWT: {seen[name][0]:<11} AccessToken: {seen[name][1]:<16} view: {seen[name][2]}")
if list(seen.values()) != [
    ("accepted", "accepted", 200),
    ("accepted", "ValueError", 500),
    ("accepted", "ValueError", 500),
    ("accepted", "OverflowError", 500),
]:
    sys.exit("The behaviour has changed.")
PYTHON
