"""Announcements are sent in order, retried, and never hold up a request for long."""

import os
import subprocess
import sys
import threading

import pytest

from realtime.concurrency import backlog
from realtime.control import announcer
from realtime.control.announcer import Announcer
from realtime.exceptions import LayerUnavailable


@pytest.fixture
def given_up():
    return []


@pytest.fixture
def submit(given_up, monkeypatch):
    monkeypatch.setattr(backlog, "RETRY_SECONDS", 0.01)
    return Announcer(on_given_up=lambda: given_up.append(True)).submit


def test_what_is_submitted_has_been_sent_when_submit_returns(submit):
    sent = []
    submit(lambda: sent.append(1))
    submit(lambda: sent.append(2))
    assert sent == [1, 2]


def test_what_fails_is_sent_again_in_its_order(submit, caplog):
    sent, is_away, done = [], [True, True], threading.Event()

    def first():
        if is_away:
            is_away.pop()
            raise LayerUnavailable("away")
        sent.append(1)

    def second():
        sent.append(2)
        done.set()

    submit(first)
    submit(second)
    assert done.wait(30)
    assert sent == [1, 2]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_layer_that_hangs_delays_a_request_once(submit, monkeypatch):
    monkeypatch.setattr(announcer, "WAIT_SECONDS", 0.05)
    hangs, sent = threading.Event(), threading.Semaphore(0)

    def hang():
        hangs.wait(60)
        sent.release()

    submit(hang)
    monkeypatch.setattr(announcer, "WAIT_SECONDS", 1_000)
    for _ in range(50):
        submit(hang)  # the test would time out here
    hangs.set()
    for _ in range(51):
        assert sent.acquire(timeout=30)


def test_an_error_of_one_does_not_stop_the_next(submit, caplog):
    sent = []
    submit(lambda: 1 / 0)
    submit(lambda: sent.append(1))
    assert sent == [1]
    assert "ZeroDivisionError" in caplog.text


def test_what_is_too_old_is_given_up_and_everything_reviewed_instead(submit, given_up, monkeypatch):
    monkeypatch.setattr(announcer, "KEPT_SECONDS", 0)
    tried = threading.Event()

    def never():
        tried.set()
        raise LayerUnavailable("away")

    submit(never)
    assert tried.wait(30)
    sent = threading.Event()
    monkeypatch.setattr(announcer, "KEPT_SECONDS", 60)
    while not given_up:
        submit(sent.set)
    assert sent.wait(30)


ENDS_AT_ONCE = """
import time, django
django.setup()
from realtime.control import announcer, announcements
from realtime.exceptions import LayerUnavailable

announcer.WAIT_SECONDS = 0.01

def send():
    time.sleep(1)
    print("sent", flush=True)

def fail():
    raise LayerUnavailable("away")

announcements._announcer.submit(%s)
"""


@pytest.mark.parametrize(("send", "printed"), [("send", "sent\n"), ("fail", "")])
def test_a_process_that_ends_sends_first_and_does_not_wait_for_a_layer_that_is_away(send, printed):
    run = subprocess.run(
        [sys.executable, "-c", ENDS_AT_ONCE % send],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings.base"},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (run.returncode, run.stdout) == (0, printed), run.stderr
