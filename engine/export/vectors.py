"""Vectors as files: safetensors for the kept ones of runs, `.npy` or safetensors for the z of one row."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import UserError
from engine.export.whole import written_whole
from engine.store.reading import Reader
from engine.store.records import RunRecord

if TYPE_CHECKING:
    import numpy.typing as npt

VECTOR_SUFFIXES = (".npy", ".safetensors")
"""What the name of a file for one vector may end in."""


def write_vectors(reader: Reader, runs: Sequence[RunRecord], file: BinaryIO) -> None:
    """Write the kept vectors of runs as safetensors.

    For run 7: `run_7.z` (S, D) float32 with `run_7.z_steps` (S,) int64, the same for `prediction`, and for
    `init` and `target`. The metadata holds each run's session, name, target and spec (JSON).

    Raises:
        UserError: a run has no vectors.
    """
    import numpy as np
    from safetensors.numpy import save

    tensors: dict[str, npt.NDArray[np.generic]] = {}
    metadata: dict[str, str] = {}
    for run in runs:
        kept = {kind: list(reader.vectors(run.id, kind)) for kind in ("z", "prediction", "init", "target")}
        if not any(kept.values()):
            raise UserError(f"run: run {run.id} has no vectors to export")
        for kind, vectors in kept.items():
            if vectors:
                tensors[f"run_{run.id}.{kind}"] = np.stack([vector for _, vector in vectors])
                tensors[f"run_{run.id}.{kind}_steps"] = np.array(
                    [step for step, _ in vectors], dtype=np.int64
                )
        description = {"session": run.session, "name": run.name, "target": run.target}
        metadata[f"run_{run.id}"] = json.dumps(description | {"spec": json.loads(run.spec)})
    file.write(save(tensors, metadata))


def write_z(reader: Reader, run_id: int, step: int, path: Path) -> int:
    """Write the z of one row, float32 (D,), into a new file: NumPy's `.npy`, or `.safetensors` as tensor `z`.

    Returns:
        D.

    Raises:
        UserError: the name ends in something else, the file is there already or cannot be written, or that
            z was not kept. Nothing is left behind.
    """
    suffix = path.suffix.lower()
    if suffix not in VECTOR_SUFFIXES:
        raise UserError(f"to: {path}: the name should end in one of {', '.join(VECTOR_SUFFIXES)}")
    z = reader.vector(run_id, step, "z")
    if z is None:
        raise UserError(f"step: the z of step {step} of run {run_id} was not kept")
    path = path.resolve()
    if path.exists():
        raise UserError(f"to: {path}: is there already; give another name")
    with written_whole(path) as temporary:
        if suffix == ".npy":
            import numpy as np

            with temporary.open("xb") as file:
                np.save(file, z, allow_pickle=False)
        else:
            from safetensors.numpy import save

            run = reader.run(run_id)
            temporary.write_bytes(save({"z": z}, {"run": str(run_id), "step": str(step), "spec": run.spec}))
    return len(z)
