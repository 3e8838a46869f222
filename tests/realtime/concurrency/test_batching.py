"""Questions that wait at the same time are answered together, and never from before they came."""

import asyncio

import pytest

from realtime.concurrency import batching
from realtime.concurrency.batching import BatchedLookup


class Source:
    """Answers in upper case, each round when it is let; keeps the rounds that it was asked."""

    def __init__(self, *, held=False):
        self.rounds = []
        self.under_way = 0
        self.most_under_way = 0
        self._gates = []
        self._held = held
        self._came = asyncio.Event()

    async def __call__(self, questions):
        self.rounds.append(questions)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        gate = asyncio.Event()
        self._gates.append(gate)
        self._came.set()
        try:
            if self._held:
                await gate.wait()
            return [KeyError(it) if it.startswith("bad") else it.upper() for it in questions]
        finally:
            self.under_way -= 1

    async def until_round(self, number):
        async with asyncio.timeout(5):
            while len(self.rounds) < number:
                self._came.clear()
                await self._came.wait()

    def let(self, number):
        self._gates[number - 1].set()

    def let_all(self):
        self._held = False
        for gate in self._gates:
            gate.set()


def ask(asked, *questions):
    return [asyncio.create_task(asked.ask(question, question)) for question in questions]


async def test_what_is_asked_in_one_turn_of_the_loop_goes_along():
    source = Source()
    assert await asyncio.gather(*ask(BatchedLookup(source), "a", "b", "c")) == ["A", "B", "C"]
    assert source.rounds == [["a", "b", "c"]]


async def test_the_same_question_is_asked_once_and_all_get_the_answer():
    source = Source()
    assert await asyncio.gather(*ask(BatchedLookup(source), "a", "b", "a", "a")) == [
        "A",
        "B",
        "A",
        "A",
    ]
    assert source.rounds == [["a", "b"]]


async def test_what_comes_while_others_are_answered_waits_and_goes_together():
    source = Source(held=True)
    asked = BatchedLookup(source)
    first = ask(asked, "a")
    await source.until_round(1)
    rest = ask(asked, "b")
    await asyncio.sleep(0)
    rest += ask(asked, *"cdefgh")
    await asyncio.sleep(0)
    source.let(1)
    await source.until_round(2)
    assert source.rounds == [["a"], list("bcdefgh")]
    source.let_all()
    assert await asyncio.gather(*first, *rest) == list("ABCDEFGH")


async def test_a_round_that_is_slow_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(batching, "PATIENCE_SECONDS", 0.01)
    source = Source(held=True)
    asked = BatchedLookup(source)
    slow = ask(asked, "a")
    await source.until_round(1)
    for number in (2, 3):  # each of them beside the slow one
        quick = ask(asked, f"b{number}", f"c{number}")
        await source.until_round(number)
        source.let(number)
        assert await asyncio.gather(*quick) == [f"B{number}", f"C{number}"]
        assert not slow[0].done()
    source.let_all()
    assert await asyncio.gather(*slow) == ["A"]


async def test_a_crowd_is_gathered_for_as_long_as_the_last_round_took(monkeypatch):
    monkeypatch.setattr(batching, "GATHER_SECONDS", 60)
    naps = []

    async def sleep(seconds, inner=asyncio.sleep):
        naps.append(seconds)
        tasks.extend(ask(asked, "late"))
        await inner(0)

    source = Source(held=True)
    asked = BatchedLookup(source)
    tasks = ask(asked, "a")
    await source.until_round(1)
    tasks += ask(asked, *"bcde")
    await asyncio.sleep(0)
    monkeypatch.setattr(batching.asyncio, "sleep", sleep)
    source.let_all()
    await source.until_round(2)
    monkeypatch.undo()
    assert source.rounds == [["a"], [*"bcde", "late"]]
    assert len(naps) == 1 and 0 < naps[0] < 60
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D", "E", "LATE"]


async def test_no_more_rounds_than_allowed_are_under_way(monkeypatch):
    monkeypatch.setattr(batching, "PATIENCE_SECONDS", 0)
    source = Source(held=True)
    asked = BatchedLookup(source)
    tasks = []
    for number in range(20):
        tasks += ask(asked, f"q{number}")
        await asyncio.sleep(0.001)
    await source.until_round(batching.ROUNDS_AT_ONCE)
    source.let_all()
    await asyncio.gather(*tasks)
    assert source.most_under_way == batching.ROUNDS_AT_ONCE
    assert sorted(it for asked in source.rounds for it in asked) == sorted(
        f"q{number}" for number in range(20)
    )


