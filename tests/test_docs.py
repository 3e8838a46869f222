"""The pages of docs/ as a site."""

import subprocess
import sys

from tests.support.processes import ROOT


def test_the_site_is_built_and_no_link_leads_nowhere(tmp_path):
    """A warning is an error: also of a page that the menu does not list."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "settings.html").is_file()
