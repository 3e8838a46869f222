"""The base settings of the tests, with the limits that the package has by default."""

from tests.settings.base import *  # noqa: F403

REALTIME: dict[str, object] = {}
