"""Weights: mapped from files, checked against a model that has none yet, and put into it.

Nothing is read from disk before it is copied to where it is to stay, so that loading takes hardly more memory
than the models themselves, and none on the host where they go to a card.
"""

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from fairseq2.nn.utils.module import to_empty
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from engine.errors import UserError
from engine.models.digest import FileIdentity, file_identity

_MOST_NAMES = 5


@dataclass(frozen=True)
class Weights:
    """What files hold."""

    files: tuple[Path, ...]
    identities: tuple[FileIdentity, ...]
    """Of the files, as they were before they were opened."""
    tensors: Mapping[str, Tensor]
    """By their names; mapped from the files."""


def read_weights(files: Sequence[Path]) -> Weights:
    """Map the tensors of safetensors files, or of one file of PyTorch, without running what it may hold.

    Raises:
        UserError: a file cannot be read as weights.
    """
    tensors: dict[str, Tensor] = {}
    identities = []
    for path in files:
        try:
            identities.append(file_identity(path))
            found = load_file(path) if path.suffix == ".safetensors" else _state_dict(path)
        except (OSError, RuntimeError, UnpicklingError, SafetensorError, EOFError, ValueError) as error:
            message = " ".join(str(error).split())
            raise UserError(f"{path}: cannot be read as weights: {message}") from error
        if twice := sorted(found.keys() & tensors.keys()):
            raise UserError(f"{path}: holds {shortened(twice)} a second time")
        tensors |= found
    return Weights(tuple(files), tuple(identities), tensors)


def is_mappable(path: Path) -> bool:
    """Whether PyTorch can map a file: safetensors, or the zip archive that it saves by now."""
    return path.suffix == ".safetensors" or path.is_dir() or zipfile.is_zipfile(path)


def _state_dict(path: Path) -> dict[str, Tensor]:
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_mappable(path))
    if isinstance(state, dict):
        state = state.get("model_state_dict", state)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"{path}: not a state dict: expected names and tensors")
    return state


def matched(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Each parameter of a model: its name, itself, and what the tensors have for it.

    A parameter that is used in two places has two names, of which the tensors need but one.
    """
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    for name, parameter in model.named_parameters():
        source = next(alias for alias in names[id(parameter)] if alias in tensors)
        yield name, parameter, tensors[source]


def check_weights(
    path: Path, tensors: Mapping[str, Tensor], model: nn.Module, *, called: Callable[[str], str] = str
) -> None:
    """Refuse weights that are not exactly those of a model.

    Args:
        path: Where they are from.
        tensors: By the names of the model's parameters.
        model: On any device, the meta device too.
        called: What a name is in the file.

    Raises:
        UserError: it names the keys that are missing, unexpected, or of the wrong shape.
    """
    expected = dict(model.named_parameters(remove_duplicate=False))
    had = {id(parameter) for name, parameter in expected.items() if name in tensors}
    problems = {
        "missing": [called(name) for name, parameter in model.named_parameters() if id(parameter) not in had],
        "unexpected": [called(name) for name in tensors.keys() - expected.keys()],
        "wrong shape": [
            f"{called(name)} {tuple(tensors[name].shape)}, not {tuple(expected[name].shape)}"
            for name in tensors.keys() & expected.keys()
            if tensors[name].shape != expected[name].shape
        ],
    }
    texts = [f"{problem}: {shortened(sorted(names))}" for problem, names in problems.items() if names]
    if texts:
        raise UserError(f"{path}: the weights do not fit the configuration: {'; '.join(texts)}")


def fill(
    model: nn.Module, tensors: Mapping[str, Tensor], *, device: torch.device, dtype: torch.dtype
) -> None:
    """Give a model on the meta device its weights, each copied straight to its place.

    Buffers (tables of positions) keep their precision and are empty: whose model it is fills them.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    to_empty(model, device)
    with torch.no_grad():
        for _, weight, tensor in matched(model, tensors):
            weight.copy_(tensor)


def shortened(names: Sequence[str]) -> str:
    """The first few names."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names if more <= 0 else [*names[:_MOST_NAMES], f"and {more} more"])
