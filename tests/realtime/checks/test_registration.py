"""What all checks have in common."""

import re
from pathlib import Path

from realtime import checks


def test_each_check_has_its_own_id():
    """A site silences a check by its id."""
    files = Path(checks.__file__).parent.glob("*.py")
    found = [
        id for each in files for id in re.findall(r'id="(realtime\.[EW]\d+)"', each.read_text())
    ]
    assert len(found) > 15
    assert sorted(found) == sorted(set(found))
