"""`{% live %}`: what the page says to the script, and what it shows until then."""

import re

import pytest
from django.template import TemplateSyntaxError, VariableDoesNotExist, engines

from realtime.exceptions import InvalidRoomName
from realtime.fragments import positions
from realtime.rooms.publications import Retention


def rendered(source, **context):
    template = engines["django"].from_string("{% load realtime %}" + source)
    return re.sub(r'(since="\w+:)', 'since="', template.render(context)).replace('"', "'")


@pytest.fixture(autouse=True)
def somewhere(layer, monkeypatch):
    monkeypatch.setattr(positions, "_away_until", 0.0)


def test_a_template_is_rendered_with_the_context_of_the_page():
    html = rendered("{% live room template='stock.html' %}", room="stock/42", name="<Cup>", stock=3)
    assert html == (
        "<div data-realtime-room='stock/42' data-realtime-since='0'"
        " data-realtime-template='stock.html'>&lt;Cup&gt;: 3</div>"
    )


def test_the_name_of_the_room_has_variables_of_the_page():
    html = rendered("{% live 'shops/{shop.pk}/{kind}' %}", shop={"pk": 1234}, kind="cups")
    assert "data-realtime-room='shops/1234/cups'" in html


@pytest.mark.parametrize("name", ["room", "'shops/'|add:room"])
def test_a_name_that_comes_from_outside_reads_no_variable_of_the_page(name):
    context = {"room": "{shop.secret}", "shop": {"secret": "s3cret"}}
    with pytest.raises(InvalidRoomName) as raised:
        rendered(f"{{% live {name} %}}", **context)
    assert "s3cret" not in str(raised.value)


def test_a_name_in_the_template_may_come_by_another_tag():
    html = rendered("{% with at='shops/{pk}' %}{% live at %}{% endwith %}", pk=7)
    assert "data-realtime-room='shops/7'" in html


def test_the_position_is_the_one_of_some_seconds_ago(layer, monkeypatch):
    for _ in range(3):
        layer.append_sync("stock", b'{"data":1}', Retention(10, 60), "")
    assert "since='0'" in rendered("{% live 'stock' template='stock.html' %}")
    monkeypatch.setattr(positions, "OVERLAP_SECONDS", -1)
    assert "since='3'" in rendered("{% live 'stock' template='stock.html' %}")


def test_without_redis_there_is_no_position(monkeypatch):
    monkeypatch.setattr(positions, "_away_until", float("inf"))
    assert "since" not in rendered("{% live 'stock' template='stock.html' %}")


def test_an_element_has_the_name_and_the_attributes_that_are_wanted():
    options = "tag='tbody' id='rows' class=kind aria_live='polite'"
    html = rendered(f"{{% live 'stock' template='stock.html' {options} %}}", kind='a"b')
    assert html.startswith("<tbody ")
    assert html.endswith(" id='rows' class='a&quot;b' aria-live='polite'>: </tbody>")


def test_without_a_template_the_element_is_hidden():
    html = "<div data-realtime-room='stock' data-realtime-since='0' hidden='hidden'></div>"
    assert rendered("{% live 'stock' %}") == html


def test_the_template_does_not_change_the_context_of_the_page():
    source = "{% live 'stock' template='sets.html' %}{{ name }}"
    assert rendered(source, name="cup").endswith("cup")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("{% live 'stock' tag='b onclick=x' %}", TemplateSyntaxError),
        ("{% live 'stock' onclick='x' %}", TemplateSyntaxError),
        ("{% live missing %}", InvalidRoomName),
        ("{% live 'stock/{missing}' %}", VariableDoesNotExist),
        ("{% live 'no such room' %}", InvalidRoomName),
    ],
)
def test_a_mistake_is_an_error(source, error):
    with pytest.raises(error):
        rendered(source)
