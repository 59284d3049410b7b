"""The words of an expression: enough to say which fields it is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

ROOTS = ("inputs", "out")
"""What an expression is over: the columns that models take, and what the last step gives."""

_RAW = r"[bB]?[rR](?:\"\"\"[\s\S]*?\"\"\"|\'\'\'[\s\S]*?\'\'\'|\"[^\"\n]*\"|'[^'\n]*')"
_LONG = r"[bB]?(?:\"\"\"(?:\\[\s\S]|[^\\])*?\"\"\"|\'\'\'(?:\\[\s\S]|[^\\])*?\'\'\')"
_SHORT = r"[bB]?(?:\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*')"
_TOKEN = re.compile(
    rf"(?P<space>\s+|//[^\n]*)|(?P<string>{_RAW}|{_LONG}|{_SHORT})"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<number>0x[0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)"
    r"|(?P<sign>&&|\|\||[<>=!]=|[\s\S])"
)
_PLAIN_TEXT = re.compile(r"(['\"])([^'\"\\\n]+)\1")
_INDEX = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, text or sign."""

    kind: str
    text: str
    at: int
    """Its first character, from 0."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A place where an expression names `inputs` or `out`."""

    root: str
    at: int
    name: str | None = None
    """The field; None: which one is only known when it runs."""

    index: int | None = None
    """The element, where it is said by a number."""


def tokens(expression: str) -> list[Token]:
    """Everything but blanks and comments."""
    found = _TOKEN.finditer(expression)
    return [Token(str(m.lastgroup), m[0], m.start()) for m in found if m.lastgroup != "space"]


def mentions(expression: str) -> Iterator[Mention]:
    """Every mention, in order."""
    words = tokens(expression)
    texts = [word.text for word in words]
    for place, word in enumerate(words):
        if word.text not in ROOTS or word.kind != "word":
            continue
        if place and texts[place - 1] == ".":  # a column of that name, or the same from the top
            yield Mention(word.text, word.at)
            continue
        name, end = _field(words, place + 1)
        indexed = name is not None and texts[end : end + 1] == ["["]
        whole = indexed and texts[end + 2 : end + 3] == ["]"] and _INDEX.fullmatch(texts[end + 1])
        yield Mention(word.text, word.at, name, int(texts[end + 1]) if whole else None)


def _field(words: list[Token], place: int) -> tuple[str | None, int]:
    """The name that stands behind a root, and where it ends: `.NAME` or `['NAME']`."""
    after = words[place : place + 3]
    texts = [one.text for one in after]
    if texts[:1] == ["."] and len(after) > 1 and after[1].kind == "word" and texts[2:] != ["("]:
        return texts[1], place + 2
    if texts[:1] == ["["] and texts[2:] == ["]"]:
        plain = _PLAIN_TEXT.fullmatch(texts[1])
        if plain:
            return plain[2], place + 3
    return None, place
