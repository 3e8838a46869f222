"""The settings of the Channels tutorial, in production, with one of the two Redis layers."""

import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "daphne",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ASGI_APPLICATION = "benchmarks.peers.tutorial.application"
USE_TZ = True

# redis-py 8 changed two defaults that channels_redis relies on. Without `socket_timeout`, idle
# sockets end after 5 s; without `max_connections`, a storm of connections gets HTTP 500.
REDIS = {"address": os.environ["REDIS_URL"], "socket_timeout": None, "max_connections": 2**31}
CHANNEL_LAYERS = {"default": {"BACKEND": os.environ["CHANNEL_LAYER"], "CONFIG": {"hosts": [REDIS]}}}
