"""Servers of databases from Debian, in folders of their own, as the users that they insist on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import processes
from tests.support.processes import free_port


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    """A folder that `user` may enter, unlike those of the tests."""
    path = Path(tempfile.mkdtemp(prefix="realtime-database-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(path, user, user)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _as_user(user: str) -> list[str]:
    """Words before a command that run it as `user`: PostgreSQL refuses to run as root."""
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        raise RuntimeError("postgresql is missing; `make test` installs it")
    programs, as_user, port = folders[-1], _as_user("postgres"), free_port()
    with _folder("postgres") as folder:
        words = ["--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8"]
        _run(*as_user, programs / "initdb", *words, "--locale=C.UTF-8", "-D", folder / "data")
        options = ["-D", f"{folder}/data", "-k", str(folder), "-p", str(port)]
        options += ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        server = processes.start(
            [*as_user, str(programs / "postgres"), *options], folder / "log", port
        )
        try:
            yield f"postgres://postgres@127.0.0.1:{port}/postgres"
        finally:
            server.kill()


PGBOUNCER = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
"""


@contextmanager
def pgbouncer() -> Iterator[str]:
    """The URL of a PgBouncer that pools the transactions of a PostgreSQL."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        raise RuntimeError("pgbouncer is missing: apt-get install pgbouncer")
    with postgresql() as url, _folder("postgres") as folder:
        port = free_port()
        settings = folder / "pgbouncer.ini"
        settings.write_text(PGBOUNCER.format(server=url.split(":")[-1].split("/")[0], port=port))
        command = [*_as_user("postgres"), program, str(settings)]
        pooler = processes.start(command, folder / "log", port)
        try:
            yield f"postgres://postgres@127.0.0.1:{port}/postgres"
        finally:
            pooler.kill()


@contextmanager
def mariadb() -> Iterator[str]:
    """The URL of a MariaDB."""
    program = shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
    install = shutil.which("mariadb-install-db")
    if not program or not install:
        raise RuntimeError("mariadb-server is missing; `make test` installs it")
    as_user, port = _as_user("mysql"), free_port()
    with _folder("mysql") as folder:
        data = f"--datadir={folder}/data"
        words = ["--no-defaults", data, "--auth-root-authentication-method=normal"]
        _run(*as_user, install, *words, "--skip-test-db", "--skip-name-resolve")
        options = ["--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1"]
        options += [f"--socket={folder}/socket", f"--pid-file={folder}/pid"]
        options += ["--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0"]
        server = processes.start([*as_user, program, *options], folder / "log", port)
        try:
            yield f"mysql://root@127.0.0.1:{port}/realtime"
        finally:
            server.kill()
