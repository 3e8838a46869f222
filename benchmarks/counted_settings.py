"""Settings of the measured site in a process that counts its function calls."""

from .counted import start
from .site_settings import *  # noqa: F403

start()
