"""What identifies the weights of a bundle, whatever device and precision they are loaded into."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK = 2**24
"""Numbers that are made float32 at a time."""

VERSION = 1
"""Of what is hashed, and how."""


class FileIdentity(NamedTuple):
    """Of a file as it is at a moment: another one once it has been written."""

    path: str
    """Without symbolic links."""
    inode: int
    mode: int
    size: int
    modified_ns: int
    changed_ns: int


_known: dict[tuple[FileIdentity, ...], "_Hash"] = {}
"""The state after these files: bundles share encoder and decoder, and are loaded in several precisions."""


class WeightsDigest:
    """SHA-256 over part after part: names, shapes and float32 values of all weights."""

    def __init__(self) -> None:
        self._hasher = sha256()
        self._files: tuple[FileIdentity, ...] = ()

    def add(self, part: str, files: Sequence[FileIdentity], weights: Iterable[tuple[str, Tensor]]) -> None:
        """Go on with a part.

        Args:
            part: What it is called.
            files: Where the weights are from; of unchanged files they are not read a second time.
            weights: In the model's order, on the CPU, in any precision.
        """
        self._files += tuple(files)
        if (known := _known.get(self._files)) is not None:
            self._hasher = known.copy()
            return
        for name, tensor in weights:
            self._hasher.update(f"{part}.{name} {tuple(tensor.shape)}\n".encode())
            for block in torch.split(tensor.detach().flatten(), _BLOCK):
                self._hasher.update(block.float().numpy().data)
        _known[self._files] = self._hasher.copy()

    def hexdigest(self) -> str:
        """The digest of the parts so far, in hexadecimal."""
        return self._hasher.hexdigest()


def file_identity(path: Path) -> FileIdentity:
    """Tell a file, and what is in it, from others without reading it.

    Raises:
        OSError: there is no such file.
    """
    status = path.stat()
    return FileIdentity(
        str(path.resolve()),
        status.st_ino,
        status.st_mode,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )
