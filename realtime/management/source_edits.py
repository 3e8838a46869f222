"""Small edits of Python source that keep everything else as it is.

Each returns the new source, or None if the place is not written in a way that can be edited safely.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence


def literal_list(source: str, name: str) -> ast.List | ast.Tuple | None:
    """Return the list that is assigned to `name`, once, at the top level of a module."""
    found = [value for target, value in _assignments(source) if target == name]
    if len(found) == 1 and isinstance(found[0], ast.List | ast.Tuple):
        return found[0]
    return None


def is_assigned(source: str, name: str) -> bool:
    return any(target == name for target, _ in _assignments(source))


def add_first(source: str, name: str, element: str) -> str | None:
    """Insert an element at the beginning of a list."""
    node = literal_list(source, name)
    if node is None:
        return None
    lines = source.splitlines(keepends=True)
    if not node.elts:
        if not isinstance(node, ast.List) or node.lineno != node.end_lineno:
            return None
        line = lines[node.lineno - 1]
        start, end = _column(line, node.col_offset), _column(line, node.end_col_offset or 0)
        lines[node.lineno - 1] = f"{line[:start]}[{element}]{line[end:]}"
        return _valid("".join(lines))
    first = node.elts[0]
    line = lines[first.lineno - 1]
    start = _column(line, first.col_offset)
    if line[:start].strip():
        lines[first.lineno - 1] = f"{line[:start]}{element}, {line[start:]}"
    else:
        lines.insert(first.lineno - 1, f"{line[:start]}{element},{_newline(source)}")
    return _valid("".join(lines))


def add_after(source: str, name: str, values: Sequence[str], element: str) -> str | None:
    """Insert an element into a list of texts, behind the first of `values` that is in it."""
    node = literal_list(source, name)
    places = {
        each.value: each
        for each in (node.elts if node is not None else ())
        if isinstance(each, ast.Constant)
    }
    before = next((places[value] for value in values if value in places), None)
    if before is None or before.end_lineno is None or before.end_col_offset is None:
        return None
    lines = source.splitlines(keepends=True)
    line = lines[before.end_lineno - 1]
    end = _column(line, before.end_col_offset)
    start = _column(lines[before.lineno - 1], before.col_offset)
    is_alone = not lines[before.lineno - 1][:start].strip()
    rest = line[end:].split("#")[0].strip()
    if is_alone and rest in ("", ","):
        tail = line[end:] if rest else f",{line[end:]}"
        lines[before.end_lineno - 1] = line[:end] + tail
        indent = lines[before.lineno - 1][:start]
        lines.insert(before.end_lineno, f"{indent}{element},{_newline(source)}")
    else:
        lines[before.end_lineno - 1] = f"{line[:end]}, {element}{line[end:]}"
    return _valid("".join(lines))


def replace_call(source: str, name: str, function: str, block: str) -> str | None:
    """Replace the one assignment `name = function()` by a block of code."""
    tree = ast.parse(source)
    found = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
    ]
    if len(found) != 1 or not isinstance(found[0].value, ast.Call):
        return None
    call, node = found[0].value, found[0]
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", 0)
    used = [
        each
        for each in ast.walk(tree)
        if isinstance(each, ast.Name) and each.id == name and isinstance(each.ctx, ast.Load)
    ]
    if called != function or call.args or call.keywords or used or node.end_lineno is None:
        return None
    lines = source.splitlines(keepends=True)
    text = ast.get_source_segment(source, call) or ""
    new = block.replace("<call>", text).replace("\n", _newline(source))
    lines[node.lineno - 1 : node.end_lineno] = [new]
    return _valid("".join(lines))


def append(source: str, block: str) -> str:
    newline = _newline(source)
    return source.rstrip() + newline * 2 + block.replace("\n", newline)


def insert_behind(source: str, name: str, line: str) -> str | None:
    """Insert a line behind the assignment to `name`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            lines = source.splitlines(keepends=True)
            lines.insert(node.end_lineno or node.lineno, line + _newline(source))
            return _valid("".join(lines))
    return None


def import_names(source: str, module: str, names: Collection[str]) -> str | None:
    """Import names from a module, unless they are imported."""
    body = ast.parse(source).body
    imports = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    same = [node for node in imports if isinstance(node, ast.ImportFrom) and node.module == module]
    known = {alias.asname or alias.name for node in same for alias in node.names}
    missing = set(names) - known
    if not missing:
        return source
    lines = source.splitlines(keepends=True)
    if same and same[0].lineno == same[0].end_lineno and not any(a.asname for a in same[0].names):
        written = sorted({alias.name for alias in same[0].names} | missing)
        line = lines[same[0].lineno - 1]
        comment = f"  #{line.split('#', 1)[1].rstrip()}" if "#" in line else ""
        new = f"from {module} import {', '.join(written)}{comment}{_newline(source)}"
        lines[same[0].lineno - 1] = new
    else:
        place = imports[-1].end_lineno if imports else _behind_docstring(body)
        new = f"from {module} import {', '.join(sorted(missing))}{_newline(source)}"
        lines.insert(place or 0, new)
    return _valid("".join(lines))


def _behind_docstring(body: list[ast.stmt]) -> int:
    first = body[0] if body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return (first.end_lineno or 0) if first is not None and is_text else 0


def _assignments(source: str) -> list[tuple[str, ast.expr | None]]:
    found: list[tuple[str, ast.expr | None]] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign):
            targets = [target for target in node.targets if isinstance(target, ast.Name)]
            found += [(target.id, node.value) for target in targets]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.append((node.target.id, node.value))
    return found


def _column(line: str, offset: int) -> int:
    """Return the place in the text; Python gives it in bytes."""
    return len(line.encode()[:offset].decode())


def _newline(source: str) -> str:
    return "\r\n" if "\r\n" in source else "\n"


def _valid(source: str) -> str | None:
    try:
        ast.parse(source)
    except SyntaxError:
        return None
    return source
