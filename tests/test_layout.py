"""The layout of the package: the paths that a site writes down, and the order of the folders."""

import ast
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "realtime"

PUBLIC_NAMES = [
    *[
        f"realtime.{name}"
        for name in [
            "publish",
            "apublish",
            "publish_to_user",
            "apublish_to_user",
            "user_room",
            "own_client",
            "history",
            "ahistory",
            "presence",
            "apresence",
            "connections",
            "disconnect",
            "adisconnect",
            "unsubscribe",
            "aunsubscribe",
            "notify",
            "anotify",
            "recheck",
            "arecheck",
            "grant",
            "revoke",
            "arevoke",
            "room_name",
            "broadcasts",
            "broadcast",
            "publish_html",
            "apublish_html",
            "__version__",
        ]
    ],
    *[f"realtime.rooms.{name}" for name in ["register", "RoomType", "rpc", "on_send", "Rejected"]],
    "realtime.rights.ModelBackend",
    "realtime.rights.RoomBackend",
    *[
        f"realtime.authentication.{name}"
        for name in [
            "Identity",
            "SimpleJWTAuthenticator",
            "user_info",
            "user_label",
            "django_sign_in",
        ]
    ],
    "realtime.authentication.oauth_toolkit.AccessTokenAuthenticator",
    "realtime.authentication.allauth.SessionTokenAuthenticator",
    "realtime.authentication.allauth.AccessTokenAuthenticator",
    "realtime.layers.redis.RedisRoomLayer",
    "realtime.layers.memory.MemoryRoomLayer",
    "realtime.middleware.JWTAuthMiddleware",
    "realtime.consumers.RealtimeConsumer",
    "realtime.consumers.PlainConsumer",
    "realtime.routing.websocket_application",
    "realtime.routing.websocket_urlpatterns",
    "realtime.routing.lifespan",
    "realtime.routing.not_found",
    *[
        f"realtime.exceptions.{name}"
        for name in [
            "RealtimeError",
            "InvalidPayload",
            "PayloadTooLarge",
            "InvalidRoomName",
            "UnknownRoom",
            "LayerUnavailable",
            "AuthenticationError",
            "AuthenticationUnavailable",
            "Rejected",
        ]
    ],
    *[
        f"realtime.signals.{name}"
        for name in [
            "publish_failed",
            "connected",
            "disconnected",
            "joined",
            "left",
            "published",
            "refused",
        ]
    ],
    "realtime.models.Room",
    "realtime.models.Membership",
    "realtime.admin.LiveConnectionsMixin",
    "realtime.urls.urlpatterns",
    "realtime.playground.urls.urlpatterns",
    "realtime.playground.apps.PlaygroundConfig",
    "realtime.sign_ins.SignInMiddleware",
    "realtime.uvicorn.WebSocketProtocol",
    "realtime.uvicorn.HTTPProtocol",
]


@pytest.mark.parametrize("path", PUBLIC_NAMES)
def test_a_path_that_a_site_writes_down_can_be_imported(path):
    module, _, name = path.rpartition(".")
    assert getattr(import_module(module), name) is not None


def test_rooms_can_be_declared_before_the_models_are_loaded():
    code = "from realtime.rooms import RoomType, register; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert "realtime.rooms" in done.stdout.split(), done.stderr
    assert "realtime.models" not in done.stdout.split()


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("layers/base.py", "from ..hub.node import Node", "Folders import only downward"),
        ("connection/timers.py", "from .session import Session", "No cycle between the files"),
        ("names.py", "import config", "The app never imports the example site"),
    ],
)
def test_an_import_that_breaks_the_order_fails(module, line, contract, tmp_path):
    for name in ("realtime", "accounts", "config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("static"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "realtime" / module).open("a") as file:
        file.write(f"\n{line}\n")
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert any(contract in row and "BROKEN" in row for row in done.stdout.splitlines())


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        if "migrations" not in path.parts:
            yield path.relative_to(PACKAGE).as_posix(), path


def test_no_file_imports_a_name_of_its_own_folder():
    """The `__init__` of a folder imports its files: the contract does not see this circle."""
    found = []
    for name, path in modules():
        package = ".".join(["realtime", *path.relative_to(PACKAGE).parent.parts])
        for node in ast.walk(ast.parse(path.read_text())):
            if path.name == "__init__.py":
                continue
            if isinstance(node, ast.Import):
                found += [name for alias in node.names if alias.name == package]
            elif isinstance(node, ast.ImportFrom) and (
                (node.level == 1 and not node.module) or (not node.level and node.module == package)
            ):
                found += [
                    f"{name}: {alias.name}"
                    for alias in node.names
                    if not (path.parent / alias.name).is_dir()
                    and not (path.parent / f"{alias.name}.py").exists()
                ]
    assert found == []


def test_the_app_imports_nothing_that_is_not_in_the_wheel():
    """`accounts` and `config` are forbidden by the contract; and a folder without an `__init__` is
    in neither the contract nor the wheel."""
    for name, path in modules():
        assert path.with_name("__init__.py").exists(), name
        imported = [
            module.partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text()))
            for module in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
        ]
        assert not {"tests", "benchmarks"} & set(imported), name


# State machines, whose parts are modules of their own already.
LONG = {"connection/session.py", "transports/websocket.py"}


def test_a_file_has_at_most_300_lines():
    long = {name for name, path in modules() if len(path.read_text().splitlines()) > 300}
    assert long == LONG


OURS = ("realtime", "accounts", "config", "tests", "benchmarks")
NOT_OURS = {"node_modules", "python_modules", "migrations"}


def test_a_longer_file_says_at_its_top_why():
    silent = [
        str(path.relative_to(ROOT))
        for folder in OURS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".js") and not NOT_OURS & set(path.parts)
        for lines in [path.read_text().splitlines()]
        if len(lines) > 300 and not any("Long, because" in line for line in lines[:20])
    ]
    assert silent == []


def test_a_site_needs_no_optional_library():
    code = (
        "import sys\n"
        "for name in ('uvicorn', 'oauth2_provider', 'oauthlib', 'allauth'):\n"
        "    sys.modules[name] = None\n"
        "import django; django.setup()\n"
        "import config.asgi\n"
        "import realtime.authentication.allauth, realtime.authentication.oauth_toolkit\n"
        "print('served')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "served\n", done.stderr


@pytest.mark.parametrize("page", ["docs/architecture.md"])
def test_the_files_that_a_page_names_exist(page):
    text = (ROOT / page).read_text()
    text = re.sub(r"## Where the next features go\n.*?(?=\n## )", "", text, flags=re.DOTALL)
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|lua))`", text))
    assert len(named) > 3
    missing = [path for path in named if not ((ROOT / path).exists() or (PACKAGE / path).exists())]
    assert missing == []


def test_the_names_that_the_architecture_gives_for_a_file_exist():
    """`hub/feed.py`: `Feed.accept` …: the name is defined in the file."""
    text = (ROOT / "docs/architecture.md").read_text()
    pairs = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`: `([A-Za-z_.]+)`", text)
    assert len(pairs) > 15
    for path, name in pairs:
        source = (PACKAGE / path).read_text()
        for part in name.split("."):
            assert re.search(rf"(def|class) {part}\b", source), f"{path} has no {name}"
