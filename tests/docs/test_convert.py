"""The page on conversion names every framework and every option, and its lines can be typed."""

import shlex

import typer

from documents import ROOT, table
from tiltyard.commands import app
from tiltyard.convert.command import Options
from tiltyard.convert.frameworks import TOOLS, Framework

COMMAND = typer.main.get_command(app).commands["convert"]


def test_every_framework_has_a_line_that_can_be_typed() -> None:
    rows = table("docs/convert.md", "framework", "what is read", "a line that works")
    assert [row[0] for row in rows] == list(Framework)
    for row in rows:
        program, name, *arguments = shlex.split(row[2])
        assert (program, name) == ("tiltyard", "convert")
        assert COMMAND.make_context(name, arguments).params["to"].suffix == ".onnx"


def test_every_option_is_documented_with_its_default() -> None:
    rows = {row[0]: row[1] for row in table("docs/convert.md", "option", "default", "what")}
    options = {one.opts[0] for one in COMMAND.params if one.opts[0].startswith("--")}
    assert set(rows) == options - {"--help"}
    assert float(rows["--tolerance"]) == Options().tolerance


def test_the_size_of_every_environment_is_told() -> None:
    text = (ROOT / "docs/convert.md").read_text()
    assert all(tool.size in text for tool in TOOLS.values())
