"""Tests of optional libraries run by themselves, on a site that has them: see `LIBRARIES`."""

import os

LIBRARIES = ["test_oauth_toolkit.py", "test_allauth.py", "test_shipped.py"]

if os.environ.get("DJANGO_SETTINGS_MODULE") != "tests.settings.providers":
    collect_ignore = LIBRARIES
