"""The codes of the wire, and the page that lists them."""

import re
from pathlib import Path

import pytest

from realtime import conf
from realtime.codes import CloseCode, Error, UnsubscribeCode

PAGE = (Path(__file__).parents[2] / "docs" / "codes.md").read_text()
YES = {True: "yes", False: "no"}


def rows(heading):
    """The table under a heading: code, name, and the answer in the last column."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = re.findall(r"^\| (\d+) \| ([^|]+) \| [^|]+ \| (yes|no) \|$", section, re.MULTILINE)
    assert len(table) == section.count("\n| ") - 1, "a row has another form"
    return [(int(code), name, answer) for code, name, answer in table]


def test_the_page_lists_all_close_codes():
    assert rows("Close codes") == [
        (int(code), code.reason, YES[code < 3500]) for code in sorted(CloseCode)
    ]


def test_the_page_lists_all_error_codes():
    errors = [error for error in vars(Error).values() if isinstance(error, Error)]
    assert rows("Error codes") == [
        (error.code, error.message, YES[error.temporary])
        for error in sorted(errors, key=lambda error: error.code)
    ]


def test_the_page_lists_all_unsubscribe_codes():
    assert rows("Unsubscribe codes") == [
        (int(code), code.name.lower().replace("_", " "), YES[code >= 2500])
        for code in sorted(UnsubscribeCode)
    ]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`([A-Z_]{5,})`", PAGE))))
def test_the_settings_that_the_page_names_exist(name):
    assert name in conf.KEYS
