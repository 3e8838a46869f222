"""A backlog does its items in their order, each again until it is done."""

import threading

import pytest

from realtime.concurrency import backlog
from realtime.concurrency.backlog import Backlog

SECONDS = 30


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(backlog, "RETRY_SECONDS", 0.01)


def test_items_are_done_in_their_order():
    done = []
    work = Backlog("work", done.append)
    for number in range(100):
        work.add(number)
    work.join()
    assert done == list(range(100))
    assert len(work) == 0


def test_what_is_left_of_an_item_comes_before_the_next():
    done = []

    def halve(number):
        done.append(number)
        return number // 2 or None

    work = Backlog("work", halve)
    for number in (4, 9):
        work.add(number)
    work.join()
    assert done == [4, 2, 1, 9, 4, 2, 1]


def test_the_thread_ends_and_is_started_again():
    threads = set()
    work = Backlog("work", lambda item: threads.add(threading.current_thread()))
    for number in (1, 2):
        work.add(number)
        work.join()
    assert len(threads) == 2
    assert all(thread.daemon and thread.name == "work" for thread in threads)


def test_an_item_can_take_the_place_of_all():
    begun, may_end, done = threading.Event(), threading.Event(), []

    def do(item):
        begun.set()
        assert may_end.wait(SECONDS)
        done.append(item)

    work = Backlog("work", do)
    work.add("one")
    assert begun.wait(SECONDS)
    work.add("two")
    work.add("everything", in_place_of_all=True)
    may_end.set()
    work.join()
    assert done == ["one", "everything"]


def test_the_first_ones_can_be_dropped():
    begun, may_end, done = threading.Event(), threading.Event(), []

    def do(item):
        begun.set()
        assert may_end.wait(SECONDS)
        done.append(item)

    work = Backlog("work", do)
    for number in (1, 2, 3, 1):
        work.add(number)
    assert begun.wait(SECONDS)
    assert work.drop_first_while(lambda number: number < 3) == 2
    may_end.set()
    work.join()
    assert done == [1, 3, 1]
