"""The recipes of docs/howto.md, put together to an app of a fresh site."""

import re

from tests.support import processes, quick_start


def test_the_recipes_work(tmp_path):
    page = (processes.ROOT / "docs" / "howto.md").read_text()
    snippets = re.findall(r"^```python\n# (\S+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert {name for name, _ in snippets} == {
        *("desk/notify.py", "desk/models.py", "desk/realtime.py", "desk/tasks.py"),
        "desk/tests.py",
    }
    wheel = quick_start.build_wheel(tmp_path)
    python = quick_start.make_environment(tmp_path / "venv", wheel)
    project = quick_start.Project(tmp_path / "site", python)
    project.manage("startapp", "desk")
    project.add_apps("realtime", "desk")
    project.manage("realtime", "init", "--write")
    for name, text in snippets:
        (project.folder / name).write_text(text)
    project.manage("makemigrations", "desk")
    printed = project.manage("test", "desk")
    assert re.search(r"Ran 4 tests", printed) and "OK" in printed, printed
