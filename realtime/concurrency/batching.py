"""Questions that wait at the same time are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from itertools import islice
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

Question = TypeVar("Question")
Answer = TypeVar("Answer")

AT_ONCE = 200
ROUNDS_AT_ONCE = 2
PATIENCE_SECONDS = 0.03
"""After so long, those who wait for the end of a round get one of their own."""
CROWD = 4
"""When so many wait at the end of a round, more will come."""
GATHER_SECONDS = 0.02


class BatchedLookup(Generic[Question, Answer]):
    """Gathers questions that come while others are being answered, and asks them in one call.

    `look_up` gets some questions and returns as many answers, of which one may be an exception.
    Those who ask the same, by `key`, share the answer, unless it was already being looked up: what
    is asked after a change is never answered from before it.

    A round takes some milliseconds, however many it is for. So who comes alone is answered at once,
    and a crowd is gathered for as long as the last round took.
    """

    def __init__(
        self, look_up: Callable[[list[Question]], Awaitable[list[Answer | Exception]]]
    ) -> None:
        self._look_up = look_up
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Question, Answer]] = (
            WeakKeyDictionary()
        )

    async def ask(self, key: Hashable, question: Question) -> Answer:
        """The answer, or raises what `look_up` gave in its place."""
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
        self._last_begun = 0.0
        self._help: asyncio.TimerHandle | None = None

    def answer_to(self, key: Hashable, question: Question) -> asyncio.Future[Answer]:
        if key not in self.waiting:
            self.waiting[key] = (question, asyncio.get_running_loop().create_future())
            if not self.workers:
                self._start_worker()
            else:
                self._look_later()
        return self.waiting[key][1]

    def _start_worker(self) -> None:
        # Begins with the next turn of the loop: what is asked in this one goes along.
        loop = asyncio.get_running_loop()
        self.workers.add(loop.create_task(self._work(), name="realtime-lookups"))

    async def _work(self) -> None:
        try:
            while self.waiting:
                took = await self._round()
                if len(self.workers) > 1:
                    break  # one is enough, unless its round takes long again
                if len(self.waiting) >= CROWD:
                    await asyncio.sleep(min(took, GATHER_SECONDS))
        finally:
            # In the same step as the last look at those who wait: nobody is left between.
            self.workers.discard(asyncio.current_task())
            if self.waiting:
                self._look_later()

    async def _round(self) -> float:
        """Answer the first of those who wait. Returns how many seconds it took."""
        begun = self._last_begun = asyncio.get_running_loop().time()
        asked = [self.waiting.pop(key) for key in list(islice(self.waiting, AT_ONCE))]
        answers = await self._answers([question for question, _ in asked])
        for (_, future), answer in zip(asked, answers, strict=True):
            _settle(future, answer)
        return asyncio.get_running_loop().time() - begun

    async def _answers(self, questions: list[Question]) -> list[Answer | Exception]:
        try:
            answers = list(await self._look_up(questions))
            if len(answers) != len(questions):
                raise ValueError(f"{len(questions)} questions got {len(answers)} answers")
        except Exception as error:
            return [error] * len(questions)
        return answers

    def _look_later(self) -> None:
        if self._help is None:
            loop = asyncio.get_running_loop()
            self._help = loop.call_later(PATIENCE_SECONDS, self._look_whether_help_is_needed)

    def _look_whether_help_is_needed(self) -> None:
        self._help = None
        if not self.waiting:
            return
        is_slow = asyncio.get_running_loop().time() - self._last_begun >= PATIENCE_SECONDS
        if is_slow and len(self.workers) < ROUNDS_AT_ONCE:
            self._start_worker()
        else:
            self._look_later()


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
        future.exception()  # perhaps nobody waits any more
    else:
        future.set_result(answer)
