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


class Lookups(Generic[Question, Answer]):
    """Gathers questions that come while others are being answered, and asks them in one call.

    `look_up` gets some questions and returns as many answers, of which one may be an exception.
    Those who ask the same, by `key`, share the answer, unless it was already being looked up: what
    is asked after a change is never answered from before it.
    """

    def __init__(
        self, look_up: Callable[[list[Question]], Awaitable[list[Answer | Exception]]]
    ) -> None:
        self._look_up = look_up
        self._waiting: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[Hashable, tuple[Question, asyncio.Future[Answer]]]
        ] = WeakKeyDictionary()
        self._rounds: WeakKeyDictionary[asyncio.AbstractEventLoop, set[asyncio.Task[None]]] = (
            WeakKeyDictionary()
        )

    async def ask(self, key: Hashable, question: Question) -> Answer:
        """The answer, or raises what `look_up` gave in its place."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(loop, {})
        if key not in waiting:
            waiting[key] = (question, loop.create_future())
            self._start_round(loop)
        return await asyncio.shield(waiting[key][1])

    def _start_round(self, loop: asyncio.AbstractEventLoop) -> None:
        rounds = self._rounds.setdefault(loop, set())
        if len(rounds) < ROUNDS_AT_ONCE:
            # Begins with the next turn of the loop: what is asked in this one goes along.
            rounds.add(loop.create_task(self._run(loop), name="realtime-lookups"))

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting[loop]
        try:
            while waiting:
                asked = [waiting.pop(key) for key in list(islice(waiting, AT_ONCE))]
                answers = await self._answers([question for question, _ in asked])
                for (_, future), answer in zip(asked, answers, strict=True):
                    _settle(future, answer)
        finally:
            # In the same step as the last look at those who wait: nobody is left between.
            self._rounds[loop].discard(asyncio.current_task())

    async def _answers(self, questions: list[Question]) -> list[Answer | Exception]:
        try:
            answers = list(await self._look_up(questions))
            if len(answers) != len(questions):
                raise ValueError(f"{len(questions)} questions got {len(answers)} answers")
        except Exception as error:
            return [error] * len(questions)
        return answers


def _settle(future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if isinstance(answer, Exception):
        future.set_exception(answer)
        future.exception()  # perhaps nobody waits any more
    else:
        future.set_result(answer)
