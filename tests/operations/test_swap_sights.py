"""What an instance's answer means after a swap of what it shows."""

from __future__ import annotations

import pytest

from zmount.effects.answers import Answer
from zmount.operations.swap_sights import in_words, is_right_answer


def answer(status: int, detail: str = "") -> Answer:
    return Answer(is_answering=bool(status), detail=detail or f"HTTP {status}", status=status)


@pytest.mark.parametrize("status", [200, 302, 401, 403, 405])
def test_whoever_found_the_site_is_right_whatever_he_wants_first(status: int) -> None:
    assert is_right_answer(answer(status), is_there=True)
    assert "has the site" in in_words(answer(status), is_there=True)


@pytest.mark.parametrize("status", [200, 401, 404])
def test_where_staging_holds_nothing_nothing_can_be_wrong(status: int) -> None:
    assert is_right_answer(answer(status), is_there=False)
    assert "staging holds no object for this place" in in_words(answer(status), is_there=False)


@pytest.mark.parametrize(
    ("status", "detail", "words"),
    [
        (404, "", "it does not find the site: HTTP 404"),
        (503, "", "it fails: HTTP 503; its event.log says why"),
        (0, "it says nothing", "it does not answer: it says nothing"),
    ],
)
def test_who_does_not_show_it_is_wrong_and_says_how(status: int, detail: str, words: str) -> None:
    found = answer(status, detail)

    assert not is_right_answer(found, is_there=True)
    assert in_words(found, is_there=True) == words


def test_a_login_is_told_as_what_it_is() -> None:
    said = in_words(answer(401), is_there=True)

    assert said.endswith("its page wants a login, so what is on it was not read")
