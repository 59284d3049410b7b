"""Who is measured: the engine through its command line, and each peer as its users run it."""

import json
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from peers.environments import environment
from servers import HOST, Server, free_ports

PEERS = Path(__file__).with_name("peers")
OUTPUTS_ONLY = "records-outputs"
"""Records answered as every peer answers: with the scores alone, not with inputs and metadata."""

PEER_NAMES = ("mlserver-no-workers", "mlserver", "mosec-batching")


def tiltyard(
    manifest: Path, *, name: str | None = None, workers: int = 1, grpc: bool = False
) -> Server:
    """Serve a manifest by the command line; its Pipeline is named as the file unless told."""
    port, management_port, grpc_port = free_ports(3)
    pipeline = name or manifest.stem
    own, open_inference = f"/pipelines/{pipeline}", f"/v2/models/{pipeline}/infer"
    return Server(
        name=f"tiltyard-{pipeline}",
        command=[
            *(str(Path(sys.executable).with_name("tiltyard")), "serve", str(manifest)),
            *("--host", HOST, "--port", str(port), "--management-port", str(management_port)),
            *("--workers", str(workers), "--records", "off"),  # peers keep none
            *(("--grpc-port", str(grpc_port)) if grpc else ()),
        ],
        port=port,
        paths={
            "records": own,
            OUTPUTS_ONLY: f"{own}?dataset%5B%5D=out",
            "arrow": own,
            "v2": open_inference,
            "v2-binary": open_inference,
        },
        dialect="records",
        management_port=management_port,
        grpc_port=grpc_port,
    )


def peer(name: str, model: Path, folder: Path) -> Server:
    """Serve a model by the peer of that name."""
    if name == "mosec-batching":
        return _mosec(model, folder)
    if name == "kserve":
        return _kserve(model, folder)
    if name == "pytriton":
        return _pytriton(model, folder)
    return _mlserver(model, folder, workers=0 if name == "mlserver-no-workers" else 1)


def _mlserver(model: Path, folder: Path, workers: int) -> Server:
    """MLServer with its access log off; one worker process is what it comes with."""
    port, grpc_port, metrics_port = free_ports(3)
    home = folder / f"mlserver-{model.stem}-{workers}"
    home.mkdir(parents=True, exist_ok=True)
    settings = {
        "debug": False,
        "host": HOST,
        "http_port": port,
        "grpc_port": grpc_port,
        "metrics_port": metrics_port,
        "metrics_dir": str(home / "metrics"),
        "environments_dir": str(home / "environments"),
        "parallel_workers": workers,
    }
    model_settings = {"name": model.stem, "implementation": "mlserver_runtime.OnnxModel"}
    (home / "settings.json").write_text(json.dumps(settings))
    (home / "model-settings.json").write_text(json.dumps(model_settings))
    return Server(
        name="mlserver" if workers else "mlserver-no-workers",
        command=[str(environment("mlserver", folder) / "mlserver"), "start", str(home)],
        port=port,
        paths=_open_inference(model, "v2"),
        dialect="v2",
        grpc_port=grpc_port,
        environment=_told(model),
    )


def _mosec(model: Path, folder: Path) -> Server:
    """Run mosec with its dynamic batching on, the form that comes closest."""
    (port,) = free_ports(1)
    python = environment("mosec", folder) / "python"
    return Server(
        name="mosec-batching",
        command=[
            *(str(python), str(PEERS / "mosec_service.py")),
            *("--address", HOST, "--port", str(port), "--log-level", "error"),
        ],
        port=port,
        paths={"matrix": "/inference"},
        dialect="matrix",
        environment=_told(model),
    )


def _kserve(model: Path, folder: Path) -> Server:
    """KServe's SDK. It takes binary tensors too, but turns them into lists: JSON is faster."""
    (port,) = free_ports(1)
    python = environment("kserve", folder) / "python"
    return Server(
        name="kserve",
        command=[str(python), str(PEERS / "kserve_model.py"), "--port", str(port)],
        port=port,
        paths=_open_inference(model, "v2"),
        dialect="v2",
        environment=_told(model),
    )


def _pytriton(model: Path, folder: Path) -> Server:
    """Triton by its Python binding; it unpacks itself at every start, here where that is found."""
    ports = free_ports(3)
    home = folder / "pytriton"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    python = environment("pytriton", folder) / "python"
    options = zip(("--port", "--grpc-port", "--metrics-port"), map(str, ports), strict=True)
    return Server(
        name="pytriton",
        command=[
            *(str(python), str(PEERS / "pytriton_model.py")),
            *(word for option in options for word in option),
        ],
        port=ports[0],
        paths=_open_inference(model, "v2", "v2-binary"),
        dialect="v2",
        environment=_told(model)
        | {"PYTRITON_HOME": str(home), "TMPDIR": str(home)}
        | _own_libpython(),
    )


def _open_inference(model: Path, *dialects: str) -> Mapping[str, str]:
    """Say where every server of the Open Inference Protocol takes requests."""
    return dict.fromkeys(dialects, f"/v2/models/{model.stem}/infer")


def _told(model: Path) -> dict[str, str]:
    """Tell the scripts in `peers/` what to serve."""
    return {"PYTHONPATH": str(PEERS), "BENCH_MODEL": str(model), "BENCH_NAME": model.stem}


def _own_libpython() -> dict[str, str]:
    """Lead Triton's stub to the library of the Python that the model runs in.

    The stub asks for libpython by its bare name, and the system's may be another build: then the
    model's start crashes. A Python without the library of its own is left to the system's.
    """
    library = Path(sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("INSTSONAME"))
    return {"LD_LIBRARY_PATH": str(library.parent)} if library.is_file() else {}
