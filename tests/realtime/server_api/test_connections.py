"""Orders to open connections: when they are given, and what a Redis that is away does to them."""

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.db import connection, transaction

from realtime import (
    adisconnect,
    anotify,
    arecheck,
    arevoke,
    aunsubscribe,
    disconnect,
    notify,
    recheck,
    revoke,
    unsubscribe,
)
from realtime.concurrency import backlog
from realtime.control import announcements, announcer
from realtime.control.announcer import Announcer
from realtime.control.messages import Notice, Recheck, Removal, Revocation
from realtime.exceptions import LayerUnavailable

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS = {
    "disconnect": (lambda **when: disconnect("7", **when), Removal),
    "unsubscribe": (lambda **when: unsubscribe("lobby", "7", **when), Removal),
    "notify": (lambda **when: notify("Hello", "7", **when), Notice),
    "recheck": (lambda **when: recheck("7", **when), Recheck),
    "revoke": (lambda **when: revoke("lobby", "7", **when), Revocation),
    "adisconnect": (lambda **when: async_to_sync(adisconnect)("7", **when), Removal),
    "aunsubscribe": (lambda **when: async_to_sync(aunsubscribe)("lobby", "7", **when), Removal),
    "anotify": (lambda **when: async_to_sync(anotify)("Hello", "7", **when), Notice),
    "arecheck": (lambda **when: async_to_sync(arecheck)("7", **when), Recheck),
    "arevoke": (lambda **when: async_to_sync(arevoke)("lobby", "7", **when), Revocation),
}


@pytest.fixture
def announced(monkeypatch):
    sent = []
    monkeypatch.setattr(announcements, "_send", lambda layer, message, *marks: sent.append(message))
    return sent


@pytest.fixture(params=list(ORDERS))
def order(request):
    return ORDERS[request.param]


def test_without_a_transaction_an_order_is_given_at_once(order, announced):
    give, kind = order
    give()
    assert [type(message) for message in announced] == [kind]


def test_inside_a_transaction_an_order_is_given_after_the_commit(order, announced):
    give, kind = order
    with transaction.atomic():
        give()
        assert announced == []
    assert [type(message) for message in announced] == [kind]


def test_a_rollback_drops_an_order(order, announced):
    give, _ = order
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        give()
        raise ZeroDivisionError
    assert announced == []


def test_an_order_can_be_given_at_once_inside_a_transaction(order, announced):
    give, kind = order
    with transaction.atomic():
        give(on_commit=False)
        assert [type(message) for message in announced] == [kind]


def test_a_recheck_after_a_bulk_update_is_looked_at_with_the_new_rows(alice, monkeypatch):
    seen = []

    def look(*message):
        seen.append(User.objects.get(pk=alice.pk).is_active)
        connection.close()  # that of the announcer's thread

    monkeypatch.setattr(announcements, "_send", look)
    with transaction.atomic():
        User.objects.update(is_active=False)
        recheck(alice)
    assert seen == [False]


def test_redis_that_is_away_is_an_error_at_once_and_none_after_a_commit(order, monkeypatch):
    give, _ = order

    def away(*message):
        raise LayerUnavailable("away")

    monkeypatch.setattr(announcements, "_send", away)
    monkeypatch.setattr(backlog, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(announcer, "KEPT_SECONDS", 0)
    sending = Announcer(on_given_up=lambda: None)
    monkeypatch.setattr(announcements, "_announcer", sending)
    with pytest.raises(LayerUnavailable):
        give()
    with transaction.atomic():
        give()
    sending.join()
