"""A process that is forked at any moment hangs nowhere, and does none of the work of its parent."""

import os
import subprocess
import sys

import pytest

BEGINNING = """
import asyncio, os, signal, threading, django
django.setup()

def in_child(function):
    if not (child := os.fork()):
        signal.alarm(60)
        function()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, "the child hangs or has failed"
"""

ANNOUNCES = """
from realtime.changes import changes
from realtime.control.announcements import _announcer, _owed_marks

def announce():
    changes.record("1")
    _owed_marks.add(lambda: None)
    _announcer.submit(lambda: print("done", flush=True))

with _announcer._backlog._lock, _owed_marks._backlog._lock, changes._lock:
    in_child(announce)
"""

USES_THREADS = """
from realtime.concurrency.threads import _pools, run_in_thread

# The child has no thread of the pool, and nobody gives those back that are in use.
assert asyncio.run(run_in_thread(threading.get_ident)) != threading.get_ident()
(pool,) = _pools._pools.values()
with pool._lock:
    in_child(lambda: asyncio.run(run_in_thread(print, "done", "", seconds=30)))
"""

USES_THE_LAYER_IN_MEMORY = """
from realtime.layers import get_layer

def publish():
    asyncio.run(get_layer().group_send("lobby", {"type": "hello"}))
    print("done", flush=True)

with get_layer()._lock:
    thread = threading.Thread(target=in_child, args=[publish])
    thread.start()
    thread.join()
"""


@pytest.mark.parametrize(
    "code",
    [ANNOUNCES, USES_THREADS, USES_THE_LAYER_IN_MEMORY],
    ids=["announces", "threads", "layer"],
)
def test_a_process_that_is_forked_while_another_thread_holds_a_lock_goes_on(code):
    run = subprocess.run(
        [sys.executable, "-c", BEGINNING + code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings.base", "REDIS_URL": ""},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "done"), run.stderr
