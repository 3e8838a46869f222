"""The base settings of the tests, for a site that is a provider: django-oauth-toolkit, allauth."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.settings.base import *  # noqa: F403
from tests.settings.base import INSTALLED_APPS, MIDDLEWARE, REALTIME

INSTALLED_APPS = [
    *INSTALLED_APPS,
    "oauth2_provider",
    "allauth",
    "allauth.account",
    "allauth.headless",
]
MIDDLEWARE = [*MIDDLEWARE, "allauth.account.middleware.AccountMiddleware"]
ROOT_URLCONF = "tests.support.provider_urls"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "realtime.rights.RoomBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]

OAUTH2_PROVIDER = {
    "SCOPES": {
        "realtime:join": "Read what is said",
        "realtime:publish": "Say something",
        "chat": "Both",
        "read": "Read all else",
    },
    "DEFAULT_SCOPES": ["realtime:join", "realtime:publish"],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
}

HEADLESS_ONLY = True
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_RATE_LIMITS = False
SIGNING_KEY = rsa.generate_private_key(65537, 2048)
HEADLESS_JWT_PRIVATE_KEY = SIGNING_KEY.private_bytes(
    serialization.Encoding.PEM,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
).decode()

REALTIME = {**REALTIME, "SCOPES": {"chat": ["realtime:join", "realtime:publish"]}}
