"""What depends on the database, on PostgreSQL and MariaDB: tests that otherwise run on SQLite."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import databases, processes
from tests.support.lengths import LONG

TESTS = [
    # Saved changes, transactions and rollbacks, and what they do to rights.
    *[f"control/test_{name}.py" for name in ("signals", "transactions", "reviewer")],
    *[f"control/test_{name}.py" for name in ("user_signals", "room_signals")],
    # Users who are found by a text, which MariaDB compares without case and accents.
    *[
        f"authentication/test_unknown_users.py::{name}"
        for name in ("test_a_subject_in_other_letters_is_another_user", "Test_by_email")
    ],
    # The queries of rights, and of the lists in the admin.
    *[f"rights/test_{name}.py" for name in ("grants", "audience")],
    *[f"admin/test_{name}.py" for name in ("list", "rooms")],
]

# With LONG=1: all that reads or writes rows. What is left out locks as SQLite does, or starts
# sites of its own.
ALL = [
    *("admin", "authentication", "broadcasting", "checks", "connection", "control", "fragments"),
    *("hub", "management", "rest", "rights", "rooms", "server_api", "test_databases.py"),
]
LEFT_OUT = [f"tests/realtime/control/test_{name}.py" for name in ("apart", "announcer")]
PATHS = [f"tests/realtime/{path}" for path in (ALL if LONG else TESTS)]
PROCESSES, SECONDS = (2, 1_800) if LONG else (0, 250)

# PgBouncer is not installed by `make test`: LONG=1, and `apt-get install pgbouncer`.
SERVERS = [databases.postgresql, databases.mariadb, *([databases.pgbouncer] if LONG else [])]


@pytest.mark.parametrize("server", SERVERS)
def test_the_tests_of_rows_pass_on(server):
    with server() as url:
        command = [sys.executable, "-m", "pytest", "--quiet", f"--numprocesses={PROCESSES}", *PATHS]
        command += [f"--deselect={path}" for path in LEFT_OUT]
        done = subprocess.run(
            [*command, "--ds=tests.settings.databases", "--reuse-db", "-p", "no:cacheprovider"],
            cwd=processes.ROOT,
            env={**os.environ, "DATABASE_URL": url},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
