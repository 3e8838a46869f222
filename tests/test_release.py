"""What makes a release."""

import datetime
import importlib.util
import re

import pytest

from realtime import __version__
from tests.support.processes import ROOT

_spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
release = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)

URL = "https://git.example.com/realtime/blob/main"
DAY = datetime.date(2027, 1, 31)


@pytest.mark.parametrize(
    ("link", "absolute"),
    [
        ("[a](docs/a.md)", f"[a]({URL}/docs/a.md)"),
        ("[a](docs/a.md#part)", f"[a]({URL}/docs/a.md#part)"),
        (
            "![a](docs/images/a.png)",
            "![a](https://git.example.com/realtime/raw/main/docs/images/a.png)",
        ),
        ("[a](#part)", "[a](#part)"),
        ("[a](https://example.com/a)", "[a](https://example.com/a)"),
        ("[a](mailto:a@example.com)", "[a](mailto:a@example.com)"),
    ],
)
def test_links_work_without_the_files(link, absolute):
    assert release.with_absolute_links(link, URL) == absolute


def test_no_link_of_the_readme_is_left_out():
    readme = release.with_absolute_links((ROOT / "README.md").read_text(), URL)
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) > 20
    assert all(link.startswith(("https://", "#")) for link in links)


def test_the_chapter_of_the_version_gets_its_date():
    text = (ROOT / "CHANGELOG.md").read_text()
    closed = release.closed_changelog(text, __version__, DAY)
    assert f"## {__version__} (2027-01-31)\n" in closed
    assert "unreleased)" not in closed


def test_a_version_without_a_chapter_is_refused():
    with pytest.raises(SystemExit, match=r"no chapter '## 9.9 \(unreleased\)'"):
        release.closed_changelog("## 0.1 (unreleased)\n", "9.9", DAY)
