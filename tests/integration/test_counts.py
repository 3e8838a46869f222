"""An operation makes no more calls than its bound, or a change has made the server slower.

No time is measured. `python -m benchmarks.counts --functions 20` shows what is called.
"""

import pytest

from benchmarks import counts
from benchmarks.counts import BOUNDS, Count


@pytest.fixture(scope="module")
def population(tmp_path_factory):
    folder = tmp_path_factory.mktemp("counts")
    return folder, *counts.populate(folder)


@pytest.mark.parametrize("server", counts.SERVERS)
def test_no_operation_makes_more_calls_than_its_bound(server, population):
    found, _ = counts.count(server, *population)
    assert found.keys() == BOUNDS[server].keys()
    assert all(each.functions > 0 for each in found.values())
    exceeded = {name: each for name, each in found.items() if each.exceeds(BOUNDS[server][name])}
    assert not exceeded, "\n".join(counts.table({server: found}))


def test_each_kind_of_call_has_a_bound_of_its_own():
    bound = Count(functions=10, system=2)
    assert not Count(10, 2).exceeds(bound)
    assert Count(11, 1).exceeds(bound)
    assert Count(9, 3).exceeds(bound)
    assert not Count(9, None).exceeds(bound)  # they could not be traced


def test_without_strace_it_says_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "apt-get install strace" in counts.why_not_traced()
