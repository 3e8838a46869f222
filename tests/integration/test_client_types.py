"""The types of the browser client, as the TypeScript compiler reads them."""

import subprocess

from tests.support.processes import ROOT


def test_a_page_in_typescript():
    clients = ROOT / "tests/integration/clients"
    done = subprocess.run(
        [clients / "node_modules/.bin/tsc", "--project", "typescript"],
        cwd=clients,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
