"""The candidates that are kept from one generation to the next, and their way to bytes and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b, sha256
from typing import Self

import torch
from torch import Tensor

from engine.errors import UserError
from engine.steps.checkpoint import checkpoint_bytes, checkpoint_tensors

SEEN_AT_MOST = 32_768
"""So many texts that were tried are remembered, the newest."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The kept texts, the best first."""

    texts: tuple[str, ...]

    z: Tensor
    """encode(text) of each. # (K, D)"""

    losses: Tensor
    """What each was judged to be. # (K,)"""

    round_trips: Tensor
    """Cosine of z and encode(decode(z)); 1 where it was not asked. # (K,)"""

    seen: Tensor
    """Keys of the texts that were tried already, the oldest first. # (S,) int64"""

    judged_by: Tensor
    """Digest of what they were judged by: under anything else they have to be judged again. # (16,) uint8"""

    @classmethod
    def none(cls, dim: int, device: torch.device) -> Self:
        """Before the first one has been tried."""
        return cls(
            (),
            torch.zeros(0, dim, device=device),
            torch.zeros(0, device=device),
            torch.zeros(0, device=device),
            torch.zeros(0, dtype=torch.int64),
            torch.zeros(16, dtype=torch.uint8),
        )

    def __len__(self) -> int:
        return len(self.texts)

    def chosen(self, places: Tensor) -> Self:
        """Some of them, by their places (R,), in that order."""
        texts = tuple(self.texts[place] for place in places.tolist())
        return type(self)(
            texts,
            self.z[places],
            self.losses[places],
            self.round_trips[places],
            self.seen,
            self.judged_by,
        )

    def hash(self, step: int) -> str:
        """16 hexadecimal characters of the SHA-256 of all this and the step."""
        tensors = self._tensors()
        values = b"".join(tensors[name].numpy().tobytes() for name in sorted(tensors))
        return sha256(values + step.to_bytes(8, "little")).hexdigest()[:16]

    def to_bytes(self, *, z: Tensor, count: int, lr: float) -> bytes:
        """A checkpoint.

        Args:
            z: the embedding that stands for all of them, with which a run without them would go on. # (D,)
            count: generations made.
            lr: learning rate in force.
        """
        return checkpoint_bytes(
            {
                "z": z.cpu().clone(),
                "held_norm": torch.zeros(1),
                "count": torch.tensor([count]),
                "lr": torch.tensor([lr], dtype=torch.float64),
                **self._tensors(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes, *, dim: int, device: torch.device) -> tuple[Self, int, float]:
        """What `to_bytes` was given: candidates, count and lr.

        Raises:
            UserError: the bytes are damaged, or belong to something else.
        """
        tensors = checkpoint_tensors(data)
        if missing := [name for name in _NAMES if name not in tensors]:
            raise UserError(f"checkpoint: of no population search: without {', '.join(missing)}")
        if tensors["candidate_z"].shape[1:] != (dim,):
            found = "×".join(map(str, tensors["candidate_z"].shape[1:]))
            raise UserError(f"checkpoint: of embeddings of {found} values; these have {dim}")
        encoded, texts, first = bytes(tensors["texts"].numpy()), [], 0
        for length in tensors["text_lengths"].tolist():
            texts.append(encoded[first : first + length].decode("utf-8", "surrogatepass"))
            first += length
        candidates = cls(
            tuple(texts),
            tensors["candidate_z"].to(device),
            tensors["losses"].to(device),
            tensors["round_trips"].to(device),
            tensors["seen"],
            tensors["judged_by"],
        )
        return candidates, int(tensors["count"]), float(tensors["lr"])

    def _tensors(self) -> dict[str, Tensor]:
        encoded = [text.encode("utf-8", "surrogatepass") for text in self.texts]
        return {
            "candidate_z": self.z.cpu().clone(),
            "losses": self.losses.cpu().clone(),
            "round_trips": self.round_trips.cpu().clone(),
            "texts": torch.tensor(list(b"".join(encoded)), dtype=torch.uint8),
            "text_lengths": torch.tensor([len(text) for text in encoded], dtype=torch.int64),
            "seen": self.seen,
            "judged_by": self.judged_by,
        }


_NAMES = ("count", "lr", "candidate_z", "losses", "round_trips", "texts", "text_lengths", "seen", "judged_by")


def joined(parts: Sequence[Candidates]) -> Candidates:
    """All of them, those of the first part first, with what the last part has seen."""
    return Candidates(
        texts=tuple(text for part in parts for text in part.texts),
        z=torch.cat([part.z for part in parts]),
        losses=torch.cat([part.losses for part in parts]),
        round_trips=torch.cat([part.round_trips for part in parts]),
        seen=parts[-1].seen,
        judged_by=parts[-1].judged_by,
    )


def key_of(text: str) -> int:
    """A number that stands for a text among those that were seen."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True)
