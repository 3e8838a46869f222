"""Exclusions travel in front of a body, and never reach a client."""

import pytest

from realtime.rooms.exclusions import MOST, own, with_exclusions
from realtime.rooms.publications import Publication, publication_body

BODY = publication_body(b'{"text":"\\",\\"exclude\\":"}', None)
ALICE, BOB = "11111111-a", "22222222_b"


@pytest.mark.parametrize("excluded", [ALICE, [ALICE], (ALICE, BOB)])
def test_what_is_excluded_comes_back_and_the_body_is_as_it_was(excluded):
    publication = Publication(1, with_exclusions(BODY, excluded))
    assert publication.body == BODY
    assert not publication.is_for(ALICE, "1")
    assert publication.is_for(BOB, "2") is (BOB not in excluded)


@pytest.mark.parametrize(
    "words", ["", [], 'a","data":1', "a,b", "ü", "x" * 65, "a\n", "a:b", ":", f"{ALICE}:0"]
)
def test_what_is_no_id_excludes_nobody(words):
    assert with_exclusions(BODY, words) == BODY
    assert Publication(1, BODY).is_for("", "")


def test_an_exclusion_may_hold_for_one_user_alone():
    publication = Publication(1, with_exclusions(BODY, own(ALICE, "ann@example.com")))
    assert not publication.is_for(ALICE, "ann@example.com")
    assert publication.is_for(ALICE, "1")
    assert publication.is_for(ALICE, "")
    assert own("", "1") == ""


def test_the_number_has_a_bound():
    with pytest.raises(ValueError, match="at most 100"):
        with_exclusions(BODY, ["a"] * (MOST + 1))


@pytest.mark.parametrize("body", [b'{"exclude":"', b'{"exclude":1,"data":2}', b"{}", b""])
def test_a_body_of_another_program_stays_as_it_is(body):
    assert Publication(1, body).body == body
