"""Records of whole engines: every row that was answered is written down, or counted as lost."""

import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from bare_engines import Engine, Workshop, running
from cloud_stores import Keys, blob_storage, cloud_storage
from object_stores import LOOPBACK, S3, S3Server, free_port, program, secret_folder
from recorded import NAME, asked, balance, compiled, ids, lines, rows, settled
from records import exchange, post
from served_models import TROUBLE, failing, scaled
from waiting import eventually

pytestmark = pytest.mark.served

BUCKET = "records"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "records"


def recorder(engine: Engine) -> int:
    """Give the process that writes records: it is started last."""
    return engine.latest_child()


def test_a_row_is_there_with_all_that_was_asked_and_answered(
    workshop: Workshop, place: Path
) -> None:
    with running(workshop, compiled(workshop), flags=["--records", str(place)]) as engine:
        (first, second) = asked(engine, [1, 2])
        settled(engine, 2)
        found = rows(place)
    assert [row["in.x"] for row in found] == [1, 2]
    assert [row["out.y"] for row in found] == [[2], [4]]
    assert [row["metadata.inference_id"] for row in found] == [first, second]
    assert found[0]["anomaly.count"] == 0
    assert found[0]["metadata.error"] is None
    assert found[0]["time"] <= found[1]["time"]


def test_rows_of_several_engines_and_files_are_the_clients_ledger(
    workshop: Workshop, place: Path
) -> None:
    ledger = []
    pipeline = compiled(workshop)
    for begin in (0, 300):
        with running(workshop, pipeline, flags=["--records", str(place)], workers=2) as engine:
            ledger += asked(engine, range(begin, begin + 300))
            batches = [post([{"x": n}] * 50, NAME) for n in range(4)]
            assert all(a.status == 200 for a in exchange([engine.connect()], batches))
    assert not list(place.rglob("*.arrow"))
    kept = Counter(ids(place))
    assert len(list(place.rglob("*.parquet"))) == 2
    assert all(kept[one] == 1 for one in ledger)
    assert kept.total() == len(ledger) + 400


def test_a_killed_recorder_loses_nothing_and_writes_nothing_twice(
    workshop: Workshop, place: Path
) -> None:
    with running(workshop, compiled(workshop), flags=["--records", str(place)]) as engine:
        ledger = asked(engine, range(200))
        for begin in range(200, 800, 200):
            os.kill(recorder(engine), signal.SIGKILL)
            ledger += asked(engine, range(begin, begin + 200))
            eventually(lambda: balance(engine).written > 0)
        found = settled(engine, 800)
        assert (found.written, sum(found.lost.values())) == (800, 0)
    assert Counter(ids(place)) == Counter(ledger)


def test_what_a_killed_worker_had_in_hand_is_counted(workshop: Workshop, place: Path) -> None:
    with running(workshop, compiled(workshop), flags=["--records", str(place)]) as engine:
        ledger = asked(engine, range(400))
        eventually(lambda: balance(engine).offered == 400)
        os.kill(engine.workers()[0], signal.SIGKILL)
        eventually(lambda: engine.ask("/readyz")[0] == 200 and len(engine.children()) == 3)
        ledger += asked(engine, range(100))
        found = settled(engine, 500)
        kept = ids(place)
    assert len(kept) == found.written == 500 - found.lost["crashed"]
    assert len(set(ledger) - set(kept)) == found.lost["crashed"]
    assert set(kept) <= set(ledger)


def test_what_a_killed_engine_had_in_its_memory_is_counted(
    workshop: Workshop, place: Path, tmp_path: Path
) -> None:
    flags = ["--records", str(place), "--state", str(tmp_path / "state")]
    pipeline = compiled(workshop)
    with running(workshop, pipeline, flags=flags) as engine:
        ledger = asked(engine, range(400))
        kept_before = settled(engine, 400).written
        os.kill(recorder(engine), signal.SIGSTOP)
        lost = asked(engine, range(200))
        eventually(lambda: balance(engine).offered == 600)
        os.killpg(engine.pid, signal.SIGKILL)
        engine.process.wait()
    with running(workshop, pipeline, flags=flags) as engine:
        ledger += asked(engine, range(100))
        found = settled(engine, 700)
        kept = ids(place)
    assert kept_before == 400
    assert (found.written, found.lost["lost"]) == (500, 200)
    assert Counter(kept) == Counter(ledger)
    assert not set(kept) & set(lost)


