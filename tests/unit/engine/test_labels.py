"""What answers say of who served them, where there are more combinations than can be kept."""

from itertools import islice, product

from tiltyard_api.plan import Plan, PlanModel, PlanSplit
from tiltyard_api.v1alpha1.models import Batch, Framework
from tiltyard_engine.codecs.answers import AnswersWriter
from tiltyard_engine.codecs.labels import KEPT, Labeller

NAMES = tuple(f"m{number}" for number in range(16))
STEPS = tuple(f"s{number}" for number in range(4))


def model(name: str) -> PlanModel:
    return PlanModel(
        name=name,
        framework=Framework.ONNX,
        digest="0" * 64,
        size=0,
        version=f"version of {name}",
        inputs=(),
        outputs=(),
        batch=Batch.ROWS,
        row_dimension=True,
        threads=1,
        timeout=1,
    )


def test_however_many_combinations_of_variants_there_are_a_bounded_number_is_kept() -> None:
    steps = tuple(
        PlanSplit(name=name, inputs=(), outputs=(), salt=name, variants=NAMES) for name in STEPS
    )
    plan = Plan(
        namespace="default",
        pipeline="p",
        models=tuple(map(model, NAMES)),
        request=(),
        steps=steps,
    )
    labeller, writer = Labeller(plan), AnswersWriter(plan, "engine")
    for chosen in islice(product(NAMES, repeat=len(STEPS)), 0, None, 13):
        served = dict(zip(STEPS, chosen, strict=True))
        labels = labeller.named(served)
        assert labels.variants_json in writer._frame(labels).end
        assert labels.variants == served
        assert f'"name":"{chosen[-1]}","version":"version of {chosen[-1]}"' in (labels.split or "")
    assert max(len(labeller._labels), len(writer._frames)) <= KEPT
