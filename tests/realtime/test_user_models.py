"""Rooms, lists and joins work with user models of all kinds."""

import os
import subprocess
import sys

import pytest

from tests.support.processes import ROOT

MODELS = [
    *["ByEmail", "ByNumber", "Plain", "InTeams"],
    *["WithoutPermissions", "InDepartments", "WithOwnAnswer"],
]


@pytest.mark.parametrize("model", MODELS)
def test_the_contract_holds_with_the_user_model(model):
    """In a process of its own, because Django takes one user model for good."""
    command = ["pytest", "-q", "--numprocesses=0", "--no-migrations", "-p", "no:cacheprovider"]
    command += ["--ds=tests.settings.people", "tests/support/people/contract.py"]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "DJANGO_DEBUG": "1", "TESTED_USER_MODEL": model},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