def test_what_a_full_disk_does_not_take_is_counted_and_the_rest_is_whole(
    workshop: Workshop, place: Path
) -> None:
    with running(workshop, compiled(workshop), flags=["--records", str(place)]) as engine:
        ledger = asked(engine, range(100))
        settled(engine, 100)
        (segment,) = place.rglob("*.arrow")
        room = segment.stat().st_size + 100
        resource.prlimit(recorder(engine), resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
        dropped = asked(engine, range(200))
        assert settled(engine, 300).lost["full"] == 200
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(recorder(engine), resource.RLIMIT_FSIZE, unlimited)
        ledger += asked(engine, range(100))
        assert settled(engine, 400).written == 200
        assert "records are dropped" in engine.log()
    kept = ids(place)
    assert Counter(kept) == Counter(ledger)
    assert not set(kept) & set(dropped)


def test_records_wait_for_a_store_that_is_away(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = S3Server(f"http://{LOOPBACK}:{(port := free_port())}")
    secret_folder(tmp_path / "secrets/keys", server.variables())
    uri = f"s3://{BUCKET}/of/tests"
    pipeline = compiled(workshop, {"sink": {"uri": uri, "secretName": "keys"}})
    flags = ["--state", str(tmp_path / "state"), "--secrets", str(tmp_path / "secrets")]
    with running(workshop, pipeline, flags=flags) as engine:
        ledger = asked(engine, range(250))
    assert "records could not be sent" in engine.log()
    with ExitStack() as stack:
        stack.enter_context(program(server.url, sys.executable, "-c", S3, LOOPBACK, port))
        server.client().create_bucket(Bucket=BUCKET)
        with running(workshop, pipeline, flags=flags) as engine:
            found = settled(engine, 250)
        assert (found.written, sum(found.lost.values())) == (250, 0)
        for name, value in server.variables().items():
            monkeypatch.setenv(name, value)
        assert Counter(ids(uri)) == Counter(ledger)


def of_google(keys: Keys) -> Keys:
    """What opens Cloud Storage for whoever reads records."""
    return {"GOOGLE_SERVICE_ACCOUNT_KEY": keys["key.json"]}


def of_azure(keys: Keys) -> Keys:
    """What opens Azure's blobs for whoever reads records."""
    (text,) = keys.values()
    told = dict(part.split("=", 1) for part in text.split(";") if part)
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": told["AccountName"],
        "AZURE_STORAGE_ACCOUNT_KEY": told["AccountKey"],
        "AZURE_STORAGE_ENDPOINT": told["BlobEndpoint"],
    }


@pytest.mark.full  # the servers take minutes to build
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("scheme", "server", "variables"),
    [("gs", cloud_storage, of_google), ("az", blob_storage, of_azure)],
)
def test_records_go_to_the_stores_of_other_clouds(
    workshop: Workshop,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    server: Callable[[Path, str, dict[str, bytes]], AbstractContextManager[Keys]],
    variables: Callable[[Keys], Keys],
) -> None:
    uri = f"{scheme}://{BUCKET}/of/tests"
    pipeline = compiled(workshop, {"sink": {"uri": uri, "secretName": "keys"}})
    flags = ["--state", str(tmp_path / "state"), "--secrets", str(tmp_path / "secrets")]
    (tmp_path / "place").mkdir()
    with server(tmp_path / "place", BUCKET, {"other": b"of somebody else"}) as keys:
        secret_folder(tmp_path / "secrets/keys", keys)
        with running(workshop, pipeline, flags=flags) as engine:
            ledger = asked(engine, range(250))
        with running(workshop, pipeline, flags=flags) as engine:
            found = settled(engine, 250)
        assert (found.written, sum(found.lost.values())) == (250, 0)
        for name, value in variables(keys).items():
            monkeypatch.setenv(name, value)
        assert Counter(ids(uri)) == Counter(ledger)


def test_lines_on_standard_output_are_rows(workshop: Workshop) -> None:
    pipeline = compiled(workshop, {"sink": {"uri": "stdout:"}})
    with running(workshop, pipeline) as engine:
        ledger = asked(engine, range(120))
        settled(engine, 120)
    said = lines(engine.log())
    assert [line["metadata"]["inference_id"] for line in said] == ledger
    assert said[3]["in"] == {"x": 3}
    assert said[3]["out"] == {"y": [6]}


def test_what_is_left_out_or_hashed_is_nowhere(workshop: Workshop, place: Path) -> None:
    records = {
        "sink": {"uri": place.as_uri()},
        "sample": 1,
        "hash": ["in.x"],
        "exclude": ["out.y"],
    }
    with running(workshop, compiled(workshop, records)) as engine:
        asked(engine, [1, 2, 1])
        settled(engine, 3)
        found = rows(place)
    digests = [row["in.x"] for row in found]
    assert digests[0] == digests[2] != digests[1]
    assert all(len(digest) == 32 for digest in digests)
    assert "out.y" not in found[0]


