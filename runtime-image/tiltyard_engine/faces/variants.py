"""Variants that requests ask for: by header, by path, by another protocol's word for them."""

from collections.abc import Mapping
from functools import lru_cache

from tiltyard_api.plan import Plan, PlanDrawn
from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.metrics import variants_of

VARIANT = b"x-tiltyard-variant"

REMEMBERED = 128
"""Values of headers whose meaning is kept: each may have 32 KiB, and there is no end of them."""

Pins = Mapping[str, str]
"""Variants by step."""


@lru_cache(REMEMBERED)
def read_pins(value: bytes) -> Pins:
    """Read `step=model`, several with commas.

    Raises:
        Refusal: UnknownVariant, the header has another form, or pins a step twice.

    """
    pins: dict[str, str] = {}
    for part in value.decode("latin-1").split(",") if value else ():
        step, equals, variant = part.strip().partition("=")
        if not equals:
            raise Refusal(
                Reason.UNKNOWN_VARIANT,
                f"{part.strip()!r} is not of the form step=model: correct it",
                field="X-Tiltyard-Variant",
            )
        if pins.setdefault(step, variant) != variant:
            raise Refusal(
                Reason.UNKNOWN_VARIANT,
                f"step {step!r} is pinned to {pins[step]!r} and {variant!r}: ask for one of them",
                field="X-Tiltyard-Variant",
            )
    return pins


class Variants:
    """The variants of a Pipeline that clients may name without naming a step."""

    def __init__(self, plan: Plan) -> None:
        self._pipeline = plan.pipeline
        drawn = [step for step in plan.steps if isinstance(step, PlanDrawn)]
        self.step = drawn[0].name if len(drawn) == 1 else ""
        """The only step that draws; empty: there is none, or several."""
        self.names = variants_of(drawn[0]) if len(drawn) == 1 else ()
        self._drawn = [step.name for step in drawn]

    def pin(self, name: str, field: str) -> Pins:
        """Pin the only step that draws.

        Raises:
            Refusal: UnknownVariant, naming what there is.

        """
        if name in self.names:
            return {self.step: name}
        if self.names:
            known = f"there: {', '.join(self.names)}"
        elif self._drawn:
            known = f"steps {', '.join(self._drawn)} have variants: pin by X-Tiltyard-Variant"
        else:
            known = "none of its steps has variants"
        message = f"{self._pipeline!r} has no variant {name[:64]!r} ({known}): correct or omit it"
        raise Refusal(Reason.UNKNOWN_VARIANT, message, field=field)


def agreed(pins: Pins, more: Pins, where: str) -> Pins:
    """Pins of the header and of another place together.

    Raises:
        Refusal: UnknownVariant, when they contradict each other.

    """
    for step, variant in more.items():
        if pins.get(step, variant) != variant:
            raise Refusal(
                Reason.UNKNOWN_VARIANT,
                f"{where} asks for {variant!r}, X-Tiltyard-Variant for {pins[step]!r}:"
                " ask for one of them",
                field="X-Tiltyard-Variant",
            )
    return {**pins, **more}
