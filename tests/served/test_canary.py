"""Canaries on real engines of several workers: nothing but the engine itself stops a bad one."""

import itertools
import os
import signal
from pathlib import Path

import pytest

from bare_engines import Compiled, Engine, Workshop, running
from canary_engines import ask, predicted, put, ramped, served_by, stage, told
from loopback import Client
from served_models import TROUBLE
from tiltyard_api.routing import CanaryRouting
from waiting import eventually

pytestmark = pytest.mark.served

WORKERS = 2


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def pipeline(workshop: Workshop) -> Compiled:
    return ramped(workshop)


def clients_of(engine: Engine) -> list[Client]:
    """One connection to each worker."""
    clients: dict[str, Client] = {}
    for _ in range(200):
        client = engine.connect()
        worker = ask(client, "somebody", variant="old").headers["X-Tiltyard-Inference-Id"][:16]
        clients.setdefault(worker, client)
        if len(clients) == WORKERS:
            return list(clients.values())
    raise AssertionError(f"{len(clients)} of {WORKERS} workers answer")


def in_force(engine: Engine, pipeline: Compiled, revision: int, routing: CanaryRouting) -> None:
    put(engine, pipeline, revision, routing)
    eventually(lambda: engine.status()["routing"]["revision"] == revision)


def weight(engine: Engine) -> float:
    return engine.metric("tiltyard_variant_weight", variant="new")


def fail(clients: list[Client], most: int) -> int:
    """Send what the candidate fails, until it is asked no more; gives how often it failed."""
    failed = without = 0
    for number, client in enumerate(itertools.cycle(clients)):
        bad = served_by(ask(client, f"user-{number}", TROUBLE)) == "new"
        failed, without = failed + bad, 0 if bad else without + 1
        assert failed <= most
        if without == 40 * WORKERS and failed > 5:
            return failed
    raise AssertionError("unreachable")


@pytest.mark.parametrize("number", [1, 2])
def test_a_failing_candidate_is_off_on_every_worker_after_few_of_its_units(
    workshop: Workshop, pipeline: Compiled, number: int
) -> None:
    share, most = {1: (50, 40), 2: (20, 20)}[number]
    with running(workshop, pipeline, workers=WORKERS) as engine:
        clients = clients_of(engine)
        in_force(engine, pipeline, 2, stage(share))
        assert engine.metric("tiltyard_canary_latched") == 0
        os.kill(min(engine.children()), signal.SIGKILL)  # the management process is not needed
        failed = fail(clients, most)
        found = eventually(lambda: told(engine))
        assert found.latch
        assert (found.latch.by, found.latch.stage) == ("engine", "run-1")
        assert found.counts.candidate.errors.count == failed
        eventually(lambda: engine.metric("tiltyard_canary_latched", variant="new") == 1)
        assert weight(engine) == 0
        assert engine.metric("tiltyard_canary_log_evidence", variant="new") > 5
        assert "a canary is rolled back by this engine" in engine.log()
        assert found.latch.message in engine.log()
        (pinned,) = ask(clients[0], "anybody", variant="new").json
        assert pinned["out"]["y"] == [2]


def test_the_other_workers_heed_what_one_has_found(workshop: Workshop, pipeline: Compiled) -> None:
    with running(workshop, pipeline, workers=WORKERS) as engine:
        busy, idle = clients_of(engine)
        in_force(engine, pipeline, 2, stage(50))
        fail([busy], 40)
        eventually(lambda: engine.metric("tiltyard_canary_latched") == 1)
        assert {served_by(ask(idle, f"user-{n}")) for n in range(50)} == {"old"}


def test_counts_and_latch_outlive_every_process(workshop: Workshop, pipeline: Compiled) -> None:
    users = [f"user-{n}" for n in range(60)]
    flags = ["--state", str(workshop.folder / "state")]
    with running(workshop, pipeline, flags=flags, workers=WORKERS) as engine:
        clients = clients_of(engine)
        in_force(engine, pipeline, 2, stage(50))
        for client, user in zip(itertools.cycle(clients), users, strict=False):
            ask(client, user, TROUBLE if user in users[:10] else 1)
        before = told(engine)
        engine.faults_expected = True
        for worker in engine.workers():
            os.kill(worker, signal.SIGKILL)
        eventually(lambda: engine.log().count("started again") == WORKERS)
        eventually(lambda: engine.ask("/readyz")[0] == 200)
        assert told(engine) == before
        assert before.counts.candidate.units.count + before.counts.stable.units.count == 60
        assert before.counts.candidate.errors.count == sum(
            predicted(user, 50) == "new" for user in users[:10]
        )
        fail(clients_of(engine), 40)
        latched = told(engine)
        assert latched.latch
        os.killpg(engine.pid, signal.SIGKILL)
        engine.process.wait()
    with running(workshop, pipeline, flags=flags, workers=WORKERS) as engine:
        assert told(engine).counts.incarnation == before.counts.incarnation
        assert told(engine) == latched
        clients = clients_of(engine)
        for number in (3, 4):  # whoever has not heard of it goes on with the ramp
            in_force(engine, pipeline, number, stage(100, number))
            assert {served_by(ask(one, user)) for one in clients for user in users} == {"old"}
            assert (weight(engine), told(engine).latch) == (0, latched.latch)
        in_force(engine, pipeline, 5, stage(100, run="another"))
        assert {served_by(ask(one, user)) for one in clients for user in users} == {"new"}
        assert told(engine).latch is None


def test_a_user_gets_the_same_model_everywhere_and_never_goes_back(
    workshop: Workshop, pipeline: Compiled
) -> None:
    users = [f"user-{n}" for n in range(100)]
    with running(workshop, pipeline, workers=WORKERS) as engine:
        clients = clients_of(engine)
        seen: set[str] = set()
        for number, share in enumerate([2.5, 10, 37.5, 60, 100], 1):
            in_force(engine, pipeline, number + 1, stage(share, number))
            if number == 3:
                os.kill(engine.workers()[0], signal.SIGKILL)
                engine.hang_up()
                eventually(lambda: "started again" in engine.log())
                eventually(lambda: engine.ask("/readyz")[0] == 200)
                clients = clients_of(engine)
            by_worker = [
                {user for user in users if served_by(ask(client, user)) == "new"}
                for client in clients
            ]
            expected = {user for user in users if predicted(user, share) == "new"}
            assert by_worker == [expected] * WORKERS
            assert seen <= expected
            seen = expected
        assert engine.log().count("started again") == 1
    assert seen == set(users)
