"""What a Pipeline does is the same through every face: one table of cases, run over all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import spoken_binary
from planes import Plane, opened, shadow, split
from served_models import TROUBLE, failing, not_a_number, scaled
from spoken import FACES, NAME, Asked, Face
from tiltyard_core.draws import keyed_draw
from tiltyard_engine.sizes import Sizes

Spoken = Face | spoken_binary.GrpcFace

face = pytest.mark.parametrize("face", [*FACES, *spoken_binary.FACES], ids=lambda face: face.name)
TENSORS = ("v2", "grpc")
"""Protocols in which a challenger that gave nothing has no tensor, but is named."""

XS = [1.5, -2.0, 0.1, 3e38]
IDS = [f"order-{number}" for number in range(12)]


@pytest.fixture
def halves(tmp_path: Path) -> Iterator[Plane]:
    """One half of the requests gets x, the other -x."""
    with opened(tmp_path, {"a": scaled(1), "b": scaled(-1)}, [split("a", "b")]) as plane:
        yield plane


@contextmanager
def keyed(folder: Path, **key: object) -> Iterator[Plane]:
    steps = [split("a", "b", **key)]
    with opened(folder, {"a": scaled(1), "b": scaled(-1)}, steps) as plane:
        yield plane


def sign(key: str) -> float:
    """What the variant of a key multiplies by."""
    return 1.0 if keyed_draw(f"default/{NAME}/price", key) < 2**63 else -1.0


@face
def test_numbers_keep_their_bits(tmp_path: Path, face: Spoken) -> None:
    with opened(tmp_path, {"a": scaled(1)}) as plane:
        told = face.ask(plane, Asked(XS))
        assert np.float32(told.ys).tobytes() == np.float32(XS).tobytes()
        assert told.answer.headers["X-Tiltyard-Inference-Id"]


@face
def test_each_row_goes_where_its_key_leads(tmp_path: Path, face: Spoken) -> None:
    users = [f"rider-{number}" for number in range(16)]
    with keyed(tmp_path, field="user") as plane:
        told = face.ask(plane, Asked([1.0] * len(users), users))
        assert told.ys == [sign(user) for user in users]
        assert len(set(told.ys)) == 2
        assert "rows=" in told.answer.headers["X-Tiltyard-Variant"]


@face
def test_a_missing_key_is_refused_where_it_must_be_there(tmp_path: Path, face: Spoken) -> None:
    with keyed(tmp_path, field="user", missing="reject") as plane:
        told = face.ask(plane, Asked([1.0]))
        assert (told.status, told.reason) == (400, "HashKeyMissing")
        assert face.ask(plane, Asked([1.0], ["somebody"])).ys == [sign("somebody")]


@face
def test_the_clients_own_id_draws(halves: Plane, face: Spoken) -> None:
    for own_id in IDS:
        for _ in range(2):  # a retry too
            assert face.ask(halves, Asked([1.0], own_id=own_id)).ys == [sign(own_id)]


@face
def test_a_pin_reaches_a_variant_without_weight(tmp_path: Path, face: Spoken) -> None:
    steps = [split("a", "b", weights=[1, 0])]
    with opened(tmp_path, {"a": scaled(1), "b": scaled(-1)}, steps) as plane:
        told = face.ask(plane, Asked([1.0], pin="price=b"))
        assert told.ys == [-1.0]
        assert told.answer.headers["X-Tiltyard-Variant"] == "price=b"
        assert plane.count("tiltyard_pinned_requests_total", "price") == 1


@face
@pytest.mark.parametrize("pin", ["price=c", "prize=a", "price"])
def test_a_pin_that_leads_nowhere_is_refused(halves: Plane, face: Spoken, pin: str) -> None:
    told = face.ask(halves, Asked([1.0], pin=pin))
    assert (told.status, told.reason) == (400, "UnknownVariant")


@face
def test_a_challenger_answers_beside_the_champion(tmp_path: Path, face: Spoken) -> None:
    steps = [shadow("a", "other", outputs="respond", budget="20s", timeout="20s")]
    with opened(tmp_path, {"a": scaled(1), "other": scaled(10)}, steps) as plane:
        told = face.ask(plane, Asked([1.0, 2.0]))
        assert (told.ys, told.beside) == ([1.0, 2.0], [10.0, 20.0])


@face
def test_a_challenger_that_gives_nothing_leaves_a_gap(tmp_path: Path, face: Spoken) -> None:
    steps = [shadow("a", "other", outputs="respond", budget="20s", timeout="20s")]
    with opened(tmp_path, {"a": scaled(1), "other": failing()}, steps) as plane:
        told = face.ask(plane, Asked([TROUBLE]))
        assert told.ys == [TROUBLE]
        assert told.beside == ([] if face.protocol in TENSORS else [None])
        assert told.absent == ("other" if face.protocol in TENSORS else "")


@face
def test_a_model_that_fails_is_told_and_the_next_request_is_fine(
    tmp_path: Path, face: Spoken
) -> None:
    with opened(tmp_path, {"a": failing()}) as plane:
        told = face.ask(plane, Asked([TROUBLE]))
        assert (told.status, told.reason) == (face.failed, "ModelFailed")
        assert "run-a" in (told.message or "")
        assert face.ask(plane, Asked([1.0])).ys == [1.0]
        for code, count in ((face.failed, 1), (200, 1)):
            assert plane.count("tiltyard_requests_total", face.protocol, str(code)) == count


@face
def test_what_is_not_a_number_is_missing_and_counted(tmp_path: Path, face: Spoken) -> None:
    with opened(tmp_path, {"a": not_a_number()}) as plane:
        assert face.ask(plane, Asked([TROUBLE])).ys == [None]
        assert plane.count("tiltyard_nonfinite_outputs_total", "run-a", "a") == 1


@face
def test_an_engine_that_ends_sends_its_clients_on(halves: Plane, face: Spoken) -> None:
    halves.app.drain()
    told = face.ask(halves, Asked([1.0]))
    assert (told.status, told.reason) == (503, "Draining")
    assert told.answer.headers["Retry-After"]


@face
def test_too_many_rows_are_refused(tmp_path: Path, face: Spoken) -> None:
    with opened(tmp_path, {"a": scaled(1)}, sizes=Sizes(rows=3)) as plane:
        told = face.ask(plane, Asked([1.0] * 4))
        assert (told.status, told.reason) == (413, "TooManyRows")
        assert face.ask(plane, Asked([1.0] * 3)).ys == [1.0] * 3
