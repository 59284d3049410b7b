"""The file of sums: changes are whole, whoever is killed."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tiltyard_engine.feedback.book import FIRST, Book

IDENTITY = bytes(range(32))
SIZE = 4096
LEFT, RIGHT = FIRST, FIRST + SIZE - 1

COUNTING = """
import sys
from pathlib import Path
from tiltyard_engine.feedback.book import Book

book = Book(Path(sys.argv[1]), bytes(range(32)), 4096)
left, right = map(int, sys.argv[2:4])
print("begun", flush=True)
while True:
    with book.changing() as change:
        change.add(left, 1)
        for at in range(left + 1, left + 500):
            change.write(at, change.read(left))
        change.add_real(right, 0.5)
"""
"""Adds to two numbers, with many between them, as fast as it can."""


def counting(path: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", COUNTING, str(path), str(LEFT), str(RIGHT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"begun\n"
    return process


def numbers(book: Book) -> tuple[int, set[int], float]:
    copy = book.snapshot(FIRST, SIZE)
    return copy[0], set(copy[:500]), memoryview(copy).cast("B").cast("d")[SIZE - 1]


def test_no_process_that_is_killed_leaves_half_of_a_change(tmp_path: Path) -> None:
    path = tmp_path / "book"
    book = Book(path, IDENTITY, SIZE)
    before = 0
    for _ in range(6):
        both = [counting(path), counting(path)]
        try:
            while numbers(book)[0] < before + 50:
                pass
        finally:
            for one in both:
                one.send_signal(signal.SIGKILL)
                one.communicate()
        count, same, half = numbers(book)
        assert same == {count}
        assert half == count / 2
        before = count


def begin_and_fail(book: Book) -> None:
    with book.changing() as change:
        change.add(LEFT, 1)
        change.add(RIGHT, 1 // 0)


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    book = Book(tmp_path / "book", IDENTITY, SIZE)
    with pytest.raises(ZeroDivisionError):
        begin_and_fail(book)
    assert not any(book.snapshot(FIRST, SIZE))


def test_a_file_is_gone_on_with_and_one_of_another_layout_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "book"
    first = Book(path, IDENTITY, SIZE)
    with first.changing() as change:
        change.write(LEFT, 7)
    second = Book(path, IDENTITY, SIZE)
    assert (second.words[LEFT], second.incarnation) == (7, first.incarnation)
    other = Book(path, bytes(32), SIZE)
    assert (other.words[LEFT], first.words[LEFT]) == (0, 7)
    assert other.incarnation != first.incarnation


def test_a_place_is_free_again_when_its_process_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "book"
    script = f"""
from pathlib import Path
from tiltyard_engine.feedback.book import Book
book = Book(Path({str(path)!r}), bytes(range(32)), 4096)
print(book.claim(8), flush=True)
input()
"""
    command = [sys.executable, "-c", script]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    begun = Book(path, IDENTITY, SIZE)  # as an engine does before it forks workers
    with (
        subprocess.Popen(command, text=True, **pipes) as first,
        subprocess.Popen(command, text=True, **pipes) as second,
    ):
        assert first.stdout
        assert second.stdout
        taken = {first.stdout.readline(), second.stdout.readline()}
        assert taken == {"0\n", "1\n"}
        first.kill()
        first.communicate()
        second.communicate("\n")
    third = subprocess.run(command, input="\n", capture_output=True, text=True, check=True)
    assert third.stdout == "0\n"
    assert begun.claimed == 2
