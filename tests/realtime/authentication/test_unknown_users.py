"""Users of valid tokens who are not in the database: `UNKNOWN_USERS`, and users by e-mail."""

import asyncio
import time

import jwt
import pytest
from django.contrib.auth.models import User
from rest_framework_simplejwt.settings import api_settings

from realtime.authentication import unknown_users
from realtime.authentication.verification import authenticate
from realtime.exceptions import AuthenticationError, AuthenticationUnavailable
from realtime.sparse_log import SparseLog

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def of_a_provider(monkeypatch):
    for name, value in {
        "TOKEN_TYPE_CLAIM": None,
        "JTI_CLAIM": None,
        "CHECK_REVOKE_TOKEN": False,
        "USER_ID_CLAIM": "sub",
        "USER_ID_FIELD": "username",
    }.items():
        monkeypatch.setattr(api_settings, name, value)


@pytest.fixture
def use(settings, monkeypatch):
    """`use("create", USER_ID_CLAIM="email")`"""

    def _use(how, **simple_jwt):
        settings.REALTIME = {"UNKNOWN_USERS": how}
        for name, value in simple_jwt.items():
            monkeypatch.setattr(api_settings, name, value)

    return _use


@pytest.fixture
def by_email(use):
    use("create", USER_ID_CLAIM="email", USER_ID_FIELD="email")


def sign(**claims):
    claims = {"sub": "zoe", "exp": int(time.time()) + 300, **claims}
    return jwt.encode(claims, api_settings.SIGNING_KEY, "HS256")


async def outcome(token):
    try:
        return (await authenticate(token)).user.username
    except AuthenticationError as error:
        return f"refused: {error.reason}"
    except AuthenticationUnavailable as error:
        return f"later: {error}"


async def test_unknown_users_are_refused_by_default():
    assert await outcome(sign()) == "refused: the user is unknown"
    assert not await User.objects.aexists()


@pytest.mark.parametrize("how", ["refuse", "create"])
@pytest.mark.parametrize("name", ["Zoe", "ZOE", "zoé", "zoe "])
async def test_a_subject_in_other_letters_is_another_user(use, how, name):
    """Also where the database finds one by the other."""
    await User.objects.acreate(username="zoe")
    use(how)
    assert await outcome(sign(sub=name)) != "zoe"


class Test_created:
    @pytest.fixture(autouse=True)
    def creating(self, use):
        use("create")

    async def test_a_user_has_no_password_and_no_rights(self):
        await outcome(
            sign(
                email="zoe@example.com",
                email_verified=True,
                given_name="Zoe",
                family_name="Z" * 200,
            )
        )
        zoe = await User.objects.aget()
        assert (zoe.username, zoe.email, zoe.first_name) == ("zoe", "zoe@example.com", "Zoe")
        assert zoe.last_name == "Z" * 150
        assert not zoe.has_usable_password()
        assert not (zoe.is_staff or zoe.is_superuser)

    async def test_an_address_that_nobody_has_verified_is_left_out(self):
        await outcome(sign(email="zoe@example.com"))
        assert (await User.objects.aget()).email == ""

    async def test_two_first_connections_create_one_user(self):
        assert await asyncio.gather(*(outcome(sign(n=n)) for n in range(20))) == ["zoe"] * 20
        assert await User.objects.acount() == 1

    async def test_whoever_comes_second_gets_the_user_of_the_first(self, monkeypatch):
        """Another process has created the row after this one has looked."""
        values = unknown_users._values

        def created_meanwhile(*args):
            User.objects.create(username="zoe", first_name="Made elsewhere")
            return values(*args)

        monkeypatch.setattr(unknown_users, "_values", created_meanwhile)
        assert (await authenticate(sign())).user.first_name == "Made elsewhere"

    async def test_a_user_who_is_not_active_is_no_unknown_one(self):
        await User.objects.acreate(username="zoe", is_active=False)
        assert (await outcome(sign())).startswith("refused")
        assert await User.objects.acount() == 1

    @pytest.mark.parametrize("name", ["auth0|1", "zoe\x00", "z" * 151, "", "zo e", "<b>"])
    async def test_a_name_that_the_field_does_not_take_is_refused_with_words(
        self, name, caplog, monkeypatch
    ):
        monkeypatch.setattr(unknown_users, "_not_created", SparseLog(unknown_users.logger))
        assert (await outcome(sign(sub=name))).startswith("refused")
        assert not await User.objects.aexists()
        # Some databases refuse NUL when the user is looked up.
        assert (
            name in ("", "zoe\x00") or "for: username. Choose another USER_ID_FIELD" in caplog.text
        )
        assert not name or name not in caplog.text

    @pytest.mark.parametrize("name", [None, ["zoe"], {"a": 1}, True, 1.5])
    async def test_what_is_no_name_creates_nobody(self, name):
        assert (await outcome(sign(sub=name))).startswith("refused")
        assert not await User.objects.aexists()

    async def test_a_primary_key_creates_nobody(self, use):
        use("create", USER_ID_FIELD="id")
        assert (await outcome(sign(sub="5"))).startswith("refused")
        assert not await User.objects.aexists()

    async def test_claims_set_no_other_column(self):
        await outcome(sign(is_superuser=True, is_staff=True, password="secret", id=77))
        zoe = await User.objects.aget()
        assert not (zoe.is_staff or zoe.is_superuser or zoe.check_password("secret"))
        assert zoe.pk != 77


