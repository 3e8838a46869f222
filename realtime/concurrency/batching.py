"""Batches concurrent look-ups into one call (a data loader)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MAX_BATCH_SIZE = 200
MAX_CONCURRENT_BATCHES = 2
SLOW_SECONDS = 0.03
"""A batch that takes longer is slow: the questions that wait for it get a batch of their own."""
BUSY_QUESTIONS = 4
"""If so many questions wait at the end of a batch, more are expected soon."""
MAX_GATHER_SECONDS = 0.02


class BatchedLookup(Generic[Question, Answer]):
    """Gathers questions that come during one batch, and asks them together in the next.

    `look_up` gets some questions and returns an answer or an exception for each. Questions with the
    same `key` share an answer, but only before its batch has begun: an answer is never older than
    its question.

    A batch takes some milliseconds, whatever its size. So a single question is asked at once. Under
    load, the next batch is gathered for as long as the last one took.
    """

    def __init__(
        self, look_up: Callable[[list[Question]], Awaitable[list[Answer | Exception]]]
    ) -> None:
        self._look_up = look_up
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Question, Answer]] = (
            WeakKeyDictionary()
        )

    async def ask(self, key: Hashable, question: Question) -> Answer:
        """Return the answer, or raise the exception that `look_up` returned instead."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop)
        if queue is None:
            queue = self._queues[loop] = _Queue(self._look_up)
        return await asyncio.shield(queue.answer_to(key, question))


class _Queue(Generic[Question, Answer]):
    """The questions of one event loop."""

    def __init__(
        self, look_up: Callable[[list[Question]], Awaitable[list[Answer | Exception]]]
    ) -> None:
        self.waiting: dict[Hashable, tuple[Question, asyncio.Future[Answer]]] = {}
        self.workers: set[asyncio.Task[None]] = set()
        self._look_up = look_up
        self._last_started = 0.0
        self._check: asyncio.TimerHandle | None = None

    def answer_to(self, key: Hashable, question: Question) -> asyncio.Future[Answer]:
        if key not in self.waiting:
            self.waiting[key] = (question, asyncio.get_running_loop().create_future())
            if not self.workers:
                self._start_worker()
            else:
                self._check_later()
        return self.waiting[key][1]

    def _start_worker(self) -> None:
        # The task starts in the next tick of the loop, so all questions of this tick are included.
        loop = asyncio.get_running_loop()
        self.workers.add(loop.create_task(self._work(), name="realtime-lookups"))

    async def _work(self) -> None:
        try:
            while self.waiting:
                seconds = await self._answer_batch()
                if len(self.workers) > 1:
                    break  # one worker is enough, until a batch is slow again
                if len(self.waiting) >= BUSY_QUESTIONS:
                    await asyncio.sleep(min(seconds, MAX_GATHER_SECONDS))
        finally:
            # No `await` since the check of `waiting`, so no question is left without a worker.
            self.workers.discard(asyncio.current_task())
            if self.waiting:
                self._check_later()

    async def _answer_batch(self) -> float:
        """Answer the oldest questions, and return how many seconds that took."""
        started = self._last_started = asyncio.get_running_loop().time()
        asked = [self.waiting.pop(key) for key in list(islice(self.waiting, MAX_BATCH_SIZE))]
        answers = await self._answers([question for question, _ in asked])
        for (_, future), answer in zip(asked, answers, strict=True):
            _settle(future, answer)
        return asyncio.get_running_loop().time() - started

    async def _answers(self, questions: list[Question]) -> list[Answer | Exception]:
        try:
            answers = list(await self._look_up(questions))
            if len(answers) != len(questions):
                raise ValueError(f"{len(questions)} questions got {len(answers)} answers")
        except Exception as error:
            return [error] * len(questions)
        return answers

    def _check_later(self) -> None:
        if self._check is None:
            loop = asyncio.get_running_loop()
            self._check = loop.call_later(SLOW_SECONDS, self._start_worker_if_slow)

    def _start_worker_if_slow(self) -> None:
        self._check = None
        if not self.waiting:
            return
        is_slow = asyncio.get_running_loop().time() - self._last_started >= SLOW_SECONDS
        if is_slow and len(self.workers) < MAX_CONCURRENT_BATCHES:
            self._start_worker()
        else:
            self._check_later()


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
        future.exception()  # no warning from asyncio if the caller has been cancelled
    else:
        future.set_result(answer)
