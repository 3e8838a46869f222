"""Two servers on one Redis, and a scene of people in rooms for each test."""

import json

import pytest

from config.management.commands.demo import PASSWORD
from tests.support.admin_forms import Browser
from tests.support.scenes import SCENES, SEED, Scene


@pytest.fixture(scope="module")
def pair(start_site):
    """A Daphne and a uvicorn of one site."""
    daphne = start_site("daphne", redis=True, DJANGO_SETTINGS_MODULE="tests.settings.authority")
    return daphne, start_site("uvicorn-fast", beside=daphne)


@pytest.fixture(scope="module")
def hasty_pair(pair, start_site):
    """Two more servers of the same site, with short times."""
    env = {"beside": pair[0], "DJANGO_SETTINGS_MODULE": "tests.settings.expiry"}
    return start_site("daphne", **env), start_site("uvicorn-fast", **env)


@pytest.fixture(scope="module")
def keys(pair):
    """The primary keys of what there is, by name."""
    return json.loads(pair[0].shell(SEED).splitlines()[-1])


@pytest.fixture(scope="module")
def site(pair, keys):
    """Whose users sign tokens and open sockets where nothing else is said."""
    return pair[0]


@pytest.fixture(scope="module")
def admins(pair, keys):
    """The browsers of an administrator who is signed in at both servers."""
    return [Browser(site.url).sign_in("admin", PASSWORD) for site in pair]


@pytest.fixture(scope="module")
def numbers():
    return iter(range(SCENES))


@pytest.fixture
def new_scene(pair, keys, admins, numbers, open_client, sign, secrets):
    async def _new(at=pair):
        number = next(numbers)
        admin = admins[number % 2]
        scene = Scene(number, at, keys, admin, open_client, sign, secrets)
        await scene.open()
        return scene

    return _new


@pytest.fixture
async def scene(new_scene):
    return await new_scene()
