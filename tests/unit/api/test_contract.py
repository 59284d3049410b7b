"""The small parts: reasons, names, quantities, tensors, faults."""

import pytest

from makers import make_document
from tiltyard_api import names
from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.quantities import quantity_bytes, seconds
from tiltyard_api.reasons import STATUS_OF, Reason
from tiltyard_api.tensors import TensorSpec, TensorType
from tiltyard_api.v1alpha1.status import PipelineStatus


def test_every_reason_has_one_status() -> None:
    assert set(STATUS_OF) == set(Reason)
    assert set(STATUS_OF.values()) == {
        *(400, 401, 404, 405, 406, 408, 409, 410, 413, 414, 415, 431, 500, 503, 504)
    }


def test_reasons_are_spelt_as_their_names() -> None:
    for reason in Reason:
        assert reason.value == reason.name.title().replace("_", "")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("50ms", 0.05),
        ("10s", 10),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("0.1s", 0.1),
        ("1m1s1ms", 61.001),
    ],
)
def test_durations_are_seconds(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "5s\n", "1d", "1e3s", "\N{ARABIC-INDIC DIGIT FIVE}s", "5S"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write for example 50ms"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("512Mi", 512 * 2**20),
        ("1Gi", 2**30),
        ("1.5Gi", 3 * 2**29),
        ("2Ti", 2**41),
        ("100", 100),
        ("1k", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("4Ki", 4096),
    ],
)
def test_quantities_are_bytes(text: str, wanted: int) -> None:
    assert quantity_bytes(text) == wanted


@pytest.mark.parametrize("text", ["", "Gi", "1GB", "-1Gi", "1 Gi", "1Gi\n", "1gi", "500m"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity; write for example 512Mi"):
        quantity_bytes(text)


def test_identities_are_fixed_for_ever() -> None:
    assert names.local_uid("default", "p") == "bfa8e0e6-ec59-5c1e-a4e6-30919decc9d1"
    assert names.model_version("m", "d", "{}") == "de9646b1-17ea-50b1-90ee-eb437ffbc633"
    assert names.pipeline_version("h") == "2f36e0df-2e86-5eda-a0e4-e411d22f4c28"


def test_derived_names_that_pods_carry_fit_into_a_label() -> None:
    assert len("p" * 50 + "-r-") + names.HASH_CHARACTERS == 63


@pytest.mark.parametrize(
    ("wanted", "given", "takes"),
    [
        ((), (), True),
        ((4,), (4,), True),
        ((4,), (5,), False),
        ((4,), (-1,), True),
        ((-1,), (4,), True),
        ((4,), (4, 1), False),
    ],
)
def test_shapes_fit_where_no_length_differs(
    wanted: tuple[int, ...], given: tuple[int, ...], *, takes: bool
) -> None:
    one = TensorSpec(name="x", type=TensorType.FLOAT32, shape=wanted)
    assert one.takes(TensorSpec(name="y", type=TensorType.FLOAT32, shape=given)) is takes
    assert not one.takes(TensorSpec(name="y", type=TensorType.FLOAT64, shape=given))


def test_tensors_are_shown_with_open_lengths() -> None:
    assert TensorSpec(name="x", type=TensorType.UINT8, shape=(-1, 3)).text() == "uint8[?,3]"


def test_faults_are_shown_in_one_line() -> None:
    faults = [Fault("spec.a", "is wrong: mend it"), Fault("spec.b", "is required: add it")]
    assert str(InvalidManifest(faults)) == (
        "spec.a: is wrong: mend it; spec.b: is required: add it"
    )


def test_status_and_foreign_metadata_are_never_input() -> None:
    changes = {"status": {"phase": "?"}, "metadata.labels": {"a": "b"}, "metadata.uid": "u"}
    assert read_pipeline(make_document(changes)).metadata.uid == "u"


@pytest.mark.parametrize("path", ["spec.steps[1].split", "spec.steps[0].split.hashKey"])
def test_an_empty_optional_field_counts_as_absent(path: str) -> None:
    absent = read_pipeline(make_document({path: None}))
    assert absent == read_pipeline(make_document({path: None}, remove=[path]))


def test_a_status_of_a_newer_operator_is_readable() -> None:
    status = PipelineStatus.model_validate({"observedGeneration": 3, "moon": "full"})
    assert status.observed_generation == 3
    assert PipelineStatus().observed_generation == -1
