"""Another distribution with the import name `realtime`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from realtime import checks
from tests.support.checking import ids

ROOT = Path(__file__).resolve().parents[3]


def install(folder, name, *files):
    info = folder / f"{name.replace('-', '_')}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))


@pytest.fixture
def site_packages(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_another_distribution_with_the_same_import_name_is_an_error(site_packages):
    install(site_packages, "Realtime", "realtime/__init__.py", "realtime/_async/client.py")
    (message,) = checks.check_import_name()
    assert message.id == "realtime.E015"
    assert "The distribution realtime is installed" in message.msg
    assert "pip uninstall realtime django-realtime-rooms" in message.hint


def test_other_distributions_are_none_of_our_business(site_packages):
    install(site_packages, "django-realtime-rooms", "realtime/__init__.py")
    install(site_packages, "other", "other/realtime/__init__.py", "realtime.py", "realtime/x.py")
    assert ids(checks.check_import_name()) == []


def test_an_overwritten_package_says_so_when_django_starts(tmp_path):
    """pip has written that one's files over ours; what it does not have is still there."""
    shutil.copytree(ROOT / "realtime", tmp_path / "realtime")
    for name in ("__init__.py", "version.py", "exceptions.py"):
        (tmp_path / "realtime" / name).write_text('__version__ = "2.0"\n')
    code = (
        "import django\n"
        "from django.conf import settings\n"
        'settings.configure(INSTALLED_APPS=["realtime"])\n'
        "django.setup()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "ImproperlyConfigured: Another distribution has overwritten files" in last
    assert "pip uninstall realtime django-realtime-rooms" in last
