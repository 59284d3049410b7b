"""Weights that come from a cluster: what is watched, refused, survived."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from bare_engines import HOST, Compiled, Engine, Workshop, running
from configmaps import Cluster, Fault, cluster
from loopback import PATIENCE, Client
from pressure import pressure
from records import post
from tiltyard_engine.metrics import ROUTING_REFUSED
from waiting import eventually
from watched import (
    RECORDS,
    WORKERS,
    all_to,
    clients_of_every_worker,
    config,
    routing,
    two_variants,
    variants,
    wait_for,
    watch_up,
)

pytestmark = pytest.mark.served

DOWN = "routing tables cannot be watched"
BACK = "routing tables are watched again"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def pipeline(workshop: Workshop) -> Compiled:
    return two_variants(workshop)


@pytest.fixture
def told(tmp_path: Path, pipeline: Compiled) -> Iterator[Cluster]:
    """A cluster that says what the mounted table says."""
    with cluster(tmp_path / "cluster") as made:
        made.put(config(pipeline.table))
        yield made


def refusals(engine: Engine, reason: str) -> float:
    return engine.metric("tiltyard_routing_refused_total", reason=reason)


def test_a_change_is_in_force_on_every_worker_soon(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        processes = engine.children()
        clients = clients_of_every_worker(engine)
        took = []
        with pressure(f"http://{HOST}:{engine.port}", "/infer", RECORDS) as load:
            for revision in range(2, 32):
                variant = "ab"[revision % 2]
                table = all_to(pipeline, variant, revision)
                told.put(config(table))
                begun = time.monotonic()
                eventually(lambda: variants(clients) == {variant})  # noqa: B023 - called at once
                took.append(time.monotonic() - begun)
                wait_for(engine, table)
        assert load.lost == []
        assert load.answered > 100
        assert sorted(took)[len(took) // 2] < 5.0, sorted(took)
        found = routing(engine)
        assert found == {
            "revision": 31,
            "hash": table.hash,
            "source": "watch",
            "checkedAt": found["checkedAt"],
            "refused": None,
        }
        assert abs(time.time() - seconds_of(found["checkedAt"])) < 60
        assert engine.children() == processes
        assert watch_up(engine) == 1
        assert {"watch", "resourceVersion", "timeoutSeconds"} == set(told.watches[-1])


def seconds_of(text: str) -> float:
    """Seconds since the epoch of a time as the status spells it."""
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_the_status_is_never_ahead_of_a_worker(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        clients = clients_of_every_worker(engine)
        halted = engine.workers()[0]
        os.kill(halted, signal.SIGSTOP)
        try:
            (lively,) = (client for client in clients if answers_soon(client))
            table = all_to(pipeline, "b", 2)
            told.put(config(table))
            eventually(lambda: variants([lively]) == {"b"})
            found = routing(engine)
            assert (found["revision"], found["hash"]) == (1, pipeline.table.hash)
            assert engine.metric("tiltyard_routing_revision") == 1
        finally:
            os.kill(halted, signal.SIGCONT)
        wait_for(engine, table)
        assert routing(engine)["revision"] == 2


def answers_soon(client: Client) -> bool:
    """Whether a request is answered while one could still wait for it."""
    client.send(post(RECORDS, "watched"))
    if select.select([client.sock], [], [], 1.0)[0]:
        return client.answer().status == 200
    return False


def unfit(pipeline: Compiled) -> dict[str, str]:
    """Texts that are no tables for this engine, which runs revision 5, by the reason."""
    newer = all_to(pipeline, "b", 6)

    def text(**changes: object) -> str:
        changed = newer.model_copy(update={"hash": "", **changes})
        return changed.sealed().model_dump_json(by_alias=True)

    whole = text()
    return {
        "Malformed": whole[: len(whole) // 2],
        "WrongHash": whole.replace('"revision":6', '"revision":7'),
        "OtherPlan": text(plan="0" * 64),
        "OtherPipeline": text(pipeline_uid="someone-else"),
        "OlderRevision": text(revision=5),
        "UnknownVariant": text(steps=pipeline.weigh("price", 6, a=0, z=1).steps),
        "TooLarge": whole + " " * ((1 << 20) - len(whole)),
    }


def test_what_does_not_fit_is_refused_once_and_the_last_good_table_stays(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    key = f"{pipeline.plan.hash}.json"
    texts = unfit(pipeline)
    assert set(texts) == set(ROUTING_REFUSED)
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        clients = clients_of_every_worker(engine)
        good = all_to(pipeline, "a", 5)
        told.put(config(good))
        wait_for(engine, good)
        for reason, text in texts.items():
            told.put({key: text})
            eventually(lambda: refusals(engine, reason) == 1)  # noqa: B023 - called at once
            found = routing(engine)
            assert found["refused"]["reason"] == reason
            assert (found["hash"], found["source"]) == (good.hash, "watch")
            assert variants(clients) == {"a"}
        reads = told.reads
        eventually(lambda: told.reads > reads + 1)
        assert {reason: refusals(engine, reason) for reason in texts} == dict.fromkeys(texts, 1)
        assert watch_up(engine) == 1
        told.put(config(all_to(pipeline, "b", 6)))
        eventually(lambda: variants(clients) == {"b"})
        assert routing(engine)["refused"] is None


def test_only_the_table_of_the_own_plan_counts(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    mine, other = all_to(pipeline, "b", 2), all_to(pipeline, "a", 9)
    other = other.model_copy(update={"plan": "0" * 64, "hash": ""}).sealed()
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        told.put(config(other, mine))
        wait_for(engine, mine)
        told.put(config(other))
        eventually(lambda: "no routing table of this plan" in engine.log())
        told.delete()
        reads = told.reads
        eventually(lambda: told.reads > reads + 1)
        assert engine.log().count("no routing table of this plan") == 1
        assert routing(engine)["hash"] == mine.hash
        newer = all_to(pipeline, "a", 3)
        told.put(config(other, newer))
        wait_for(engine, newer)
        assert sum(refusals(engine, reason) for reason in ROUTING_REFUSED) == 0


@pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.NONE, Fault.BRIEF}, key=str))
def test_no_failure_of_the_api_server_reaches_a_request(
    workshop: Workshop, pipeline: Compiled, told: Cluster, fault: Fault
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        eventually(lambda: watch_up(engine) == 1)
        with pressure(f"http://{HOST}:{engine.port}", "/infer", RECORDS) as load:
            told.fault = fault
            told.put(config(all_to(pipeline, "b", 2)))
            eventually(lambda: watch_up(engine) == 0)
            assert engine.ask("/readyz")[0] == 200
            told.fault = Fault.NONE
            eventually(lambda: routing(engine)["revision"] == 2)
            eventually(lambda: watch_up(engine) == 1)
        assert load.lost == []
        eventually(lambda: engine.log().count(DOWN) == engine.log().count(BACK) > 0)


def test_a_long_outage_is_told_once_and_ends_by_itself(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        eventually(lambda: watch_up(engine) == 1)
        with told.away():
            attempts = told.turned_away
            eventually(lambda: told.turned_away > attempts + 3)
            assert watch_up(engine) == 0
            told.put(config(all_to(pipeline, "b", 2)))
        eventually(lambda: routing(engine)["revision"] == 2)
        eventually(lambda: BACK in engine.log())
        assert engine.log().count(DOWN) == engine.log().count(BACK) == 1


def test_an_api_server_that_ends_every_watch_is_asked_ever_less_often(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    told.fault = Fault.BRIEF
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        table = all_to(pipeline, "b", 2)
        told.put(config(table))
        wait_for(engine, table)
        reads, begun = told.reads, time.monotonic()
        eventually(lambda: told.reads == reads + 3)
        assert time.monotonic() - begun > 1.0
        assert watch_up(engine) == 1


def test_an_engine_begins_with_the_newest_it_knows_when_the_cluster_is_silent(
    workshop: Workshop, pipeline: Compiled, told: Cluster, tmp_path: Path
) -> None:
    flags = [*told.flags, f"--state={tmp_path / 'state'}"]

    def begins_with(fault: Fault) -> tuple[int, str]:
        told.fault = fault
        with running(workshop, pipeline, flags=flags, workers=WORKERS) as engine:
            assert engine.ask("/readyz")[0] == 200
            found = routing(engine)
            assert found["hash"]
            clients = clients_of_every_worker(engine)
            if fault is Fault.NONE:
                wait_for(engine, all_to(pipeline, "b", 4))
                return routing(engine)["revision"], "b"
            assert (found["source"], found["checkedAt"]) == ("file", None)
            (variant,) = variants(clients)
            return found["revision"], variant

    assert begins_with(Fault.FROZEN) == (1, "a")
    pipeline.write_table(all_to(pipeline, "b", 2))
    assert begins_with(Fault.FORBIDDEN) == (2, "b")
    told.put(config(all_to(pipeline, "b", 4)))
    assert begins_with(Fault.NONE) == (4, "b")
    assert begins_with(Fault.FORBIDDEN) == (4, "b")
    pipeline.write_table(all_to(pipeline, "a", 3))
    assert begins_with(Fault.FORBIDDEN) == (4, "b")
    pipeline.routing_file.write_text("{")
    assert begins_with(Fault.FORBIDDEN) == (4, "b")
    pipeline.write_table(all_to(pipeline, "a", 5))
    assert begins_with(Fault.FORBIDDEN) == (5, "a")
    remembered = tmp_path / "state" / "routing.json"
    remembered.write_text("{")
    assert begins_with(Fault.FORBIDDEN) == (5, "a")
    other = all_to(pipeline, "b", 9).model_copy(update={"pipeline_uid": "other", "hash": ""})
    remembered.write_text(other.sealed().model_dump_json(by_alias=True))
    assert begins_with(Fault.FORBIDDEN) == (5, "a")


def test_processes_that_die_come_back_with_the_table_in_force(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        for revision in count(2):
            variant = "ab"[revision % 2]
            table = all_to(pipeline, variant, revision)
            told.put(config(table))
            wait_for(engine, table)
            if revision == 4:
                break
            for child in engine.children():
                os.kill(child, signal.SIGKILL)
            eventually(lambda: engine.log().count("started again") == 3 * (revision - 1))  # noqa: B023
            eventually(lambda: all_ready(engine))
            engine.hang_up()
            assert variants(clients_of_every_worker(engine)) == {variant}
            eventually(lambda: routing(engine)["source"] == "watch")
        assert sum(refusals(engine, reason) for reason in ROUTING_REFUSED) == 0


def all_ready(engine: Engine) -> bool:
    try:
        return engine.ask("/readyz")[0] == 200
    except OSError:  # the management process itself is on its way back
        return False


def test_what_is_still_answered_at_the_end_goes_by_the_newest_table(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=1, drain_delay="3s") as engine:
        eventually(lambda: watch_up(engine) == 1)
        engine.process.send_signal(signal.SIGTERM)
        eventually(lambda: engine.ask("/readyz")[0] == 503)
        told.put(config(all_to(pipeline, "b", 2)))
        eventually(lambda: variants([engine.connect()]) == {"b"})
        assert engine.process.wait(PATIENCE) == 0


def test_no_process_dies_of_being_told(workshop: Workshop, pipeline: Compiled) -> None:
    with running(workshop, pipeline, workers=WORKERS) as engine:
        os.kill(engine.workers()[0], signal.SIGKILL)
        eventually(lambda: "started again" in engine.log())
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            engine.process.send_signal(signal.SIGHUP)
            time.sleep(0.0005)
        eventually(lambda: all_ready(engine))
        assert engine.log().count("started again") == 1


def test_a_token_that_is_changed_is_read_anew(
    workshop: Workshop, pipeline: Compiled, told: Cluster
) -> None:
    with running(workshop, pipeline, flags=told.flags, workers=WORKERS) as engine:
        told.change_token("second")
        table = all_to(pipeline, "b", 2)
        told.put(config(table))
        wait_for(engine, table)
        told.token = "third"  # noqa: S105 - of nobody; before the file says so
        eventually(lambda: "401: Unauthorized" in engine.log())
        told.change_token("third")
        eventually(lambda: BACK in engine.log())


def test_a_cluster_with_another_certificate_is_not_believed(
    workshop: Workshop, pipeline: Compiled, told: Cluster, tmp_path: Path
) -> None:
    with cluster(tmp_path / "impostor") as impostor:
        flags = [*told.flags, f"--api-ca={impostor.ca_file}"]
        with running(workshop, pipeline, flags=flags, workers=WORKERS) as engine:
            eventually(lambda: "certificate verify failed" in engine.log())
            assert told.reads == 0
            assert routing(engine)["source"] == "file"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--watch-configmap=trials/routing"], "needs --api-server outside a pod"),
        (["--watch-configmap=routing"], "'routing' is not of the form NAMESPACE/NAME"),
        (["--watch-configmap=a/../b"], "is not of the form NAMESPACE/NAME"),
        (["--api-server=http://10.0.0.1:6443"], "is not of the form https://HOST:PORT"),
        (["--api-server=https://10.0.0.1:x"], "is no address"),
        (["--watch-period=often"], "often"),
    ],
)
def test_wrong_flags_are_refused_in_words(
    workshop: Workshop, pipeline: Compiled, flags: list[str], says: str
) -> None:
    command = workshop.command([pipeline], *flags)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")
    }
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, env=environment
    )
    assert done.returncode == 2
    assert says in done.stderr