def test_a_sample_without_inputs(workshop: Workshop, place: Path) -> None:
    records = {"sink": {"uri": place.as_uri()}, "sample": 0.3, "inputs": False}
    with running(workshop, compiled(workshop, records)) as engine:
        ledger = asked(engine, range(1000))
        eventually(lambda: balance(engine).settled)
        found = rows(place)
        assert balance(engine).offered == len(found)
    assert 200 < len(found) < 400
    assert {row["metadata.inference_id"] for row in found} < set(ledger)
    assert not [name for name in found[0] if name.startswith("in.")]


def test_challengers_divided_batches_and_failures_are_rows_too(
    workshop: Workshop, place: Path
) -> None:
    models = {"one": scaled(2.0), "two": failing(3.0), "other": scaled(5.0), "seen": scaled(7.0)}
    split = {
        "hashKey": {"field": "user"},
        "variants": [{"model": "one", "weight": 1}, {"model": "two", "weight": 1}],
    }
    shadow = {"champion": "one", "challengers": [{"model": "other"}]}
    beside = {"champion": "one", "challengers": [{"model": "seen"}], "outputs": "respond"}
    x = {"x": "request.x"}
    steps = [
        {"name": "log", "shadow": shadow},
        {"name": "show", "shadow": {**beside, "budget": "30s"}, "inputs": x},
        {"name": "score", "split": split, "inputs": x},
    ]
    pipeline = compiled(workshop, models=models, steps=steps)
    with running(workshop, pipeline, flags=["--records", str(place)]) as engine:
        users = [{"x": n, "user": f"u{n}"} for n in range(20)]
        (answer,) = exchange([engine.connect()], [post(users, NAME)])
        assert answer.status == 200
        settled(engine, 20, "log.other")
        bad = [{"x": TROUBLE, "user": f"u{n}"} for n in range(20)]
        (refused,) = exchange([engine.connect()], [post(bad, NAME)])
        assert refused.status == 500
        settled(engine, 40)
        found = rows(place, valid=True)
        failed = rows(place, valid=False)
        one = rows(place, variant="score=one", valid=True)
    told = [row["metadata"] for row in answer.json]
    assert [row["metadata.inference_id"] for row in found] == [t["inference_id"] for t in told]
    assert [row["metadata.variants.score"] for row in found] == [
        t["variants"]["score"] for t in told
    ]
    assert [row["in.user"] for row in found] == [f"u{n}" for n in range(20)]
    assert [row["out_other.y"] for row in found] == [[5.0 * n] for n in range(20)]
    assert [row["out_seen.y"] for row in found] == [[7.0 * n] for n in range(20)]
    assert [row["out.y"] for row in found] == [row["out"]["y"] for row in answer.json]
    assert [row["out._model_split"] for row in found] == [
        row["out"]["_model_split"] for row in answer.json
    ]
    assert [row["metadata.row"] for row in one] == [
        n for n, t in enumerate(told) if t["variants"]["score"] == "one"
    ]
    assert {row["metadata.error"] for row in failed} == {"ModelFailed"}
    assert {row["out.y"] for row in failed} == {None}
    assert len(failed) == 20


def test_feedback_stands_beside_the_row_that_it_is_about(workshop: Workshop, place: Path) -> None:
    split = {"variants": [{"model": "one", "weight": 1}, {"model": "two", "weight": 1}]}
    pipeline = compiled(
        workshop,
        models={"one": scaled(2.0), "two": scaled(3.0)},
        steps=[{"name": "score", "split": split}],
        experiment={
            "metrics": [{"name": "paid", "kind": "binary"}, {"name": "spent", "kind": "value"}]
        },
    )
    with running(workshop, pipeline, flags=["--records", str(place)]) as engine:
        ledger = asked(engine, range(20))
        told = [
            {"inferenceId": one, "metric": metric, "value": value}
            for number, one in enumerate(ledger[:10])
            for metric, value in (("paid", number % 2), ("spent", number / 4))
        ]
        body = json.dumps([*told, told[0]]).encode()
        head = f"POST /feedback HTTP/1.1\r\nHost: tests\r\nContent-Length: {len(body)}\r\n\r\n"
        (answer,) = exchange([engine.connect()], [head.encode() + body])
        assert (answer.status, answer.json["accepted"]) == (202, 20)
        settled(engine, 20)
        settled(engine, 20, "feedback")
        found = rows(place)
    assert [row["metadata.inference_id"] for row in found] == ledger
    assert [row["feedback.paid"] for row in found[:10]] == [n % 2 for n in range(10)]
    assert [row["feedback.spent"] for row in found[:10]] == [n / 4 for n in range(10)]
    assert {row["feedback.paid"] for row in found[10:]} == {None}
