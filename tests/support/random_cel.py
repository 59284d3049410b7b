"""Random expressions over random rows: most are valid, many fail on some rows."""

import random
from collections.abc import Callable
from typing import Any

DOUBLES = (0.0, -0.0, 1.0, -1.5, 0.1, 2.5, 3.0, 100.0, 1e6, -1e-3, 1e300)
WHOLES = (0, 1, -1, 2, 3, 7, 100, -100, 2**31, 2**53 + 1, -(2**62))
TEXTS = ("", "a", "b", "ab", "spam", "é", "10", "x y")
PATTERNS = ("a", "^a", "b$", "[a-z]+", "^$", ".", "a|b", "(ab)*")

Maker = Callable[[], str]


class Expressions:
    """Expressions and rows that follow from a seed alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._variables: list[str] = []

    def row(self) -> dict[str, dict[str, Any]]:
        """Fields of every kind; lists are of any length, 0 to 4."""
        draw = self._random
        return {
            root: {
                "d": draw.choice(DOUBLES),
                "n": draw.choice(WHOLES),
                "s": draw.choice(TEXTS),
                "b": draw.random() < 0.5,
                "ds": [draw.choice(DOUBLES) for _ in range(draw.randrange(5))],
                "ns": [draw.choice(WHOLES) for _ in range(draw.randrange(5))],
                "ss": [draw.choice(TEXTS) for _ in range(draw.randrange(5))],
            }
            for root in ("inputs", "out")
        }

    def truth(self, depth: int = 3) -> str:
        """An expression that is true or false, where it does not fail."""
        makers: list[Maker] = [
            lambda: (
                f"{self._any(depth)} {self._one('<', '<=', '>', '>=', '==', '!=')}"
                f" {self.number(depth)}"
            ),
            lambda: f"{self._root()}.b",
            lambda: self._one("true", "false"),
        ]
        if depth:
            makers += [
                lambda: f"({self.truth(depth - 1)} && {self.truth(depth - 1)})",
                lambda: f"({self.truth(depth - 1)} || {self.truth(depth - 1)})",
                lambda: f"!({self.truth(depth - 1)})",
                lambda: (
                    f"({self.truth(depth - 1)} ? {self.truth(depth - 1)} : {self.truth(depth - 1)})"
                ),
                lambda: f"{self.text(depth)} {self._one('==', '!=', '<', '>=')} {self.text(depth)}",
                lambda: (
                    f"{self.text(depth)}.{self._one('startsWith', 'endsWith', 'contains')}"
                    f"({self.text(depth)})"
                ),
                lambda: f"{self.text(depth)}.matches('{self._one(*PATTERNS)}')",
                lambda: f"{self._any(depth)} in {self.numbers(depth)}",
                lambda: f"{self.numbers(depth)} == {self.numbers(depth)}",
                lambda: f"has({self._root()}.{self._one('d', 'ns', 'none')})",
                self._loop(depth, "all", "exists", "exists_one"),
            ]
        return self._random.choice(makers)()

    def number(self, depth: int) -> str:
        """An expression that is a number."""
        makers: list[Maker] = [
            lambda: str(self._random.choice(WHOLES)),
            lambda: repr(self._random.choice(DOUBLES)),
            lambda: f"{self._root()}.{self._one('d', 'n')}",
            lambda: f"{self._root()}.{self._one('ds', 'ns')}[{self._random.randrange(3)}]",
            *([lambda: self._one(*self._variables)] if self._variables else []),
        ]
        if depth:
            makers += [
                lambda: (
                    f"({self.number(depth - 1)} {self._one(*'+-*/%')} {self.number(depth - 1)})"
                ),
                lambda: f"-({self.number(depth - 1)})",
                lambda: f"size({self.numbers(depth - 1)})",
                lambda: f"{self.text(depth - 1)}.size()",
                lambda: f"{self._one('int', 'double')}({self.number(depth - 1)})",
                lambda: f"int({self.text(depth - 1)})",
                lambda: (
                    f"({self.truth(depth - 1)} ? {self.number(depth - 1)}"
                    f" : {self.number(depth - 1)})"
                ),
            ]
        return self._random.choice(makers)()

    def numbers(self, depth: int) -> str:
        """An expression that is a list of numbers."""
        makers: list[Maker] = [
            lambda: f"{self._root()}.{self._one('ds', 'ns')}",
            lambda: f"[{self._any(0)}, {self._any(0)}]",
        ]
        if depth:
            makers += [
                lambda: f"({self.numbers(depth - 1)} + {self.numbers(depth - 1)})",
                lambda: self._over(depth, "filter", self.truth),
                lambda: self._over(depth, "map", self._any),
            ]
        return self._random.choice(makers)()

    def text(self, depth: int) -> str:
        """An expression that is a text."""
        makers: list[Maker] = [
            lambda: repr(self._random.choice(TEXTS)),
            lambda: f"{self._root()}.s",
            lambda: f"{self._root()}.ss[{self._random.randrange(2)}]",
        ]
        if depth:
            makers += [
                lambda: f"({self.text(depth - 1)} + {self.text(depth - 1)})",
                lambda: f"string({self._root()}.{self._one('n', 'b', 's')})",
            ]
        return self._random.choice(makers)()

    def _any(self, depth: int) -> str:
        """A number of which only its value tells the type.

        Where both types are known beforehand, the reference compares some numbers of two types and
        the library none; and types of lists are guessed by the one where the other waits.
        """
        return f"dyn({self.number(depth)})"

    def _loop(self, depth: int, *macros: str) -> Maker:
        return lambda: self._over(depth, self._one(*macros), self.truth)

    def _over(self, depth: int, macro: str, body: Callable[[int], str]) -> str:
        """A macro over a list, whose body may use its variable."""
        numbers = self.numbers(depth - 1)
        name = f"v{len(self._variables)}"
        self._variables.append(name)
        inner = body(depth - 1)
        self._variables.pop()
        return f"{numbers}.{macro}({name}, {inner})"

    def _root(self) -> str:
        return self._one("inputs", "out")

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)
