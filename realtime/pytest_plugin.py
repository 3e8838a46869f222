"""The plugin for pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Realtime


@pytest.fixture
def realtime() -> Iterator[Realtime]:
    """The live side of the site: see `realtime.testing.Realtime`."""
    # Here, because pytest loads its plugins before Django has its settings.
    from .testing import realtime_of_test

    with realtime_of_test() as found:
        yield found
