"""The page on sources says what the fetcher does."""

import argparse
import re

import pytest
import yaml

from documents import ROOT, table
from tiltyard_api.artifacts import REPORT_BYTES
from tiltyard_api.quantities import quantity_bytes, seconds
from tiltyard_api.v1alpha1.conditions import ARTIFACT_FAULTS, ConditionReason
from tiltyard_api.v1alpha1.models import Source
from tiltyard_engine import archive
from tiltyard_engine.fetch import options
from tiltyard_engine.sources import FAMILIES
from tiltyard_engine.sources.base import Limits
from tiltyard_engine.sources.https import PASSING

PAGE = "docs/sources.md"
TEXT = " ".join((ROOT / PAGE).read_text().split())
ROWS = table(PAGE, "scheme", "a line that works", "keys of its Secret", "immutable address")


def test_every_scheme_is_documented() -> None:
    assert [row[0] for row in ROWS] == list(FAMILIES)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_line_is_a_valid_source(row: list[str]) -> None:
    scheme, line, _, address = row
    source = Source.model_validate(yaml.safe_load(line)["source"])
    assert source.uri.startswith(f"{scheme}:")
    assert not source.immutable
    if address != "none":
        digits = address.replace("sha256:...", f"sha256:{'0' * 64}").replace("COMMIT", "0" * 40)
        assert Source(uri=digits).immutable
        stem = source.uri.partition("?")[0].replace("lab/house", "").rpartition(":")[2]
        assert stem.rpartition("/")[2] in address or "@" in address


def test_every_option_of_the_fetcher_is_documented_with_its_default() -> None:
    rows = table(PAGE, "option of the fetcher", "default", "what it bounds")
    said = {name: default for names, default, _ in rows for name in re.findall(r"--[\w-]+", names)}
    parser = argparse.ArgumentParser()
    options(parser)
    known = {
        action.option_strings[0]: action.default
        for action in parser._actions
        if action.dest not in ("help", "progress")
    }
    assert set(said) == set(known)
    assert quantity_bytes(said["--max-size"]) == known["--max-size"]
    assert seconds(said["--timeout"]) == known["--timeout"]
    assert seconds(said["--trial-timeout"]) == known["--trial-timeout"]
    assert said["--installs"] == known["--installs"]


def test_bounds_that_are_no_options_are_documented() -> None:
    limits = Limits()
    assert f"tried {limits.attempts} times" in TEXT
    assert f"{limits.silence:g} seconds of silence" in TEXT
    assert {str(code) for code in PASSING if code not in (408, 425)} <= set(
        re.findall(r"\d{3}", TEXT)
    )
    assert f"more than {archive.MOST_FILES:,} files" in TEXT
    assert f"more than {archive.MOST_RATIO} times the bytes" in TEXT
    assert f"{archive.FREE_BYTES >> 20} MiB are free" in TEXT
    assert f"the {REPORT_BYTES} bytes" in TEXT


def test_every_fault_of_an_artifact_is_documented() -> None:
    reasons = {row[0] for row in table(PAGE, "reason", "when", "what to do")}
    # That a Job ended without a word is the operator's to say.
    assert reasons == {one.value for one in ARTIFACT_FAULTS} - {ConditionReason.RESOLVE_FAILED}
