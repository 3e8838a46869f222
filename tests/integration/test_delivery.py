"""The delivery check in its short form; `make delivery` is the long one."""

import json
import subprocess
import sys

import pytest

from tests.delivery import logs
from tests.delivery.ledger import Gap, Journal, Ledger, Place, Verdict, judge
from tests.support.processes import ROOT

SECONDS = 600
SHORT = ["--messages", "800", "--members", "12", "--cut-every", "0.25", "--json"]


def run(*options):
    # On a slow machine that has other things to do, servers alone start for a minute.
    finished = subprocess.run(
        [sys.executable, "-m", "tests.delivery", *SHORT, *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert finished.stdout, finished.stderr[-3000:]
    return finished.returncode, json.loads(finished.stdout)


@pytest.mark.timeout(SECONDS + 60)
def test_nothing_is_lost_in_silence():
    status, figures = run()
    wrong = {name: figures[name] for name in ("lost", "vanished", "out_of_order", "doubled")}
    assert wrong == dict.fromkeys(wrong, 0), figures
    assert status == 0
    assert figures["sent"] == 800 and figures["acknowledged"] > 500
    assert figures["delivered"] + figures["told"] >= 12 * figures["acknowledged"]
    assert figures["recoveries"]["recovered, with messages"] > 0


@pytest.mark.timeout(SECONDS + 60)
def test_bad_neighbours_hurt_nobody_else():
    status, figures = run("--neighbours", "--messages", "500")
    wrong = {name: figures[name] for name in ("lost", "vanished", "out_of_order", "doubled")}
    assert wrong == dict.fromkeys(wrong, 0), figures
    assert status == 0
    assert figures["revoked"] > 0 and figures["not_revoked"] == 0
    assert figures["tracebacks"] == figures["repeated"] == 0
    goings_on = {"hang", "make_noise", "read_all", "spoil", "revoke", "revoke beside a dead Redis"}
    accidents = {"kill one Redis of two", "restart Redis"}
    assert figures["neighbours"].keys() - {"kill daphne", "kill uvicorn-fast"} == (
        goings_on | accidents
    )
    assert figures["acknowledged"] > 300
    # The room on the Redis that dies.
    assert figures["fragile_delivered"] > 0 and figures["fragile_temporary"] > 0
    assert figures["fragile_wrong"] == figures["fragile_final"] == 0


def test_lines_that_a_log_repeats_within_a_minute_are_found():
    def line(at, process, text):
        return f"{at:.3f} {process} WARNING realtime.x: {text}"

    log = "\n".join(
        [
            line(0, 1, "away"),
            line(1, 2, "away"),
            line(2, 1, "back"),
            line(30, 1, "away (and 3 more since the last line)"),
            line(90.5, 1, "away (and 1 more since the last line)"),
            "Traceback (most recent call last):",
        ]
    )
    assert logs.repeated([log]) == ["realtime.x: away (30.0 s later)"]
    assert logs.causes([log]) == ["realtime.x: away", "realtime.x: back"]
    assert logs.tracebacks([log, log]) == 2


def test_the_check_finds_what_the_tutorial_consumer_loses():
    status, figures = run("--peer", "tutorial", "--messages", "400")
    assert status == 1
    assert figures["lost"] > 0 and figures["told"] == 0


def journal(*offsets, gaps=(), epoch="e", publisher="p"):
    seen = [((publisher, offset), Place(epoch, offset)) for offset in offsets]
    return Journal(seen, list(gaps))


SPOILT = {
    "a gap": ([journal(1, 2, 3), journal(1, 3)], {"lost": 1}),
    "a gap that was told": (
        [journal(1, 2, 3), journal(1, 3, gaps=[Gap(Place("e", 1), Place("e", 2))])],
        {"told": 1},
    ),
    "a new epoch that was told": (
        [
            journal(1, 2),
            Journal(
                [(("p", 1), Place("e", 1)), (("p", 9), Place("f", 1))],
                [Gap(Place("e", 1), Place("f", 0))],
            ),
        ],
        {"told": 1, "lost": 1},
    ),
    "a swap": ([journal(1, 2, 3), journal(2, 1, 3)], {"out_of_order": 1}),
    "one twice": ([journal(1, 2), journal(1, 2, 2)], {"doubled": 1}),
    "two orders": (
        [journal(1), Journal([(("q", 1), Place("e", 1))])],
        {"out_of_order": 1, "lost": 2},
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_every_defect_is_counted(case):
    journals, expected = SPOILT[case]
    assert judge(Ledger(journals), numbered=True) == Verdict(**expected)


def test_acknowledged_messages_must_have_been_received():
    ledger = Ledger([journal(1, 2)], acknowledged={"p": [1, 2, 3]})
    assert judge(ledger, numbered=True) == Verdict(vanished=1)
