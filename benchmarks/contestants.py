"""Who is measured: the engine through its command line, and each peer as its users run it."""

import json
import sys
from pathlib import Path

from peers.environments import environment
from servers import HOST, Server, free_ports

PEERS = Path(__file__).with_name("peers")
PEER_NAMES = ("mlserver-no-workers", "mlserver", "mosec-batching")


def tiltyard(manifest: Path, *, name: str | None = None, workers: int = 1) -> Server:
    """Serve a manifest by the command line; its Pipeline is named as the file unless told."""
    port, management_port = free_ports(2)
    pipeline = name or manifest.stem
    return Server(
        name=f"tiltyard-{pipeline}",
        command=[
            *(str(Path(sys.executable).with_name("tiltyard")), "serve", str(manifest)),
            *("--host", HOST, "--port", str(port), "--management-port", str(management_port)),
            *("--workers", str(workers)),
        ],
        port=port,
        path=f"/pipelines/{pipeline}",
        dialect="records",
        management_port=management_port,
    )


def peer(name: str, model: Path, folder: Path) -> Server:
    """Serve a model by the peer of that name."""
    if name == "mosec-batching":
        return _mosec(model, folder)
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
        path=f"/v2/models/{model.stem}/infer",
        dialect="v2",
        environment={"PYTHONPATH": str(PEERS), "BENCH_MODEL": str(model)},
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
        path="/inference",
        dialect="matrix",
        environment={"PYTHONPATH": str(PEERS), "BENCH_MODEL": str(model)},
    )
