"""Batching: concurrent questions share a look-up, and no answer is older than its question."""

import asyncio

import pytest

from realtime.concurrency import batching
from realtime.concurrency.batching import BatchedLookup


class Source:
    """Answers in upper case. Keeps its batches, and holds each one back until it is released."""

    def __init__(self, *, held=False):
        self.batches = []
        self.running = 0
        self.most_running = 0
        self._gates = []
        self._held = held
        self._came = asyncio.Event()

    async def __call__(self, questions):
        self.batches.append(questions)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        gate = asyncio.Event()
        self._gates.append(gate)
        self._came.set()
        try:
            if self._held:
                await gate.wait()
            return [
                KeyError(name) if name.startswith("bad") else name.upper() for name in questions
            ]
        finally:
            self.running -= 1

    async def until_batch(self, number):
        async with asyncio.timeout(60):
            while len(self.batches) < number:
                self._came.clear()
                await self._came.wait()

    def release(self, number):
        self._gates[number - 1].set()

    def release_all(self):
        self._held = False
        for gate in self._gates:
            gate.set()


def ask(asked, *questions):
    return [asyncio.create_task(asked.ask(question, question)) for question in questions]


async def test_questions_of_one_tick_of_the_loop_share_a_batch():
    source = Source()
    assert await asyncio.gather(*ask(BatchedLookup(source), "a", "b", "c")) == ["A", "B", "C"]
    assert source.batches == [["a", "b", "c"]]


async def test_equal_questions_are_asked_once_and_share_the_answer():
    source = Source()
    assert await asyncio.gather(*ask(BatchedLookup(source), "a", "b", "a", "a")) == [
        "A",
        "B",
        "A",
        "A",
    ]
    assert source.batches == [["a", "b"]]


async def test_questions_during_a_batch_form_the_next_batch():
    source = Source(held=True)
    asked = BatchedLookup(source)
    first = ask(asked, "a")
    await source.until_batch(1)
    rest = ask(asked, "b")
    await asyncio.sleep(0)
    rest += ask(asked, *"cdefgh")
    await asyncio.sleep(0)
    source.release(1)
    await source.until_batch(2)
    assert source.batches == [["a"], list("bcdefgh")]
    source.release_all()
    assert await asyncio.gather(*first, *rest) == list("ABCDEFGH")


async def test_questions_do_not_wait_for_a_slow_batch(monkeypatch):
    monkeypatch.setattr(batching, "SLOW_SECONDS", 0.01)
    source = Source(held=True)
    asked = BatchedLookup(source)
    slow = ask(asked, "a")
    await source.until_batch(1)
    for number in (2, 3):  # while the slow one is running
        quick = ask(asked, f"b{number}", f"c{number}")
        await source.until_batch(number)
        source.release(number)
        assert await asyncio.gather(*quick) == [f"B{number}", f"C{number}"]
        assert not slow[0].done()
    source.release_all()
    assert await asyncio.gather(*slow) == ["A"]


async def test_under_load_a_batch_is_gathered_for_as_long_as_the_last_one_took(monkeypatch):
    monkeypatch.setattr(batching, "MAX_GATHER_SECONDS", 60)
    naps = []

    async def sleep(seconds, inner=asyncio.sleep):
        naps.append(seconds)
        tasks.extend(ask(asked, "late"))
        await inner(0)

    source = Source(held=True)
    asked = BatchedLookup(source)
    tasks = ask(asked, "a")
    await source.until_batch(1)
    tasks += ask(asked, *"bcde")
    await asyncio.sleep(0)
    monkeypatch.setattr(batching.asyncio, "sleep", sleep)
    source.release_all()
    await source.until_batch(2)
    monkeypatch.undo()
    assert source.batches == [["a"], [*"bcde", "late"]]
    assert len(naps) == 1 and 0 < naps[0] < 60
    assert await asyncio.gather(*tasks) == ["A", "B", "C", "D", "E", "LATE"]


async def test_the_number_of_concurrent_batches_is_limited(monkeypatch):
    monkeypatch.setattr(batching, "SLOW_SECONDS", 0)
    source = Source(held=True)
    asked = BatchedLookup(source)
    tasks = []
    for number in range(20):
        tasks += ask(asked, f"q{number}")
        await asyncio.sleep(0.001)
    await source.until_batch(batching.MAX_CONCURRENT_BATCHES)
    source.release_all()
    await asyncio.gather(*tasks)
    assert source.most_running == batching.MAX_CONCURRENT_BATCHES
    assert sorted(question for asked in source.batches for question in asked) == sorted(
        f"q{number}" for number in range(20)
    )


async def test_the_size_of_a_batch_is_limited(monkeypatch):
    monkeypatch.setattr(batching, "MAX_BATCH_SIZE", 10)
    source = Source()
    questions = [f"q{number}" for number in range(35)]
    answers = await asyncio.gather(*ask(BatchedLookup(source), *questions))
    assert answers == [question.upper() for question in questions]
    assert [len(asked) for asked in source.batches] == [10, 10, 10, 5]


async def test_a_question_during_the_same_look_up_gets_a_newer_answer():
    """A question after a change must not get an answer from before it."""
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


async def test_an_exception_may_be_the_answer_to_one_question():
    answers = await asyncio.gather(
        *ask(BatchedLookup(Source()), "a", "bad", "b", "bad"), return_exceptions=True
    )
    assert [answers[0], answers[2]] == ["A", "B"]
    assert all(isinstance(answer, KeyError) for answer in (answers[1], answers[3]))


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), TimeoutError(), ExceptionGroup("", [OSError()])]
)
async def test_a_failed_look_up_fails_its_questions_and_the_next_one_works(error):
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
async def test_a_wrong_number_of_answers_fails_all_questions(answers):
    async def look_up(questions):
        return answers

    async with asyncio.timeout(60):
        got = await asyncio.gather(*ask(BatchedLookup(look_up), "a", "b"), return_exceptions=True)
    assert all(isinstance(answer, Exception) for answer in got)


async def test_a_cancelled_caller_does_not_affect_the_others():
    source = Source(held=True)
    asked = BatchedLookup(source)
    gone, stays, other = ask(asked, "a", "a", "b")
    await source.until_batch(1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    source.release_all()
    assert await asyncio.gather(stays, other) == ["A", "B"]
    assert gone.cancelled()


async def test_an_error_without_a_waiting_caller_is_not_logged(caplog):
    source = Source(held=True)
    (gone,) = ask(BatchedLookup(source), "bad")
    await source.until_batch(1)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    source.release_all()
    async with asyncio.timeout(60):
        while source.running:
            await asyncio.sleep(0)
    assert not caplog.records


async def test_no_question_or_task_is_left_at_the_end():
    source = Source()
    asked = BatchedLookup(source)
    await asyncio.gather(*ask(asked, "a", "bad"), return_exceptions=True)
    async with asyncio.timeout(60):
        while any(task.get_name() == "realtime-lookups" for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
    (queue,) = asked._queues.values()
    assert not queue.waiting and not queue.workers


def test_each_event_loop_has_its_own_batches():
    batches = []

    async def look_up(questions):
        batches.append((asyncio.get_running_loop(), questions))
        return questions

    asked = BatchedLookup(look_up)

    async def run():
        return await asyncio.gather(*ask(asked, "a", "b"))

    assert [asyncio.run(run()), asyncio.run(run())] == [["a", "b"]] * 2
    assert [questions for _, questions in batches] == [["a", "b"]] * 2
    assert batches[0][0] is not batches[1][0]


def test_a_loop_that_ends_during_a_batch_does_not_affect_the_next_loop():
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
