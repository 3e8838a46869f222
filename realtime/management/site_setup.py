"""What a site needs for this app, as edits of its settings, its asgi.py and its URLs."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ..checks import asgi_source
from ..checks.layer import check_layer
from ..checks.serving import check_urls
from ..checks.site import check_middleware
from . import source_edits

_MIDDLEWARE = "realtime.sign_ins.SignInMiddleware"
_BEFORE = (
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
)
_LAYERS = """\
# For one process. For more: "realtime.layers.redis.RedisRoomLayer", with
# "CONFIG": {"hosts": ["redis://127.0.0.1:6379"], "prefix": "<prefix>"}.
CHANNEL_LAYERS = {"default": {"BACKEND": "realtime.layers.memory.MemoryRoomLayer"}}
"""
_APPLICATION = """\
http = <call>

# Behind the call above, which sets up Django.
from channels.routing import ProtocolTypeRouter  # noqa: E402

from realtime.routing import http_application, lifespan, websocket_application  # noqa: E402

<name> = ProtocolTypeRouter(
    {"http": http_application(http), "websocket": websocket_application, "lifespan": lifespan}
)
"""
_ASGI = '''\
"""The ASGI application: HTTP and WebSockets."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "<settings>")
'''
_ROUTES = """
    application = ProtocolTypeRouter(
        {"http": http_application(...), "websocket": websocket_application, "lifespan": lifespan}
    )  # with `from realtime.routing import http_application, lifespan, websocket_application`"""


class SiteSetup:
    """Compares a site with what it needs. `before` and `after` hold the files that change;
    `left_alone` the sentences about what somebody has to do by hand."""

    def __init__(self) -> None:
        self.before: dict[Path, str] = {}
        self.after: dict[Path, str] = {}
        self.left_alone: list[str] = []
        module = getattr(settings, "SETTINGS_MODULE", "")
        self._settings = list(_modules_of_settings(module)) if module else []
        if not self._settings:
            raise ImproperlyConfigured("The settings of this site are not in a module.")
        self._set_up_apps()
        self._set_up_middleware()
        self._set_up_layers()
        self._set_up_asgi(module)
        self._set_up_urls()

    def diff(self) -> Iterator[str]:
        for path, after in self.after.items():
            shown = _shown(path)
            before = self.before[path].splitlines()
            yield from difflib.unified_diff(before, after.splitlines(), shown, shown, lineterm="")

    def write(self) -> None:
        for path, after in self.after.items():
            with path.open("w", encoding="utf-8", newline="") as file:
                file.write(after)

    def _set_up_apps(self) -> None:
        if "daphne" not in settings.INSTALLED_APPS:
            path = self._file_with("INSTALLED_APPS")
            self._edit(
                path,
                path and source_edits.add_first(self._text(path), "INSTALLED_APPS", '"daphne"'),
                'Put "daphne" first in INSTALLED_APPS, for `runserver`.',
            )

    def _set_up_middleware(self) -> None:
        messages = check_middleware()
        if not messages:
            return
        path = self._file_with("MIDDLEWARE")
        can_add = _MIDDLEWARE not in settings.MIDDLEWARE
        edited = (
            path
            and can_add
            and source_edits.add_after(self._text(path), "MIDDLEWARE", _BEFORE, f'"{_MIDDLEWARE}"')
        )
        self._edit(path, edited or None, str(messages[0].hint))

    def _set_up_layers(self) -> None:
        if not getattr(settings, "CHANNEL_LAYERS", None):
            path = self._file_with("INSTALLED_APPS") or self._settings[0]
            if source_edits.is_assigned(self._text(path), "CHANNEL_LAYERS"):
                self.left_alone.append("CHANNEL_LAYERS is empty: name a layer of this app.")
            else:
                self._edit(path, source_edits.append(self._text(path), _layers()), "")
        else:
            self.left_alone += [message.msg for message in check_layer()]

    def _set_up_asgi(self, settings_module: str) -> None:
        configured = getattr(settings, "ASGI_APPLICATION", None)
        dotted = configured or f"{_package(settings_module)}.asgi.application"
        module, _, name = dotted.rpartition(".")
        if not configured:
            self._set_asgi_application(f'ASGI_APPLICATION = "{dotted}"')
        path = _path_of(module)
        if path is None:
            folder = _folder_of(module)
            new = _ASGI.replace("<settings>", settings_module) + _application(name)
            new = new.replace("<call>", "get_asgi_application()")
            self._edit(folder and folder / f"{module.rpartition('.')[2]}.py", new, _ROUTES)
        elif not asgi_source.leads_to_us(module):
            edited = source_edits.replace_call(
                self._text(path), name, "get_asgi_application", _application(name)
            )
            self._edit(path, edited, f"Add the WebSockets in {_shown(path)}:{_ROUTES}")

    def _set_asgi_application(self, line: str) -> None:
        path = self._file_with("INSTALLED_APPS") or self._settings[0]
        text = self._text(path)
        edited = source_edits.insert_behind(text, "WSGI_APPLICATION", line)
        self._edit(path, edited or source_edits.append(text, f"{line}\n"), "")

    def _set_up_urls(self) -> None:
        if not check_urls():
            return
        path = _path_of(settings.ROOT_URLCONF)
        line = 'path("realtime/", include("realtime.urls"))'
        edited = path and source_edits.add_first(self._text(path), "urlpatterns", line)
        if edited:
            edited = source_edits.import_names(edited, "django.urls", ("include", "path"))
        self._edit(path, edited, f"Add {line} to the urlpatterns of {settings.ROOT_URLCONF}.")

    def _file_with(self, name: str) -> Path | None:
        """Return the file of the settings where a list is written down, if it is in one alone."""
        files = [
            path for path in self._settings if source_edits.is_assigned(self._text(path), name)
        ]
        return files[0] if len(files) == 1 else None

    def _text(self, path: Path) -> str:
        if path in self.after:
            return self.after[path]
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()

    def _edit(self, path: Any, edited: Any, by_hand: str) -> None:
        if not path or not edited:
            self.left_alone.append(by_hand)
            return
        if path not in self.before:
            self.before[path] = self._text(path) if path.exists() else ""
        self.after[path] = edited


def _application(name: str) -> str:
    return _APPLICATION.replace("<name>", name)


def _modules_of_settings(module: str) -> Iterator[Path]:
    """The file of the settings, and those that it takes everything from."""
    waiting, seen = [module], set[str]()
    while waiting:
        name = waiting.pop(0)
        path = _path_of(name)
        if path is None or name in seen or "-packages" in str(path):
            continue
        seen.add(name)
        yield path
        is_package = path.name == "__init__.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                package = name if is_package else name.rpartition(".")[0]
                relative = "." * node.level + (node.module or "")
                waiting.append(resolve_name(relative, package) if node.level else relative)


def _package(settings_module: str) -> str:
    """Return the package where the asgi.py of the site is, or would be."""
    for setting in ("WSGI_APPLICATION", "ROOT_URLCONF"):
        path = getattr(settings, setting, None)
        if path and "." in path:
            module = path.rpartition(".")[0] if setting == "WSGI_APPLICATION" else path
            return str(module.rpartition(".")[0])
    return settings_module.partition(".")[0]


def _path_of(module: str) -> Path | None:
    try:
        spec = find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _folder_of(module: str) -> Path | None:
    package = _path_of(module.rpartition(".")[0])
    return None if package is None or package.name != "__init__.py" else package.parent


def _shown(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _layers() -> str:
    """The setting of the layer, with the name of the project as its prefix."""
    return _LAYERS.replace("<prefix>", str(settings.ROOT_URLCONF).partition(".")[0])
