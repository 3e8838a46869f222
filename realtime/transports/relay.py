"""Relay: questions to one process of the site, over the channel layer, and their answers."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from ..exceptions import LayerUnavailable
from ..layers import RoomLayer
from ..sparse_log import SparseLog

logger = logging.getLogger("realtime.relay")
_lost = SparseLog(logger)

TAKEN_SECONDS = 4.0
"""A process that has not even confirmed a question by then is gone."""
QUICK_SECONDS = 0.5
"""An answer that comes by then needs no confirmation."""

_ASK = "realtime.relay.ask"
_TAKEN = "realtime.relay.taken"
_ANSWER = "realtime.relay.answer"
_CANCEL = "realtime.relay.cancel"
_TELL = "realtime.relay.tell"

Body = dict[str, Any]


class Relay:
    """Carries questions between processes. `carry_out` answers those that come here, and
    `on_lost` is called with a question whose answer could not be sent."""

    def __init__(
        self,
        layer: RoomLayer,
        process: str,
        carry_out: Callable[[Body], Awaitable[Body]],
        on_lost: Callable[[Body], None],
    ) -> None:
        self._layer = layer
        self._process = process
        self._carry_out = carry_out
        self._on_lost = on_lost
        self._opening = asyncio.Lock()
        self._is_open = False
        self._asked: dict[str, tuple[asyncio.Future[None], asyncio.Future[Body | None]]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.listeners: dict[str, Callable[[Body], None]] = {}
        """Called with what is told to them, by their ids."""

    async def open(self) -> None:
        """Hear questions from now on. Raises `LayerUnavailable`."""
        if self._is_open:
            return
        async with self._opening:
            if not self._is_open:
                channel = await self._layer.new_channel("realtime.relay.")
                self._layer.on_message(channel, self._receive, _drop)
                await self._layer.group_add(_group(self._process), channel)
                self._layer.on_reconnect(self._on_gap)
                self._is_open = True

    async def ask(self, process: str, question: Body, seconds: float) -> Body | None:
        """Return the answer of a process; None if it is gone, or says nothing for so long."""
        id, loop = uuid.uuid4().hex, asyncio.get_running_loop()
        taken, answered = self._asked[id] = (loop.create_future(), loop.create_future())
        message = {"type": _ASK, "id": id, "from": self._process, "question": question}
        try:
            await self.open()
            await self._layer.group_send(_group(process), message)
            async with asyncio.timeout(TAKEN_SECONDS):
                await taken
            async with asyncio.timeout(seconds):
                answer: Body | None = await answered
                return answer
        except (TimeoutError, LayerUnavailable) as error:
            logger.info("the process %s has not answered: %s", process, type(error).__name__)
            return None
        except asyncio.CancelledError:
            self._run(f"cancel {id}", self._send(process, {"type": _CANCEL, "id": id}))
            raise
        finally:
            del self._asked[id]

    async def tell(self, process: str, id: str, body: Body) -> bool:
        """Tell a listener of a process something. Return whether it was sent."""
        return await self._send(process, {"type": _TELL, "id": id, "body": body})

    def tell_soon(self, process: str, id: str, body: Body) -> None:
        """As `tell`, in the background."""
        self._run(f"tell {id}", self._send(process, {"type": _TELL, "id": id, "body": body}))

    def _receive(self, message: Body) -> None:
        kind, id = message.get("type"), str(message.get("id"))
        if kind == _ASK:
            self._run(id, self._answer(message))
        elif kind == _TELL and id in self.listeners:
            self.listeners[id](message["body"])
        elif kind == _CANCEL and id in self._tasks:
            self._tasks[id].cancel()
        elif kind in (_TAKEN, _ANSWER) and id in self._asked:
            taken, answered = self._asked[id]
            if not taken.done():
                taken.set_result(None)
            if kind == _ANSWER and not answered.done():
                answered.set_result(message["answer"])

    def _on_gap(self) -> None:
        """Answers may have been missed: wait for none of them."""
        for taken, answered in self._asked.values():
            if not taken.done():
                taken.set_result(None)
            if not answered.done():
                answered.set_result(None)

    def _run(self, id: str, work: Any) -> None:
        task = self._tasks[id] = asyncio.create_task(work, name="realtime-relay")
        task.add_done_callback(lambda _: self._tasks.pop(id, None))

    async def _answer(self, message: Body) -> None:
        id, asker, question = message["id"], message["from"], message["question"]
        work = asyncio.ensure_future(self._carry_out(question))
        try:
            await asyncio.wait({work}, timeout=QUICK_SECONDS)
            if not work.done():
                await self._send(asker, {"type": _TAKEN, "id": id})
            answer = await work
        except asyncio.CancelledError:
            work.cancel()
            raise
        except Exception:
            logger.exception("a request that came to another process failed")
            return
        if not await self._send(asker, {"type": _ANSWER, "id": id, "answer": answer}):
            self._on_lost(question)

    async def _send(self, process: str, message: Body) -> bool:
        """Return whether it was sent."""
        try:
            await self._layer.group_send(_group(process), message)
        except LayerUnavailable as error:
            _lost.warning("a request that came to another process is lost: %s", error)
            return False
        return True


def _group(process: str) -> str:
    return f"realtime.process.{process}"


def _drop(room: str, epoch: str, publication: Any) -> None:
    """Publications go to rooms, and never here."""
