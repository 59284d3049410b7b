"""Who is served by what: predicted draws, exact shares, weights that change while we serve."""

import hashlib
import json
import random
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from bare_engines import Compiled, Engine, Workshop, running
from loopback import Answer, Client
from records import exchange, post, row
from served_models import scaled
from tiltyard_api.names import default_salt
from tiltyard_core.draws import pick, thresholds, value_draw
from waiting import eventually

pytestmark = pytest.mark.served

VECTORS = Path(__file__).parents[2] / "docs" / "draws-vectors.json"
ALPHA = 1e-6
"""Chance that a fair engine fails a test of its shares: one run in a million."""

VARIANT = "X-Tiltyard-Variant"
Key = str | int | float


def split(weights: Sequence[float], **more: object) -> list[dict[str, object]]:
    """Give a step `price` with variants v0, v1, ..."""
    variants = [{"model": f"v{n}", "weight": weight} for n, weight in enumerate(weights)]
    return [{"name": "price", "split": {"variants": variants, **more}}]


def models(number: int) -> dict[str, bytes]:
    """Give models v0, v1, ..., of which model n says n + 1 for x = 1."""
    return {f"v{n}": scaled(n + 1) for n in range(number)}


def served(answer: Answer) -> int:
    """Which variant answered: header, body and output must agree."""
    only = row(answer)
    number = int(answer.headers[VARIANT].removeprefix("price=v"))
    assert only["out"]["y"] == [number + 1.0]
    assert only["metadata"]["variants"] == {"price": f"v{number}"}
    assert json.loads(only["out"]["_model_split"][0])["name"] == f"v{number}"
    return number


def clients_of_every_worker(engine: Engine, workers: int) -> list[Client]:
    """Open connections until the kernel has given some to each worker."""
    clients: list[Client] = []
    heads: set[str] = set()
    for _ in range(200):
        client = engine.connect()
        client.send(post([{"x": 1}], "drawn"))
        heads.add(client.answer().headers["X-Tiltyard-Inference-Id"][:16])
        clients.append(client)
        if len(clients) >= 4 and len(heads) == workers:
            return clients
    raise AssertionError(f"{len(heads)} of {workers} workers answer")


