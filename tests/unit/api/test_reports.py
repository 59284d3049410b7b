"""Reports of those who try models, and so run strangers' code: nothing in one ends its reader."""

import base64
import json
import zlib

import pytest
from pydantic import ValidationError

from tiltyard_api.artifacts import MOST_UNPACKED, REPORT_BYTES, TrialReport


def packed(content: bytes) -> bytes:
    return json.dumps({"packed": base64.b64encode(zlib.compress(content, 9)).decode()}).encode()


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"[" * REPORT_BYTES,
        b'{"packed": "no base64!"}',
        b'{"packed": "aGVsbG8="}',
        packed(b"no JSON"),
        packed(b"[" * 100_000),
        packed(b'{"resolved": ' + b"[" * 100_000),
        packed(b" " * (MOST_UNPACKED + 1) + b"{}"),
        packed(b'{"reason": "Unheard"}'),
    ],
    ids=range(9),
)
def test_a_report_that_makes_no_sense_is_no_report(report: bytes) -> None:
    with pytest.raises(ValidationError):
        TrialReport.model_validate_json(report)


def test_a_long_report_is_packed_and_read_back() -> None:
    report = TrialReport(fault="x" * 2 * REPORT_BYTES)
    assert len(report.written()) < REPORT_BYTES
    assert TrialReport.model_validate_json(report.written()) == report
