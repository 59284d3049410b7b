"""MLServer's own pool of parallel workers, asked in process: no HTTP on the way, as beside it.

Started with the shapes as JSON; then each line of standard input names one and how often to ask.
"""

import asyncio
import json
import sys
import tempfile

import numpy as np
from mlserver import MLModel, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.parallel import InferencePoolRegistry
from mlserver.types import InferenceRequest, InferenceResponse
from python_function import process_data


class Function(MLModel):
    """Run the function on what MLServer decodes, as its documentation teaches."""

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        outputs = process_data({"x": NumpyCodec.decode_input(payload.inputs[0])})
        return InferenceResponse(
            model_name=self.name, outputs=[NumpyCodec.encode_output("y", outputs["y"])]
        )


async def main() -> None:
    """Answer until standard input ends."""
    shapes = json.loads(sys.argv[1])
    chance = np.random.default_rng(1)
    requests = {}
    for kind, shape in shapes.items():
        array = chance.standard_normal((1, *shape)).astype(np.float32)
        requests[kind] = InferenceRequest(inputs=[NumpyCodec.encode_input("x", array)])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(parallel_workers=1, environments_dir=folder, metrics_dir=folder)
        pool = InferencePoolRegistry(settings)
        model = await pool.load_model(
            Function(ModelSettings(name="function", implementation=Function))
        )
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            kind, calls = line.split()
            for _ in range(int(calls)):
                await model.predict(requests[kind])
            print("done", flush=True)
        await pool.close()


if __name__ == "__main__":
    asyncio.run(main())
