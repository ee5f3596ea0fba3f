"""Characters that do something where they are shown: what is seen instead, alone, on a console, in JSON."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from fashion_assets.characters import harmless_json, to_json, visible, visible_line
from fashion_assets.terminal import Terminal, Without, shown

ACTING = {
    "\x1b]0;pwned\x07\x1b[2JShirt": r"\x1b]0;pwned\x07\x1b[2JShirt",
    "\x1b]8;;http://evil/\x1b\\Shirt": r"\x1b]8;;http://evil/\x1b\Shirt",
    "\x9b31mShirt \x9d0;pwned\x9c": r"\x9b31mShirt \x9d0;pwned\x9c",
    "Shirt \u202egnp.exe": r"Shirt \u202egnp.exe",
    "\u2066Shirt\u2069": r"\u2066Shirt\u2069",
    "Shirt\rFAKE": r"Shirt\rFAKE",
    "Shirt\b\b\b\b\bPants": r"Shirt\x08\x08\x08\x08\x08Pants",
    "Shirt\u2028live": r"Shirt\u2028live",
    "half \ud83d": r"half \ud83d",
}

SOUND = "साड़ी 👩\u200d👩 قميص\u200c ها \u200fעברית Größe naïve 外套 :heart: [bold]50 %[/]"  # noqa: RUF001


@pytest.mark.parametrize(("text", "seen"), ACTING.items())
def test_they_are_written_out_wherever_they_are_printed(text: str, seen: str):
    assert visible(text) == visible_line(text) == seen
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=True, width=200, color_system=None)
    table = Table(text)
    table.add_row(text)
    for printed in (text, table):
        console.print(printed, markup=False)
    console.print(shown(text))
    assert file.getvalue().count(seen) == 4
    assert "\x1b" not in file.getvalue() and file.getvalue().replace("\n", "").isprintable()


def test_letters_of_every_script_stay_as_they_are():
    assert visible(SOUND) == visible_line(SOUND) == SOUND
    file = io.StringIO()
    Terminal(file=file, width=200).print(shown(SOUND))
    assert file.getvalue() == SOUND + "\n"


def test_one_line_stays_one_line():
    assert visible("a\tb\nc") == "a\tb\nc" and visible_line("a\tb\nc") == r"a\tb\nc"
    assert shown("live\nlive fashion_sota_r0009") == r"live\nlive fashion_sota_r0009"


def test_what_a_library_says_unasked_is_left_out():
    file = io.StringIO()
    stream = Without(file, "Exception while", "Falling back")
    for text in ("Exception while writing: a page", "Falling back to another page", "a step's own\n"):
        assert stream.write(text) == len(text)
    assert stream.getvalue() == "a step's own\n" and not stream.closed


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_says_the_same_in_characters_that_do_nothing(value: object):
    for indent in (None, 2):
        text = to_json(value, indent=indent)
        assert json.loads(text) == value
        assert visible(text) == text == harmless_json(text)
