"""The operator's own port, and when it says that the process must be started anew."""

import json
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest

from tiltyard_operator.face import SEEN_WITHIN, TURNS_WITHIN, Face, lifeless
from tiltyard_operator.log import about, log


@pytest.mark.parametrize(
    ("turned", "renewed", "seen", "fault"),
    [
        (1000, None, None, ""),
        (1000 - TURNS_WITHIN, None, None, ""),
        (999 - TURNS_WITHIN, None, None, "Lease does not turn"),
        (1000, 1000, 1000 - SEEN_WITHIN, ""),
        (1000, 1000, 999 - SEEN_WITHIN, "no watch"),
        (1000, 1000 - SEEN_WITHIN, 500, "no watch"),
        (1000, 500, 490, ""),  # no renewal for long, as the API server is gone
        (1000, None, 0, ""),  # does not hold it
        (1000, 1000, None, ""),  # watches nothing yet
    ],
)
def test_it_is_lifeless_where_it_is_blind_but_not_where_the_server_is_gone(
    turned: float, renewed: float | None, seen: float | None, fault: str
) -> None:
    said = lifeless(turned, renewed, seen, 1000)
    assert fault in said
    assert bool(said) is bool(fault)


class Judges:
    live = ""
    ready = "the Lease"


@pytest.fixture
def face() -> Iterator[Face]:
    face = Face(0, lambda: Judges.live, lambda: Judges.ready)
    face.start()
    yield face
    face.stop()


def ask(face: Face, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{face.port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_probes_say_what_is_missing(face: Face) -> None:
    assert ask(face, "/livez") == (200, "ok\n")
    assert ask(face, "/readyz?verbose") == (503, "the Lease\n")
    assert ask(face, "/elsewhere")[0] == 404


def test_metrics_are_served_in_prometheus_form(face: Face) -> None:
    status, text = ask(face, "/metrics")
    assert status == 200
    assert "# TYPE tiltyard_operator_queue_depth gauge" in text
    assert "_created" not in text


def test_each_line_of_the_log_is_json_and_names_its_object(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with about("Pipeline shop/p"):
        log("looked", found=True)
    log("ended")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["object"], first["message"], first["found"]) == (
        "Pipeline shop/p",
        "looked",
        True,
    )
    assert "object" not in second