def keys(number: int) -> list[Key]:
    """Give texts, integers and floats, each as clients send them."""
    chance = random.Random(3)
    floats = [chance.random() for _ in range(number // 4)]
    integers = [chance.randrange(-(2**63), 2**63) for _ in range(number // 4)]
    return [*floats, *integers, *(f"user-{n}" for n in range(number - len(floats + integers)))]


def test_predicted_draws_are_served_by_all_workers_and_after_a_restart(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    weights = (2.0, 1.0)
    pipeline = workshop.compile("drawn", models(2), split(weights, hashKey={"field": "user"}))
    salt, ends = default_salt("default", "drawn", "price"), thresholds(weights)
    users = keys(10_000)
    predicted = [pick(ends, value_draw(salt, user)) for user in users]
    requests = [post([{"x": 1, "user": user}], "drawn") for user in users]
    for _ in ("first start", "restart"):
        with running(workshop, pipeline, workers=2) as engine:
            clients = clients_of_every_worker(engine, 2)
            assert [served(answer) for answer in exchange(clients, requests)] == predicted


def test_a_batch_with_several_keys_is_drawn_row_by_row(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    weights = (5.0, 0.5, 2.0)
    pipeline = workshop.compile("drawn", models(3), split(weights, hashKey={"field": "user"}))
    salt, ends = default_salt("default", "drawn", "price"), thresholds(weights)
    users = keys(10_000)
    with running(workshop, pipeline) as engine:
        client = engine.connect()
        client.send(post([{"x": 1, "user": user} for user in users], "drawn"))
        rows = client.answer().json
    predicted = [pick(ends, value_draw(salt, user)) for user in users]
    assert [int(one["out"]["y"][0]) - 1 for one in rows] == predicted
    assert [one["in"]["user"] for one in rows] == users
    assert len({one["metadata"]["inference_id"] for one in rows}) == len(rows)


def test_random_draws_have_the_configured_shares(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    weights = (5.0, 3.0, 2.0)
    pipeline = workshop.compile("drawn", models(3), split(weights))
    with running(workshop, pipeline, workers=2) as engine:
        clients = clients_of_every_worker(engine, 2)
        requests = (post([{"x": 1}], "drawn") for _ in range(20_000))
        got = Counter(answer.headers[VARIANT] for answer in exchange(clients, requests))
    seen = [got[f"price=v{n}"] for n in range(3)]
    expected = [20_000 * weight / sum(weights) for weight in weights]
    assert stats.chisquare(seen, expected).pvalue > ALPHA, seen


def test_a_client_id_draws_where_there_is_no_key_and_a_request_id_does_not(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("drawn", models(2), split((1, 1)))
    salt, ends = default_salt("default", "drawn", "price"), thresholds((1, 1))
    ids = [f"req-{n}" for n in range(200)] + [f"ü{n}" for n in range(20)]
    with running(workshop, pipeline) as engine:
        client = [engine.connect()]
        asked = [post([{"x": 1}], "drawn", {"X-Tiltyard-Inference-Id": i}) for i in ids]
        got = [served(answer) for answer in exchange(client, asked)]
        assert got == [pick(ends, value_draw(salt, i)) for i in ids]
        same = [post([{"x": 1}], "drawn", {"X-Request-Id": "same"})] * 100
        assert {served(answer) for answer in exchange(client, same)} == {0, 1}


def test_growing_a_weight_of_two_moves_only_the_keys_that_must(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("drawn", models(2), split((1, 1), hashKey={"field": "user"}))
    users = [f"u{n}" for n in range(3_000)]
    salt = default_salt("default", "drawn", "price")
    requests = [post([{"x": 1, "user": user}], "drawn") for user in users]
    with running(workshop, pipeline, workers=2) as engine:
        clients = clients_of_every_worker(engine, 2)
        before = [served(answer) for answer in exchange(clients, requests)]
        for revision, weights in enumerate(((1, 1.5), (1, 9), (0, 1)), start=2):
            put_in_force(engine, pipeline, revision, weights)
            after = [served(answer) for answer in exchange(clients, requests)]
            moves = Counter(zip(before, after, strict=True))
            assert moves[1, 0] == 0, "whoever was with the growing variant stays"
            ends = thresholds(weights)
            assert after == [pick(ends, value_draw(salt, user)) for user in users]
            before = after
        assert set(before) == {1}
        shares = {n: engine.metric("tiltyard_variant_weight", variant=f"v{n}") for n in (0, 1)}
        assert shares == {0: 0, 1: 1}


def put_in_force(
    engine: Engine, pipeline: Compiled, revision: int, weights: Sequence[float]
) -> None:
    """Write a table, say so, and wait until every worker has it."""
    named = {f"v{n}": weight for n, weight in enumerate(weights)}
    pipeline.write_table(pipeline.weigh("price", revision, **named))
    engine.process.send_signal(signal.SIGHUP)
    eventually(lambda: engine.status()["routing"]["revision"] == revision)
    assert engine.metric("tiltyard_routing_revision", pipeline="drawn") == revision


def test_tables_that_do_not_fit_are_refused_and_counted_once_each(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("drawn", models(2), split((1, 0)))
    good = pipeline.weigh("price", 5, v0=1, v1=0)
    refused = {
        "OtherPlan": good.model_copy(update={"plan": "0" * 64}),
        "OtherPipeline": good.model_copy(update={"pipeline_uid": "someone-else"}),
        "OlderRevision": pipeline.weigh("price", 4, v0=0, v1=1),
        "UnknownVariant": pipeline.weigh("price", 6, v0=0, v9=1),
        "Malformed": None,
    }
    with running(workshop, pipeline, workers=2) as engine:
        clients = clients_of_every_worker(engine, 2)
        put_in_force(engine, pipeline, 5, (1, 0))
        for number, table in enumerate(refused.values(), start=1):
            if table is None:
                pipeline.routing_file.write_text('{"plan": ')
            else:
                pipeline.write_table(table.model_copy(update={"hash": ""}).sealed())
            engine.process.send_signal(signal.SIGHUP)
            eventually(lambda seen=2 * number: engine.log().count("was refused") == seen)
        assert {reason: refusals(engine, reason) for reason in refused} == dict.fromkeys(refused, 1)
        assert engine.status()["routing"]["revision"] == 5
        asked = (post([{"x": 1}], "drawn") for _ in range(200))
        assert {served(answer) for answer in exchange(clients, asked)} == {0}


def refusals(engine: Engine, reason: str) -> float:
    """How many tables were refused so."""
    return engine.metric("tiltyard_routing_refused_total", reason=reason)


def vectors() -> Iterator[tuple[str, str, tuple[float, ...], list[dict[str, Any]]]]:
    """Published vectors as (Pipeline, salt, weights, vectors)."""
    numbers = count()
    groups: dict[tuple[str, tuple[float, ...]], list[dict[str, Any]]] = {}
    for vector in json.loads(VECTORS.read_text())["vectors"]:
        groups.setdefault((vector["salt"], tuple(vector["weights"])), []).append(vector)
    for (salt, weights), group in groups.items():
        yield f"p{next(numbers)}", salt, weights, group


def test_published_vectors_hold_over_http(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    groups = list(vectors())
    pipelines = [
        workshop.compile(
            name + kind, models(len(weights)), split(weights, hashKey={**key, "salt": salt})
        )
        for name, salt, weights, _ in groups
        for kind, key in (("f", {"field": "user"}), ("h", {"header": "x-user"}))
    ]
    checked = 0
    with running(workshop, *pipelines) as engine:
        client = [engine.connect()]
        for name, _, _, group in groups:
            fields = [post([{"x": 1, "user": v["value"]}], f"{name}f") for v in group]
            texts = [v for v in group if v["type"] == "string" and fits_a_header(v["value"])]
            headers = [post([{"x": 1}], f"{name}h", {"X-User": v["value"]}) for v in texts]
            expected = [v["variant"] for v in (*group, *texts)]
            got = [served(answer) for answer in exchange(client, [*fields, *headers])]
            assert got == expected
            checked += len(got)
    assert checked > 120


def test_a_header_is_drawn_by_its_bytes_even_where_they_are_no_text(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("drawn", models(2), split((1, 1), hashKey={"header": "x-user"}))
    salt, ends = default_salt("default", "drawn", "price"), thresholds((1, 1))
    names = [b"\xff%d" % n for n in range(20)]
    plain = post([{"x": 1}], "drawn", {"X-User": "NAME"})
    with running(workshop, pipeline) as engine:
        asked = [plain.replace(b"NAME", name) for name in names]
        got = [served(answer) for answer in exchange([engine.connect()], asked)]
    draws = [hashlib.sha256(salt.encode() + b"\0" + name).digest()[:8] for name in names]
    assert got == [pick(ends, int.from_bytes(draw, "big")) for draw in draws]


def fits_a_header(value: str) -> bool:
    """Whether HTTP carries a text unchanged: no controls, nothing that is trimmed."""
    return value.isprintable() and value == value.strip() and value != ""


def test_a_pin_reaches_a_variant_of_weight_0_and_chance_does_not(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("drawn", models(2), split((1, 0), hashKey={"field": "user"}))
    with running(workshop, pipeline) as engine:
        client = [engine.connect()]
        rows = [[{"x": 1, "user": f"u{n}"}] for n in range(300)]
        free = [served(a) for a in exchange(client, (post(one, "drawn") for one in rows))]
        pinned = [
            served(answer)
            for answer in exchange(
                client, (post(one, "drawn", {VARIANT: "price=v1"}) for one in rows)
            )
        ]
        assert set(free) == {0}
        assert set(pinned) == {1}
        assert engine.metric("tiltyard_pinned_requests_total", step="price") == 300


@pytest.mark.parametrize(("missing", "variants"), [("first", {0}), ("random", {0, 1})])
def test_a_missing_key_is_drawn_as_the_manifest_says_and_counted(
    tmp_path: Path, missing: str, variants: set[int]
) -> None:
    workshop = Workshop(tmp_path)
    key = {"header": "x-user", "missing": missing}
    pipeline = workshop.compile("drawn", models(2), split((1, 1), hashKey=key))
    with running(workshop, pipeline) as engine:
        asked = (post([{"x": 1}], "drawn") for _ in range(100))
        assert {served(answer) for answer in exchange([engine.connect()], asked)} == variants
        missed = "tiltyard_hash_key_missing_total"
        eventually(lambda: engine.metric(missed, step="price") == 100)
