"""The page on troubleshooting quotes messages as they are said."""

import ast
import errno
import os
import re

import pytest

from fashion_assets.places import CHECKOUT

assert CHECKOUT is not None
PAGE = (CHECKOUT / "docs" / "troubleshooting.md").read_text("utf-8")
MESSAGES = [
    quoted
    for row in re.findall(r"^\| (`.*?) \| ", PAGE, re.MULTILINE)
    for quoted in re.findall(r"`([^`]+)`", row)
]


def said() -> str:
    """Every text in the code and of the system, the parts of one message behind each other, with an ellipsis where something is put in."""
    texts = []
    for path in sorted((CHECKOUT / "fashion_assets").rglob("*.py")):  # type: ignore[operator]
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                texts.append("".join(map(str, parts)))
    return "\n".join(texts + [os.strerror(number) for number in errno.errorcode])


@pytest.fixture(scope="module")
def code() -> str:
    return said()


def test_the_page_has_messages():
    assert len(MESSAGES) > 60


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_on_the_page_is_one_that_is_said(message: str, code: str):
    for words in filter(None, (part.strip(" ().,;:") for part in message.split("…"))):
        assert words in code, words
