"""Marks that a Redis could not take are made up for, however long it is away."""

import threading

import pytest

from realtime.concurrency import backlog
from realtime.control import marks
from realtime.control.marks import OwedMarks
from realtime.exceptions import LayerUnavailable, PartlyUnavailable


@pytest.fixture
def all_marked():
    return []


@pytest.fixture
def owed(all_marked, monkeypatch):
    monkeypatch.setattr(backlog, "RETRY_SECONDS", 0.01)
    return OwedMarks(lambda: all_marked.append(True))


def test_a_mark_is_tried_until_redis_is_back(owed, caplog):
    outcomes, made = [LayerUnavailable("away"), LayerUnavailable("away")], []

    def mark():
        if outcomes:
            raise outcomes.pop()
        made.append(1)

    owed.add(mark)
    owed.add(lambda: made.append(2))
    owed.join()
    assert made == [1, 2]
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_only_what_is_still_missing_is_tried_again(owed):
    tried = []

    def second():
        tried.append("second")

    def first():
        tried.append("first")
        raise PartlyUnavailable("one of two", second)

    owed.add(first)
    owed.join()
    assert tried == ["first", "second"]


def test_an_error_is_logged_and_stops_nothing(owed, caplog):
    made = []
    owed.add(lambda: 1 / 0)
    owed.add(lambda: made.append(1))
    owed.join()
    assert made == [1]
    assert "ZeroDivisionError" in caplog.text


def test_very_many_are_replaced_by_one_that_stands_for_all(owed, all_marked, monkeypatch):
    monkeypatch.setattr(marks, "MOST_OWED", 3)
    begun, is_back, made = threading.Event(), threading.Event(), []

    def mark():
        begun.set()
        assert is_back.wait(30)
        made.append(1)

    owed.add(mark)
    assert begun.wait(30)
    for _ in range(3):
        owed.add(lambda: made.append(2))
    is_back.set()
    owed.join()
    assert (made, all_marked) == ([1], [True])
