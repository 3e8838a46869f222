"""Marks that several test modules share."""

import pytest

own_site = pytest.mark.parametrize("site", [None], ids=["own"])
"""This test starts a site of its own, and runs once: not on each of the servers. Tokens are for the
users of the demo data."""
