"""Work that a thread does one item after the other, each again until it is done."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

from .background import RETRY_SECONDS
from .forks import start_afresh_in_child

Item = TypeVar("Item")


class Backlog(Generic[Item]):
    """A queue with a daemon thread that is started if there is work, and ends if there is none.

    `work` gets the first item, raises nothing, and returns what is left of it or None. What is left
    stays first, and is tried again after a pause. A forked process starts with an empty queue: its
    parent does the work.
    """

    def __init__(self, name: str, work: Callable[[Item], Item | None]) -> None:
        self._name = name
        self._work = work
        self.start_afresh()
        start_afresh_in_child(self)

    def start_afresh(self) -> None:
        self._items: deque[Item] = deque()
        self._thread: Thread | None = None
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._items)

    def items(self) -> list[Item]:
        return list(self._items)

    def add(self, item: Item, *, in_place_of_all: bool = False) -> None:
        """Add an item at the end; or forget the others."""
        with self._lock:
            if in_place_of_all:
                self._items.clear()
            self._items.append(item)
            # A thread that has ended is started again.
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def drop_first_while(self, condition: Callable[[Item], bool]) -> int:
        """Forget items from the first one on. Return how many."""
        dropped = 0
        with self._lock:
            while self._items and condition(self._items[0]):
                self._items.popleft()
                dropped += 1
        return dropped

    def join(self) -> None:
        """Wait until the work is done."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._items:
                    self._thread = None
                    return
                first = self._items[0]
            left = self._work(first)
            with self._lock:
                if self._items and self._items[0] is first:
                    if left is None:
                        self._items.popleft()
                    else:
                        self._items[0] = left
            if left is not None:
                time.sleep(RETRY_SECONDS)
