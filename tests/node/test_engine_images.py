"""Another image of the engine rolls every Pipeline; one that is not there harms none."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bikes import NAME, await_condition, await_ready, condition
from cluster.node.images import name_of, tag
from helm import Helm
from installed import images, install
from kubectl import Kubectl
from pods import ROLLS_SECONDS, engines
from waiting import await_that

Object = dict[str, Any]
UnderTraffic = Callable[[Callable[[], None]], None]

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("node"),
    pytest.mark.full,
    pytest.mark.usefixtures("pipeline"),
]

BREAKS_THE_NODE = True
"""It has one operator, and this is a setting of it. See `turn` in conftest.py."""

NEXT = "localhost/tiltyard-engine:next"
MISSING = "localhost/tiltyard-engine:missing"


@pytest.fixture
def use(helm: Helm, tiltyard: Kubectl, kubectl: Kubectl) -> Iterator[Callable[[str], None]]:
    """Upgrade the release to another image of the engine."""

    def upgrade(engine: str) -> None:
        install(helm, tiltyard, *images(engine))

    yield upgrade
    upgrade(name_of("engine"))
    await_that(lambda: set(running(kubectl)) == {name_of("engine")}, ROLLS_SECONDS)


def running(kubectl: Kubectl) -> list[str]:
    """Give the image of each pod that there is, on its way out or not."""
    pods = kubectl.get("pods", "--selector=app.kubernetes.io/name=tiltyard-engine")["items"]
    return [one["spec"]["containers"][0]["image"] for one in pods]


def test_another_image_rolls_without_a_failed_request(
    kubectl: Kubectl, under_traffic: UnderTraffic, use: Callable[[str], None]
) -> None:
    tag(name_of("engine"), NEXT)

    def roll() -> None:
        use(NEXT)
        await_that(lambda: running(kubectl) == [NEXT, NEXT], ROLLS_SECONDS)
        await_ready(kubectl, ROLLS_SECONDS)

    under_traffic(roll)


def test_an_image_that_is_missing_leaves_the_old_pods_serving(
    kubectl: Kubectl, under_traffic: UnderTraffic, use: Callable[[str], None]
) -> None:
    before = {one["metadata"]["uid"] for one in engines(kubectl)}

    def told() -> bool:
        stalled = condition(kubectl.get("typ", NAME), "Stalled")
        return stalled.get("status") == "True" and MISSING in stalled["message"]

    def spoil() -> None:
        use(MISSING)
        await_that(told, ROLLS_SECONDS)
        await_condition(kubectl, "Available", "True", "Serving", seconds=ROLLS_SECONDS)
        use(name_of("engine"))
        await_ready(kubectl, ROLLS_SECONDS)

    under_traffic(spoil)
    assert before == {one["metadata"]["uid"] for one in engines(kubectl)}, "no pod was replaced"
