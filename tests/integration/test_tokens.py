"""Which tokens open a connection: as an attacker and as a careless issuer make them."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.marks import own_site
from tests.support.processes import SIGNING_KEY


@pytest.fixture
def outcome(open_client):
    """Connect with a token: "connected", the code of the error, or of the close."""

    async def _outcome(token):
        client = await open_client(connect=False)
        await client.send(connect={"token": token})
        frame = await client.first()
        if "connect" in frame:
            return "connected"
        if "error" in frame:
            return frame["error"]["code"]
        return await client.closed()

    return _outcome


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def public_key():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    encoding, shape = (
        serialization.Encoding.PEM,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    return key.public_bytes(encoding, shape).decode()


async def test_a_good_token_connects(outcome, sign):
    assert await outcome(sign("alice")) == "connected"


def forgeries(good):
    head, body, signature = good.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    return {
        "alg none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg None": f"{part({'alg': 'None'})}.{body}.{signature}",
        "no alg": f"{part({'typ': 'JWT'})}.{body}.{signature}",
        "alg is a list": f"{part({'alg': ['HS256']})}.{body}.{signature}",
        "alg RS256": f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{body}.{signature}",
        "another user": f"{head}.{part({**claims, 'user_id': '4'})}.{signature}",
        "flipped": f"{head}.{body}.{signature[:-2]}{'AA' if signature[-2:] != 'AA' else 'BB'}",
        "stripped": f"{head}.{body}.",
        "2 parts": f"{head}.{body}",
        "4 parts": f"{good}.x",
        "5 parts": f"{good}.x.y",
        "no token": "x",
        "not ASCII": "é.é.é",
        "NUL": f"{head}.{body}.\x00",
        "1 MB": "x" * 1_000_000,
        "1 MB signed": f"{head}.{'A' * 999_000}.{signature}",
    }


FORGERIES = list(forgeries("eyJh.e30.sig1"))


@pytest.mark.parametrize("name", FORGERIES)
async def test_forgeries_are_refused_for_good_and_quickly(outcome, sign, name):
    token = forgeries(sign("alice"))[name]
    started = time.monotonic()
    assert await outcome(token) == 3500
    assert time.monotonic() - started < 5


async def test_keys_that_are_not_ours_are_refused(outcome, sign):
    assert await outcome(sign("alice", key="another key that is long enough for HS256")) == 3500
    assert await outcome(sign("alice", algorithm="HS512", key=SIGNING_KEY * 2)) == 3500


async def test_a_public_key_is_no_hmac_secret(outcome, sign):
    # PyJWT refuses to sign with a PEM, so its text is used with a line taken off.
    assert await outcome(sign("alice", key=public_key().split("\n", 1)[1])) == 3500


async def test_an_expired_token_is_told_apart(outcome, sign):
    assert await outcome(sign("alice", lifetime=-10)) == 109


ODD = {
    "exp missing": {"exp": ...},
    "exp of text": {"exp": "soon"},
    "exp beyond the calendar": {"exp": 10**30},
    "not yet valid": {"nbf": 4_000_000_000},
    "refresh token": {"token_type": "refresh"},
    "sliding token": {"token_type": "sliding"},
    "refresh token of allauth": {"token_use": "refresh"},
    "no type": {"token_type": ...},
    "no jti": {"jti": ...},
    "no user": {"user_id": ...},
    "user null": {"user_id": None},
    "user a list": {"user_id": ["1"]},
    "user an object": {"user_id": {"pk": 1}},
    "user with NUL": {"user_id": "1\x00"},
    "user 1 OR 1=1": {"user_id": "1 OR 1=1"},
    "user beyond the column": {"user_id": 10**30},
    "user unknown": {"user_id": "99999"},
    "user true": {"user_id": [True]},
    "password changed": {"hash_password": "OLD"},
    "scope a number": {"scope": 5},
    "scope of lists": {"scope": [["x"]]},
}


@pytest.mark.parametrize("name", list(ODD))
async def test_signed_but_odd_tokens_are_refused(outcome, sign, name):
    assert await outcome(sign("alice", **ODD[name])) == 3500


async def test_a_token_of_a_clock_that_is_ahead_is_tried_again(outcome, sign, open_client):
    early = sign("alice", nbf=int(time.time()) + 60)
    assert await outcome(early) == 3004
    client = await open_client(sign("alice"))
    late = await client.call(refresh={"token": early})
    assert (late["error"]["code"], late["error"]["temporary"]) == (100, True)
    assert "subscribe" in await client.call(subscribe={"channel": "lobby"})


@own_site
async def test_users_who_are_gone_are_refused(start_site, sign, open_client):
    site = start_site("uvicorn")
    alice, bob = sign("alice"), sign("bob")
    site.shell(
        "from django.contrib.auth.models import User; "
        "User.objects.filter(username='alice').update(is_active=False); "
        "User.objects.get(username='bob').delete()",
    )
    for token in (alice, bob):
        client = await open_client(url=site.ws_url, connect=False)
        await client.send(connect={"token": token})
        assert await client.closed() == 3500


@own_site
async def test_audience_issuer_and_the_sites_own_rule_are_honoured(start_site, sign, open_client):
    site = start_site("uvicorn", DJANGO_SETTINGS_MODULE="tests.settings.strict_token")
    ours = {"aud": "realtime", "iss": "tests"}
    outcomes = []
    for user, claims in (
        ("alice", ours),
        ("alice", {**ours, "aud": "other"}),
        ("alice", {**ours, "iss": "other"}),
        ("alice", {}),
        ("bob", ours),  # the site's rule refuses bob
    ):
        client = await open_client(url=site.ws_url, connect=False)
        await client.send(connect={"token": sign(user, **claims)})
        outcomes.append("connect" in await client.first())
    assert outcomes == [True, False, False, False, False]
