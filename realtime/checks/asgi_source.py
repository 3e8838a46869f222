"""Reads the source of the ASGI application, without importing it."""

from __future__ import annotations

import ast
import sys
from collections.abc import Container, Iterator
from importlib.util import find_spec, resolve_name

_MODULES_MAX = 40
_OURS = ("realtime.routing", "realtime.consumers")


def defines(module: str, name: str) -> bool:
    """Return whether a module exists and has this name, as far as its source shows it."""
    source = _Source.of(module)
    return source is not None and source.defines(name)


def leads_to_us(module: str) -> bool:
    """Return whether a module, or one of the site that it imports, imports our sockets; True if
    that can't be known."""
    waiting, seen = [module], set[str]()
    while waiting and len(seen) < _MODULES_MAX:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        source = _Source.of(name)
        if source is None:
            continue
        if source.tree is None:
            return True
        for imported in source.imports():
            if imported.startswith(_OURS):
                return True
            waiting.append(imported)
    return len(seen) >= _MODULES_MAX


class _Source:
    """A module of the site. `tree` is None if there is no source, or it has a mistake."""

    def __init__(self, name: str, package: str, tree: ast.Module | None) -> None:
        self._name = name
        self._package = package
        self.tree = tree

    @classmethod
    def of(cls, name: str) -> _Source | None:
        """Return the module; None if there is none, or it is a library."""
        if name.partition(".")[0] in {*sys.stdlib_module_names, "realtime", "django", ""}:
            return None
        try:
            spec = find_spec(name)  # this imports the packages above it, but not the module
        except (ImportError, AttributeError, ValueError):
            return None
        if spec is None or "-packages" in (spec.origin or ""):
            return None
        try:
            source = getattr(spec.loader, "get_source", lambda _: None)(name)
            tree = None if source is None else ast.parse(source)
        except (ImportError, SyntaxError, ValueError, OSError):
            tree = None
        is_package = spec.submodule_search_locations is not None
        return cls(name, name if is_package else name.rpartition(".")[0], tree)

    def defines(self, name: str) -> bool:
        if self.tree is None:
            return True
        return any(name in _defined(node) for node in ast.walk(self.tree))

    def imports(self) -> Iterator[str]:
        """The modules that are imported, and the texts that may be paths of some."""
        for node in ast.walk(self.tree) if self.tree is not None else ():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = self._resolved(node)
                yield module
                yield from (f"{module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Constant) and str(node.value).startswith(_OURS):
                yield str(node.value)

    def _resolved(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        try:
            return resolve_name("." * node.level + (node.module or ""), self._package)
        except ImportError:
            return ""


class _Anything:
    def __contains__(self, name: object) -> bool:
        return True


def _defined(node: ast.AST) -> Container[str]:
    """Return the names that one statement may define in its module."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return {node.id}
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.alias):
        return _Anything() if node.name == "*" else {node.asname or node.name}
    return ()
