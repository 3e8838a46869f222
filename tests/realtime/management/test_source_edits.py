"""Edits of Python source: the place that is meant, and nothing else."""

import pytest

from realtime.management import source_edits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A = [\n    'x',  # é\n]\n", "A = [\n    'n',\n    'x',  # é\n]\n"),
        ("A = ['é', 'x']\n", "A = ['n', 'é', 'x']\n"),
        ("A: list = (\r\n  'x',\r\n)\r\n", "A: list = (\r\n  'n',\r\n  'x',\r\n)\r\n"),
        ("A = []  # none\n", "A = ['n']  # none\n"),
        ("A = B + ['x']\n", None),
        ("A = ['x']\nA = ['y']\n", None),
        ("if x:\n    A = [\n        'x'\n    ]\n",
         "if x:\n    A = [\n        'n',\n        'x'\n    ]\n"),
        ("B = ['x']\n", None),
    ],
)  # fmt: skip
def test_an_element_comes_first(before, after):
    assert source_edits.add_first(before, "A", "'n'") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A = [\n    'x',  # x\n    'y',\n]\n", "A = [\n    'x',  # x\n    'n',\n    'y',\n]\n"),
        ("A = [\n    'z',\n    'x'  # x\n]\n", "A = [\n    'z',\n    'x',  # x\n    'n',\n]\n"),
        ("A = ['z', 'x', 'y']\n", "A = ['z', 'x', 'n', 'y']\n"),
        ("A = ('z', 'x')\n", "A = ('z', 'x', 'n')\n"),
        ("A = [z, 'q']\n", None),
    ],
)  # fmt: skip
def test_an_element_comes_behind_another(before, after):
    assert source_edits.add_after(before, "A", ["absent", "x"], "'n'") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = f()\n", "h = f()\na = w(h)\n"),
        ("import m\na = m.f()\nb = 1\n", "import m\nh = m.f()\na = w(h)\nb = 1\n"),
        ("a = f()\na = wrap(a)\n", None),
        ("a = f(1)\n", None),
        ("a = wrap(f())\n", None),
        ("def a(): ...\n", None),
    ],
)
def test_the_one_call_is_replaced(before, after):
    assert source_edits.replace_call(before, "a", "f", "h = <call>\na = w(h)\n") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from m import b\n", "from m import a, b\n"),
        ("from m import b  # noqa\n", "from m import a, b  # noqa\n"),
        ("from m import a\n", "from m import a\n"),
        ("from m import (\n  b,\n)\nx = 1\n",
         "from m import (\n  b,\n)\nfrom m import a\nx = 1\n"),
        ("import q\nx = 1\n", "import q\nfrom m import a\nx = 1\n"),
        ('"""Doc."""\nx = 1\n', '"""Doc."""\nfrom m import a\nx = 1\n'),
        ("", "from m import a\n"),
    ],
)  # fmt: skip
def test_a_name_is_imported_once(before, after):
    assert source_edits.import_names(before, "m", ["a"]) == after
