"""What is measured is what happened: counters equal what was sent, and stock tools read them."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.openmetrics import parser as openmetrics

from bare_engines import HOST, Compiled, Engine, Workshop, running
from prometheus import Object, prometheus, samples
from records import exchange, get, post
from served_models import TROUBLE, failing, scaled, slow
from tiltyard_api.figures import VariantFigures
from tiltyard_engine.metrics import MODEL_REASONS
from tools import need
from waiting import eventually

pytestmark = pytest.mark.served

MANAGEMENT_SECONDS = 8.0
"""What the management port may take while the data port is saturated, on a busy machine."""

Name = tuple[str, frozenset[tuple[str, str]]]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def pipeline(workshop: Workshop) -> Compiled:
    """A split, then a shadow."""
    models = {"a": scaled(1), "b": failing(), "champion": scaled(2), "other": scaled(3)}
    variants = [{"model": "a", "weight": 1}, {"model": "b", "weight": 1}]
    compare = {"output": "y", "tolerance": 0.5}
    challenged = {"champion": "champion", "challengers": [{"model": "other"}], "compare": compare}
    inputs = {"x": "first.y"}
    steps = [
        {"name": "first", "split": {"hashKey": {"field": "user"}, "variants": variants}},
        {"name": "second", "shadow": challenged, "inputs": inputs},
    ]
    return workshop.compile("measured", models, steps)


@pytest.fixture
def engine(workshop: Workshop, pipeline: Compiled) -> Iterator[Engine]:
    with running(workshop, pipeline, workers=2) as started:
        yield started


def send_of_everything(engine: Engine) -> dict[Name, float]:
    """Send requests of every kind; gives the samples that must come of them."""
    pinned = {"X-Tiltyard-Variant": "first=a"}
    failing_pin = {"X-Tiltyard-Variant": "first=b"}
    kinds = {
        "good": (post([{"x": 1, "user": "u"}] * 3, "measured", pinned), 70),
        "keyless": (post([{"x": 1}], "measured"), 50),
        "failing": (post([{"x": TROUBLE, "user": "u"}], "measured", failing_pin), 30),
        "bad": (post([{"x": "text", "user": "u"}], "measured"), 20),
        "unknown": (get("/nowhere"), 10),
    }
    clients = [engine.connect() for _ in range(8)]
    sent = [request for request, number in kinds.values() for _ in range(number)]
    statuses = [answer.status for answer in exchange(clients, sent)]
    assert {status: statuses.count(status) for status in set(statuses)} == {
        200: 120,
        500: 30,
        400: 20,
        404: 10,
    }
    one = {"pipeline": "measured"}
    records = one | {"protocol": "records"}
    first, a = one | {"step": "first"}, one | {"step": "first", "variant": "a"}
    b = one | {"step": "first", "variant": "b"}
    champion, other = (one | {"step": "second", "variant": name} for name in ("champion", "other"))
    expected: list[tuple[str, dict[str, str], float]] = [
        ("tiltyard_requests_total", records | {"code": "200"}, 120),
        ("tiltyard_requests_total", records | {"code": "500"}, 30),
        ("tiltyard_requests_total", records | {"code": "400"}, 20),
        ("tiltyard_requests_total", {"pipeline": "", "protocol": "http", "code": "404"}, 10),
        ("tiltyard_request_seconds_count", one, 150),
        ("tiltyard_rows_total", one, 70 * 3 + 50 + 30),
        ("tiltyard_pinned_requests_total", first, 100),
        ("tiltyard_hash_key_missing_total", first, 50),
        ("tiltyard_variant_errors_total", b | {"reason": "ModelFailed"}, 30),
        ("tiltyard_variant_errors_total", a | {"reason": "ModelFailed"}, 0),
        ("tiltyard_variant_requests_total", champion, 120),
        ("tiltyard_variant_rows_total", champion, 260),
        ("tiltyard_shadow_offered_total", other, 120),
        ("tiltyard_shadow_run_total", other, 120),
        ("tiltyard_shadow_failed_total", other | {"reason": "ModelFailed"}, 0),
        ("tiltyard_in_flight_requests", {}, 0),
        ("tiltyard_variant_weight", a, 0.5),
        ("tiltyard_routing_revision", one, 1),
    ]
    return {(name, frozenset(labels.items())): value for name, labels, value in expected}


def scraped(port: int) -> Object:
    """Give a configuration that asks one engine."""
    scrape = {"job_name": "engine", "static_configs": [{"targets": [f"{HOST}:{port}"]}]}
    pace = {"scrape_interval": "250ms", "scrape_timeout": "250ms"}
    return {"global": pace, "scrape_configs": [scrape]}


def query(url: str, expression: str) -> dict[Name, float]:
    """Ask Prometheus; gives samples without the labels that it adds itself."""
    added = ("__name__", "job", "instance")
    return {
        (
            labels.get("__name__", ""),
            frozenset((name, value) for name, value in labels.items() if name not in added),
        ): value
        for labels, value in samples(url, expression)
    }


def without_empty_labels(samples: dict[Name, float]) -> dict[Name, float]:
    """Give samples as Prometheus sees them: to it an empty label is none."""
    return {
        (name, frozenset((label, value) for label, value in labels if value)): sample
        for (name, labels), sample in samples.items()
    }


def test_prometheus_shows_exactly_what_was_sent(engine: Engine, tmp_path: Path) -> None:
    with prometheus(tmp_path, scraped(engine.management_port)) as url:
        expected = without_empty_labels(send_of_everything(engine))

        def seen() -> dict[Name, float]:
            everything = query(url, '{__name__=~"tiltyard_.+"}')
            return {name: value for name, value in everything.items() if name in expected}

        eventually(seen, lambda got: got == expected)
        assert query(url, "up") == {("up", frozenset()): 1}
        a_and_b = query(url, 'sum(tiltyard_variant_requests_total{step="first"})')
        assert list(a_and_b.values()) == [150]


def test_the_page_itself_shows_exactly_what_was_sent(engine: Engine) -> None:
    expected = send_of_everything(engine)
    eventually(lambda: {name: engine.samples()[name] for name in expected} == expected)


def test_the_status_tells_of_each_variant_what_the_page_does(engine: Engine) -> None:
    expected = send_of_everything(engine)
    eventually(lambda: {name: engine.samples()[name] for name in expected} == expected)
    samples = engine.samples()

    def sample(name: str, **labels: str) -> float:
        return samples[f"tiltyard_{name}", frozenset(labels.items())]

    status = engine.status()
    told = {
        (step["name"], variant): VariantFigures.model_validate_json(json.dumps(figures))
        for step in status["steps"]
        for variant, figures in step["variants"].items()
    }
    assert set(told) == {
        ("first", "a"),
        ("first", "b"),
        ("second", "champion"),
        ("second", "other"),
    }
    for (step, variant), found in told.items():
        of: dict[str, str] = {"pipeline": "measured", "step": step, "variant": variant}
        failed = sum(sample("variant_errors_total", reason=one, **of) for one in MODEL_REASONS)
        assert (found.requests, found.rows, found.errors) == (
            sample("variant_requests_total", **of),
            sample("variant_rows_total", **of),
            failed,
        )
        assert sum(found.seconds.counts) == sample("variant_seconds_count", **of)
        assert found.seconds.sum == pytest.approx(sample("variant_seconds_sum", **of))
        below = sum(found.seconds.counts[: found.seconds.bounds.index(0.01) + 1])
        assert below == sample("variant_seconds_bucket", le="0.01", **of)
    assert told["first", "b"].errors == 30
    assert told["second", "champion"].compared is None
    assert (told["second", "other"].compared, told["second", "other"].matched) == (260, 0)


def test_promtool_is_content(engine: Engine) -> None:
    promtool = need("promtool")
    send_of_everything(engine)
    page = engine.ask("/metrics")[2]
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_whoever_asks_for_openmetrics_gets_it(engine: Engine) -> None:
    send_of_everything(engine)
    wanted = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"
    _, headers, page = engine.ask("/metrics", Accept=wanted)
    assert headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = list(openmetrics.text_string_to_metric_families(page))
    assert page.endswith("# EOF\n")
    names = {sample.name for family in families for sample in family.samples}
    _, plain_headers, _ = engine.ask("/metrics")
    assert plain_headers["Content-Type"].startswith("text/plain; version=")
    assert names == {name for name, _ in engine.samples()}


def test_no_client_can_add_a_series(engine: Engine) -> None:
    send_of_everything(engine)
    before = set(engine.samples())
    odd = [
        post([{"x": n, "user": f"u{n}", f"column{n}": n}], "measured", {"X-Request-Id": f"r{n}"})
        for n in range(200)
    ]
    odd += [get(f"/path{n}", method) for n in range(50) for method in ("GET", "PUT", "PROPFIND")]
    odd += [post([], f"pipeline{n}") for n in range(50)]
    assert len(list(exchange([engine.connect()], odd))) == len(odd)
    assert set(engine.samples()) == before
    assert len(before) < 600


def test_management_answers_while_the_data_port_is_saturated(workshop: Workshop) -> None:
    models = {"bad": slow(30_000)}
    pipeline = workshop.compile("busy", models, [{"name": "only", "model": "bad"}])
    with running(workshop, pipeline) as engine:
        stop = threading.Event()
        clients = [engine.connect() for _ in range(16)]

        def press() -> None:
            while not stop.is_set():
                for _ in exchange(clients, [post([{"x": TROUBLE}], "busy")] * 64):
                    pass

        pressing = threading.Thread(target=press)
        pressing.start()
        try:
            eventually(lambda: engine.metric("tiltyard_in_flight_requests") > 16)
            for _ in range(5):
                for path in ("/livez", "/readyz", "/metrics", "/status"):
                    start = time.monotonic()
                    assert engine.ask(path)[0] == 200
                    assert time.monotonic() - start < MANAGEMENT_SECONDS
        finally:
            stop.set()
            pressing.join()
        eventually(lambda: engine.metric("tiltyard_in_flight_requests") == 0)
