"""The plan: everything an engine must load to serve a Pipeline, and nothing of Kubernetes.

A new plan is a new pod template. What may change while pods run is in the routing table.
"""

from typing import Annotated, Literal

from pydantic import Field

from tiltyard_api.base import Contract, digest
from tiltyard_api.names import pipeline_version
from tiltyard_api.tensors import TensorSpec, TensorType
from tiltyard_api.v1alpha1.experiment import MetricKind
from tiltyard_api.v1alpha1.models import Batch, Framework


class PlanTensor(TensorSpec):
    """An input or output of a model, with the name that the graph itself uses."""

    graph_name: str
    """What onnxruntime is asked for."""


class PlanModel(Contract):
    """A model, pinned to the bytes that were resolved."""

    name: str
    framework: Framework
    digest: str
    """SHA-256 of the artifact; the engine finds it under this name."""

    size: int
    """Bytes of the artifact."""

    version: str
    inputs: tuple[PlanTensor, ...]
    outputs: tuple[PlanTensor, ...]
    batch: Batch
    row_dimension: bool
    """Whether the graph's tensors have a dimension of rows in front."""

    threads: int
    timeout: float
    """Seconds that one call may take."""

    memory: int | None = None
    """Bytes that one worker of a Python model may take."""

    workers: int | None = None
    """Processes of a Python model."""


class RequestTensor(Contract):
    """A tensor that the steps take from the request."""

    key: str
    """How the steps of the plan refer to it."""

    type: TensorType
    shape: tuple[int, ...]
    columns: tuple[str, ...]
    """The record columns it is made of: one that holds it whole, or scalars to stack."""

    stacked: bool
    """True: `columns` are scalars, stacked into one dimension."""


class TensorSource(Contract):
    """Where a step finds one of its inputs."""

    input: str
    """Name of the input."""

    step: str | None = None
    """The earlier step that gives it; None: the request."""

    key: str
    """Name among that step's outputs, or key among the request's tensors."""


class PlanHashKey(Contract):
    """What ties a unit to a variant."""

    field: str | None = None
    header: str | None = None
    missing: Literal["random", "first", "reject"]


class PlanStep(Contract):
    """What every kind of step has."""

    name: str
    inputs: tuple[TensorSource, ...]
    outputs: tuple[TensorSpec, ...]


class PlanModelStep(PlanStep):
    """Runs one model."""

    kind: Literal["model"] = "model"
    model: str


class PlanDrawn(PlanStep):
    """What every step that draws a variant for each unit has."""

    hash_key: PlanHashKey | None = None
    salt: str


class PlanSplit(PlanDrawn):
    """Divides requests between variants; the weights are in the routing table."""

    kind: Literal["split"] = "split"
    variants: tuple[str, ...]


class PlanCanary(PlanDrawn):
    """Gives a part of the requests to a candidate; stage and guards are in the routing table."""

    kind: Literal["canary"] = "canary"
    stable: str
    candidate: str

    @property
    def variants(self) -> tuple[str, str]:
        """In the order of their intervals: the candidate's grows and never gives a user back."""
        return self.candidate, self.stable


class PlanInterleave(PlanDrawn):
    """Makes one list of what two rankers give; nothing of it changes while pods run."""

    kind: Literal["interleave"] = "interleave"
    variants: tuple[str, str]
    """The rankers."""

    output: str
    """Name of the list, theirs and ours; behind it comes an output that tells whose places are."""

    length: int


class PlanShadow(PlanStep):
    """Runs challengers beside a champion; the sampling is in the routing table."""

    kind: Literal["shadow"] = "shadow"
    champion: str
    challengers: tuple[str, ...]
    respond: bool
    budget: float
    """Seconds that an answer waits for challengers."""

    timeout: float
    """Seconds that a challenger may run."""

    compare_output: str | None = None
    tolerance: float
    threshold: float | None = None
    """Numbers from here on are a yes; None: it is not counted who says yes."""

    keep: int | None = None
    """How many of the worst disagreements are kept; None: none."""


class PlanMetric(Contract):
    """An outcome that feedback tells of."""

    name: str
    kind: MetricKind


class PlanScore(Contract):
    """The output that labels are compared with."""

    metric: str
    """Whose labels they are."""

    step: str
    output: str
    threshold: float
    """Scores from here on count as yes."""


class PlanExperiment(Contract):
    """What feedback is summed up by; how it is judged is no affair of the engine."""

    step: str
    """The step whose variants are compared."""

    metrics: tuple[PlanMetric, ...]
    score: PlanScore | None = None


class PlanValidation(Contract):
    """What is wrong with a row of which its expression is true."""

    name: str
    expression: str


AnyPlanStep = Annotated[
    PlanModelStep | PlanSplit | PlanShadow | PlanCanary | PlanInterleave,
    Field(discriminator="kind"),
]


class PlanRecords(Contract):
    """What is written down of inferences, and where."""

    uri: str
    secret: str | None = None
    sample: float
    inputs: bool
    exclude: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    keep_size: int
    """Bytes of files in a folder, at most."""

    keep_for: float
    """Seconds that files in a folder stay."""


class Plan(Contract):
    """What an engine loads for one Pipeline."""

    namespace: str
    pipeline: str
    models: tuple[PlanModel, ...]
    request: tuple[RequestTensor, ...]
    steps: tuple[AnyPlanStep, ...]
    experiment: PlanExperiment | None = None
    records: PlanRecords | None = None
    """None: nothing, but for what whoever starts the engine says."""

    validations: tuple[PlanValidation, ...] | None = None

    @property
    def key_fields(self) -> tuple[str, ...]:
        """Columns of requests that hold hash keys, each once."""
        keys = [step.hash_key for step in self.steps if isinstance(step, PlanDrawn)]
        return tuple(dict.fromkeys(key.field for key in keys if key and key.field))

    @property
    def hash(self) -> str:
        """SHA-256 of the plan: two plans are the same exactly if their hashes are."""
        return digest(self)

    @property
    def version(self) -> str:
        """The Pipeline's version as answers tell it."""
        return pipeline_version(self.hash)