async def test_a_round_holds_a_limited_number(monkeypatch):
    monkeypatch.setattr(batching, "AT_ONCE", 10)
    source = Source()
    questions = [f"q{number}" for number in range(35)]
    answers = await asyncio.gather(*ask(BatchedLookup(source), *questions))
    assert answers == [question.upper() for question in questions]
    assert [len(asked) for asked in source.rounds] == [10, 10, 10, 5]


async def test_who_asks_while_the_same_is_being_looked_up_gets_a_newer_answer():
    """What was asked after a change must not be answered from before it."""
    world = "before"
    may_end = asyncio.Event()

    async def look_up(questions):
        seen = world
        if seen == "before":
            await may_end.wait()
        return [seen] * len(questions)

    asked = BatchedLookup(look_up)
    early = ask(asked, "state")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    world = "after"
    late = ask(asked, "state", "state")
    assert await asyncio.gather(*late) == ["after", "after"]
    may_end.set()
    assert await asyncio.gather(*early) == ["before"]


async def test_an_answer_may_be_an_error_of_one_question():
    answers = await asyncio.gather(
        *ask(BatchedLookup(Source()), "a", "bad", "b", "bad"), return_exceptions=True
    )
    assert [answers[0], answers[2]] == ["A", "B"]
    assert all(isinstance(it, KeyError) for it in (answers[1], answers[3]))


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), TimeoutError(), ExceptionGroup("", [OSError()])]
)
async def test_a_look_up_that_fails_fails_for_those_who_asked_and_is_tried_again(error):
    broken = True

    async def look_up(questions):
        if broken:
            raise error
        return questions

    asked = BatchedLookup(look_up)
    answers = await asyncio.gather(*ask(asked, "a", "b"), return_exceptions=True)
    assert answers == [error, error]
    broken = False
    assert await asyncio.gather(*ask(asked, "a", "b")) == ["a", "b"]


@pytest.mark.parametrize("answers", [[], ["a"], ["a", "b", "c"], None, 5])
async def test_a_wrong_number_of_answers_leaves_nobody_waiting(answers):
    async def look_up(questions):
        return answers

    async with asyncio.timeout(5):
        got = await asyncio.gather(*ask(BatchedLookup(look_up), "a", "b"), return_exceptions=True)
    assert all(isinstance(it, Exception) for it in got)


async def test_one_who_gives_up_takes_the_answer_from_nobody():
    source = Source(held=True)
    asked = BatchedLookup(source)
    gone, stays, other = ask(asked, "a", "a", "b")
    await source.until_round(1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    source.let_all()
    assert await asyncio.gather(stays, other) == ["A", "B"]
    assert gone.cancelled()


async def test_an_error_that_nobody_waits_for_any_more_is_silent(caplog):
    source = Source(held=True)
    (gone,) = ask(BatchedLookup(source), "bad")
    await source.until_round(1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    source.let_all()
    async with asyncio.timeout(5):
        while source.under_way:
            await asyncio.sleep(0)
    assert not caplog.records


async def test_nothing_stays_behind():
    source = Source()
    asked = BatchedLookup(source)
    await asyncio.gather(*ask(asked, "a", "bad"), return_exceptions=True)
    async with asyncio.timeout(5):
        while any(task.get_name() == "realtime-lookups" for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
    (queue,) = asked._queues.values()
    assert not queue.waiting and not queue.workers


def test_each_event_loop_has_its_own_rounds():
    rounds = []

    async def look_up(questions):
        rounds.append((asyncio.get_running_loop(), questions))
        return questions

    asked = BatchedLookup(look_up)

    async def run():
        return await asyncio.gather(*ask(asked, "a", "b"))

    assert [asyncio.run(run()), asyncio.run(run())] == [["a", "b"]] * 2
    assert [questions for _, questions in rounds] == [["a", "b"]] * 2
    assert rounds[0][0] is not rounds[1][0]


def test_a_loop_that_ends_in_the_middle_leaves_the_next_one_free():
    may_answer = False

    async def look_up(questions):
        if not may_answer:
            await asyncio.Event().wait()
        return questions

    asked = BatchedLookup(look_up)

    async def give_up():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asked.ask("a", "a")

    async def succeed():
        return await asked.ask("a", "a")

    asyncio.run(give_up())
    may_answer = True
    assert asyncio.run(succeed()) == "a"
