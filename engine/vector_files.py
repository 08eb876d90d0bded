"""One vector out of a file, `.npy` or `.safetensors`. Nothing in it is executed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError

if TYPE_CHECKING:
    from engine.store.vectors import VectorArray

SUFFIXES = (".npy", ".safetensors")
"""What the name of a file with vectors may end in."""

_FLOATS = ("F16", "F32", "F64")
"""Element types of safetensors that can be read."""


def read_vector(place: str) -> "VectorArray":
    """Read a vector, float32 (D,), from `FILE`, or from `FILE:NAME` for one tensor of several.

    The array in the file is float16, float32 or float64 and has the shape (D,) or (1, D). Its values may be
    anything; whether a run can start from them is for whoever queues it to say.

    Raises:
        UserError: one line: there is no such file, it is of another format or damaged, or holds something
            else than one such array.
    """
    path, name = _split(place)
    try:
        return _read_numpy(path) if path.suffix.lower() == ".npy" else _read_safetensors(path, name)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _split(place: str) -> tuple[Path, str | None]:
    """The file and the name of the tensor: the name of a file may hold a colon too."""
    whole = _expanded(place)
    if whole.suffix.lower() in SUFFIXES:
        path, name = whole, None
    else:
        file, _, tensor = place.rpartition(":")
        path, name = _expanded(file), tensor
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES or (name is not None and suffix == ".npy"):
        raise UserError(f"{place}: should be NAME.npy, NAME.safetensors, or NAME.safetensors:TENSOR")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    return path, name


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{text}: there is no such user") from None


def _read_numpy(path: Path) -> "VectorArray":
    import numpy as np

    try:
        # Mapped, so that the shape is known before anything is read; a pickle cannot be mapped.
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, EOFError, SyntaxError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{path}: is no array of numbers in NumPy's format: {reason}") from None
    if array.dtype.kind != "f":
        raise UserError(f"{path}: holds {array.dtype}; should be float16, float32 or float64")
    _check_shape(path, array.shape)
    return _single(array)


def _read_safetensors(path: Path, name: str | None) -> "VectorArray":
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            if name is None and len(names) != 1:
                example = f"; name one, as in {path.name}:{names[0]}" if names else ""
                raise UserError(f"{path}: holds {_listed(names)}{example}")
            if name is not None and name not in names:
                raise UserError(f"{path}: has no tensor {name}; it holds {_listed(names)}")
            chosen = names[0] if name is None else name
            tensor = file.get_slice(chosen)
            if tensor.get_dtype() not in _FLOATS:
                raise UserError(f"{path}: {chosen} is {tensor.get_dtype()}; should be {', '.join(_FLOATS)}")
            _check_shape(path, tensor.get_shape())
            return _single(tensor[:])
    except SafetensorError as error:
        raise UserError(f"{path}: is no safetensors file: {error}") from None


def _check_shape(path: Path, shape: Sequence[int]) -> None:
    rows = 1 if len(shape) == 1 else shape[0] if len(shape) == 2 else 0
    if rows != 1 or not shape[-1]:
        shown = " × ".join(map(str, shape)) or "one number"
        raise UserError(f"{path}: holds {shown}; should be one vector, D or 1 × D numbers")


def _single(array: "VectorArray") -> "VectorArray":
    """Float32 (D,), out of the file's memory; a number too large for it becomes infinite."""
    import numpy as np

    with np.errstate(over="ignore"):
        return np.array(array, dtype=np.float32).reshape(-1)


def _listed(names: Sequence[str], at_most: int = 8) -> str:
    if not names:
        return "no tensors"
    rest = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {rest} more" if rest > 0 else "")
