"""HTML is rendered once, for nobody in particular, and published with a mark of the server."""

import datetime

import msgspec
import pytest
from django.db import transaction
from django.utils import timezone, translation

from realtime import apublish_html, publish, publish_html
from realtime.exceptions import PayloadTooLarge

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_template_becomes_a_publication(layer):
    publish_html("stock/42", "stock.html", {"name": "<Cup>", "stock": 3})
    data = {"action": "replace", "template": "stock.html", "html": "&lt;Cup&gt;: 3"}
    assert layer.sent == [("stock/42", {"data": data, "tags": {"realtime": "html"}})]


def test_only_the_server_can_mark_a_publication_as_html(layer):
    publish("stock/42", {"action": "replace", "html": "<b>", "tags": {"realtime": "html"}})
    assert "tags" not in layer.sent[0][1]


def test_an_action_has_a_target(layer):
    publish_html("chat", "stock.html", {"name": "a"}, action="append", target="messages")
    publish_html("chat", None, action="remove", target="message-7")
    assert [body["data"] for _, body in layer.sent] == [
        {"action": "append", "target": "messages", "template": "stock.html", "html": "a: "},
        {"action": "remove", "target": "message-7"},
    ]


def test_it_is_sent_after_the_commit_as_it_was_rendered(layer):
    row = {"name": "cup", "stock": 1}
    with transaction.atomic():
        publish_html("stock/42", "stock.html", row)
        row["stock"] = 2
        assert layer.sent == []
    assert layer.sent[0][1]["data"]["html"] == "cup: 1"


def test_there_is_no_user_and_no_request_and_the_page_fills_in_its_token(layer):
    publish_html("stock/42", "user.html")
    field = '<input type="hidden" name="csrfmiddlewaretoken" value="">'
    assert layer.sent[0][1]["data"]["html"] == field


def test_the_language_and_the_time_zone_are_those_of_the_site(layer):
    noon = datetime.datetime(2026, 12, 24, 12, tzinfo=datetime.UTC)
    with translation.override("de"), timezone.override("Asia/Tokyo"):
        publish_html("stock/42", "words.html", {"when": noon})
        publish_html("stock/42", "words.html", {"when": noon}, language="fr")
    assert [body["data"]["html"] for _, body in layer.sent] == ["Thursday 12", "jeudi 12"]


@pytest.mark.parametrize(
    ("template", "options", "sentence"),
    [
        ("stock.html", {"action": "swap"}, "no action. Use one of: after, append"),
        (None, {}, "needs a template"),
        (None, {"action": "remove"}, "name it: target="),
    ],
)
def test_a_mistake_says_what_to_write(layer, template, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        publish_html("stock/42", template, **options)
    assert layer.sent == []


def test_html_that_is_too_large_is_refused(layer):
    with pytest.raises(PayloadTooLarge):
        publish_html("stock/42", "stock.html", {"name": "x" * 70_000})


async def test_from_a_coroutine(layer):
    await apublish_html("stock/42", "stock.html", {"name": "cup"})
    ((_, body),) = await history_of(layer, "stock/42")
    assert body["data"]["html"] == "cup: "


async def history_of(layer, room):
    page = await layer.history(room, limit=10)
    return [(room, msgspec.json.decode(each.body)) for each in page.publications]