class Test_by_email:
    async def test_the_address_must_be_verified(self, by_email):
        email = {"email": "zoe@example.com"}
        for verified in ({}, {"email_verified": False}, {"email_verified": "false"}):
            assert "has not verified" in await outcome(sign(**email, **verified))
        for verified in (True, "true"):
            assert await outcome(sign(**email, email_verified=verified)) == "zoe"

    async def test_the_username_is_the_subject_not_the_address(self, by_email):
        token = sign(sub="auth0|1", email="zoe@example.com", email_verified=True)
        assert await outcome(token) == "auth0-1"
        assert await outcome(token) == "auth0-1"
        assert (await User.objects.aget()).email == "zoe@example.com"

    async def test_a_name_that_somebody_has_is_not_taken_over(self, by_email):
        await User.objects.acreate(username="zoe", email="another@example.com")
        token = sign(email="zoe@example.com", email_verified=True)
        assert await outcome(token) == "refused: another user has the name of this one"

    async def test_an_address_of_two_users_opens_nothing(self, by_email):
        for name in ("zoe", "zora"):
            await User.objects.acreate(username=name, email="zoe@example.com")
        token = sign(email="zoe@example.com", email_verified=True)
        assert await outcome(token) == "refused: several users have this email"

    async def test_an_address_in_other_letters_makes_no_second_user(self, by_email):
        await User.objects.acreate(username="zoe", email="Zoe@example.com")
        token = sign(email="zoe@example.com", email_verified=True)
        found = await outcome(token)
        assert found == "zoe" or "in other letters" in found  # as the database compares
        assert await User.objects.acount() == 1

    async def test_an_address_with_other_accents_is_another_one(self, by_email):
        await User.objects.acreate(username="zoe", email="zoe@example.com")
        token = sign(sub="zoë", email="zoë@example.com", email_verified=True)
        assert await outcome(token) != "zoe"

    async def test_tokens_of_the_site_itself_need_no_such_claim(self, by_email, monkeypatch):
        monkeypatch.setattr(api_settings, "TOKEN_TYPE_CLAIM", "token_type")
        await User.objects.acreate(username="zoe", email="zoe@example.com")
        assert await outcome(sign(email="zoe@example.com", token_type="access")) == "zoe"


CALLS = []


def nobody(claims):
    return None


def from_claims(claims):
    CALLS.append(claims)
    return User.objects.get_or_create(username=claims["sub"].upper())[0]


async def later_from_claims(claims):
    return (await User.objects.aget_or_create(username=claims["sub"].upper()))[0]


def without_a_row(claims):
    return User(username="zoe", pk=1)


def broken(claims):
    raise RuntimeError("secret")


HERE = __name__


class Test_a_function_of_the_site:
    async def test_finds_or_creates_the_user(self, use):
        use(f"{HERE}.from_claims")
        CALLS.clear()
        assert await outcome(sign(tenant=5)) == "ZOE"
        assert CALLS[0]["tenant"] == 5
        use(f"{HERE}.later_from_claims")
        assert await outcome(sign()) == "ZOE"

    async def test_is_not_asked_about_known_users(self, use):
        await User.objects.acreate(username="zoe")
        use(f"{HERE}.broken")
        assert await outcome(sign()) == "zoe"

    @pytest.mark.parametrize("function", ["nobody", "without_a_row"])
    async def test_may_know_nobody(self, use, function):
        use(f"{HERE}.{function}")
        assert (await outcome(sign())).startswith("refused")

    async def test_may_not_admit_inactive_users(self, use):
        await User.objects.acreate(username="ZOE", is_active=False)
        use(f"{HERE}.from_claims")
        assert (await outcome(sign())).startswith("refused")

    async def test_that_breaks_keeps_nobody_else_out(self, use):
        await User.objects.acreate(username="alice")
        use(f"{HERE}.broken")
        answers = await asyncio.gather(outcome(sign()), outcome(sign(sub="alice")))
        assert answers == ["later: the token could not be checked now", "alice"]


@pytest.mark.parametrize(
    ("claims", "who"),
    [
        ({"azp": "web"}, True),
        ({"client_id": "web"}, True),
        ({"cid": "web"}, True),
        ({"appid": "app"}, True),
        ({"azp": "web", "client_id": "app"}, True),
        ({"azp": "web", "client_id": "other"}, False),
        ({"azp": "other"}, False),
        ({"azp": ["web"]}, False),
        ({"azp": {"web": 1}}, False),
        ({"azp": None}, False),
        ({"azp": ""}, False),
        ({"azp": "we"}, False),
        ({}, False),
    ],
    ids=str,
)
async def test_authorized_parties(settings, claims, who):
    await User.objects.acreate(username="zoe")
    settings.REALTIME = {"AUTHORIZED_PARTIES": ["web", "app"]}
    assert (await outcome(sign(**claims)) == "zoe") is who


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scp": "a realtime:join"}, ["a", "realtime:join"]),
        ({"scp": ["a", "realtime:join"]}, ["a", "realtime:join"]),
        ({"scope": "a", "scp": "b"}, ["a"]),
        ({"scope": ["chat"]}, ["chat", "realtime:join", "realtime:publish:lobby"]),
        ({"scp": ""}, []),
        ({"scope": None, "scp": None}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_scopes_are_read_and_translated(settings, claims, scopes):
    await User.objects.acreate(username="zoe")
    settings.REALTIME = {"SCOPES": {"chat": ["realtime:join", "realtime:publish:lobby"]}}
    found = (await authenticate(sign(**claims))).scopes
    assert (None if found is None else sorted(found)) == scopes


@pytest.mark.parametrize("claims", [{"scp": {"a": 1}}, {"scp": [1]}, {"scope": 5}], ids=str)
async def test_odd_scopes_are_refused(claims):
    await User.objects.acreate(username="zoe")
    assert (await outcome(sign(**claims))).startswith("refused")
