"""A vector out of a file: what can be read is read exactly, and everything else is refused in one line."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from engine.errors import UserError
from engine.vector_files import read_vector

VECTOR = np.array([0.5, -2.0, 3.25], np.float32)
CUT = object()
"""Stands for an array whose last bytes are missing."""


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (1, 3)])
@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_a_vector_is_read_as_float32(tmp_path: Path, suffix: str, shape: tuple[int, ...], kind: str) -> None:
    path = tmp_path / f"z{suffix}"
    array = VECTOR.astype(kind).reshape(shape)
    if suffix == ".npy":
        np.save(path, array)
    else:
        save_file({"anything": array}, path)
    read = read_vector(str(path))
    assert read.dtype == np.float32
    assert read.shape == (3,)
    assert read.tolist() == VECTOR.tolist()
    path.unlink()
    assert read.sum() == VECTOR.sum(), "it is no view of the file"


def test_one_tensor_of_several_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.safetensors"
    save_file({"a": VECTOR, "b": -VECTOR}, path)
    assert read_vector(f"{path}:b").tolist() == (-VECTOR).tolist()
    with pytest.raises(UserError, match=r"holds a, b; name one, as in two\.safetensors:a"):
        read_vector(str(path))
    with pytest.raises(UserError, match="has no tensor c; it holds a, b"):
        read_vector(f"{path}:c")


class Harmful:
    """Leaves a trace when it is unpickled."""

    trace: Path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.trace,)


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    Harmful.trace = tmp_path / "trace"
    pickled = tmp_path / "pickled.npy"
    np.save(pickled, np.array([Harmful()], dtype=object), allow_pickle=True)
    bare = tmp_path / "bare.npy"
    bare.write_bytes(pickle.dumps(Harmful()))
    for path in (pickled, bare):
        with pytest.raises(UserError, match="is no array of numbers in NumPy's format"):
            read_vector(str(path))
    assert not Harmful.trace.exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.npy", None, "there is no such file"),
        ("z.txt", b"1 2 3", r"should be NAME\.npy, NAME\.safetensors, or NAME\.safetensors:TENSOR"),
        ("empty.npy", b"", "is no array of numbers"),
        ("cut.npy", CUT, "is no array of numbers"),
        ("whole.npy", np.arange(3), "holds int64; should be float16, float32 or float64"),
        ("matrix.npy", np.zeros((2, 3)), "holds 2 × 3; should be one vector"),
        ("cube.npy", np.zeros((1, 1, 3)), "holds 1 × 1 × 3; should be one vector"),
        ("scalar.npy", np.float64(3), "holds one number; should be one vector"),
        ("nothing.npy", np.zeros(0), "holds 0; should be one vector"),
        ("empty.safetensors", b"", "is no safetensors file"),
        ("text.safetensors", b"x" * 100, "is no safetensors file"),
        ("none.safetensors", {}, "holds no tensors"),
        ("whole.safetensors", {"z": np.arange(3)}, "z is I64; should be F16, F32, F64"),
        ("matrix.safetensors", {"z": np.zeros((3, 2))}, "holds 3 × 2; should be one vector"),
    ],
)
def test_what_is_no_vector_is_refused_in_one_line(
    tmp_path: Path, name: str, content: object, reason: str
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is CUT:
        np.save(path, VECTOR)
        path.write_bytes(path.read_bytes()[:-4])
    elif isinstance(content, dict):
        save_file(content, path)
    elif content is not None:
        np.save(path, np.asarray(content))
    with pytest.raises(UserError, match=reason) as refused:
        read_vector(str(path))
    assert "\n" not in str(refused.value)


def test_a_folder_and_an_unreadable_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(UserError, match="there is no such file"):
        read_vector(str(tmp_path / "folder.npy"))
    with pytest.raises(UserError, match="there is no such user"):
        read_vector("~nobody-of-that-name/z.npy")
