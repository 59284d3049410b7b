"""What the images weigh, and that what was left out of them is not missed."""

import pytest

from cluster.node import images
from kubectl import Kubectl
from pods import inside

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

BOUNDS = {"engine": 430, "operator": 150}
"""Megabytes above the base."""

IMPORTS = """
import importlib, pkgutil, sys
import tiltyard_engine

left_out = []
for module in pkgutil.walk_packages(tiltyard_engine.__path__, "tiltyard_engine."):
    if "__main__" in module.name or ".worker" in module.name:
        continue  # programs; what runs beside a model has a path of its own
    try:
        importlib.import_module(module.name)
    except ImportError as error:
        left_out.append(f"{module.name}: {error}")
print(left_out)
"""


@pytest.mark.parametrize("name", sorted(BOUNDS))
@pytest.mark.usefixtures("node")
def test_images_weigh_what_they_may(name: str) -> None:
    megabytes = images.added(images.opened(), images.name_of(name)) / 1e6
    print(f"{name}: {megabytes:.0f} MB above the base")  # noqa: T201 - shown by -rP
    assert 10 < megabytes <= BOUNDS[name]


def test_every_module_of_the_engine_finds_what_it_imports(kubectl: Kubectl) -> None:
    assert inside(kubectl, IMPORTS).splitlines()[-1] == "[]"


def test_the_installer_of_locked_requirements_works(kubectl: Kubectl) -> None:
    said = inside(
        kubectl,
        "import subprocess, sys, tempfile;"
        "home = tempfile.mkdtemp();"
        "subprocess.run([sys.executable, '-I', '-m', 'venv', '--without-pip', home], check=True);"
        "pip = [sys.executable, '-I', '-m', 'pip', '--python', home + '/bin/python'];"
        "print(subprocess.run([*pip, 'list'], check=True, capture_output=True).returncode)",
    )
    assert said.splitlines()[-1] == "0"
