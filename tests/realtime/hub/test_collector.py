"""The garbage collector is set up once a process, and not against the will of a site."""

import gc

import pytest
from django.test import override_settings

from realtime.hub import collector


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """Reset the collector to the state of a new process."""
    threshold = gc.get_threshold()
    monkeypatch.setattr(collector, "_is_tuned", False)
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.enable()
    gc.unfreeze()
    gc.set_threshold(*threshold)


def test_it_runs_less_often_and_leaves_out_what_is_there():
    collector.tune()
    assert gc.get_threshold() == (10_000, 10, 10)
    assert gc.get_freeze_count() > 10_000


def test_it_is_tuned_once():
    collector.tune()
    gc.unfreeze()
    gc.set_threshold(800, 10, 10)
    collector.tune()
    assert gc.get_threshold() == (800, 10, 10)
    assert not gc.get_freeze_count()


def test_a_site_that_wants_it_less_often_still_gets_that():
    gc.set_threshold(50_000, 20, 30)
    collector.tune()
    assert gc.get_threshold() == (50_000, 20, 30)


def test_a_site_may_leave_it_as_it_is():
    with override_settings(REALTIME={"COLLECTOR_THRESHOLD": 0}):
        collector.tune()
    assert gc.get_threshold() == (700, 10, 10)
    assert not gc.get_freeze_count()


def test_a_site_that_has_switched_it_off_is_left_alone():
    gc.disable()
    collector.tune()
    assert not gc.isenabled()
    assert not gc.get_freeze_count()
