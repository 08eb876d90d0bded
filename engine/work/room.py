"""How many runs a card has room for, beside what is on it."""

from collections.abc import Callable, Sequence
from typing import Self

import torch

from engine.decoding.texts import kept_bytes
from engine.errors import UserError
from engine.models.loaded import LoadedBundle
from engine.models.sizes import Sizes
from engine.spec import RunSpec
from engine.working_memory import LIBRARIES, Asked, working_bytes


class Room:
    """The room that a card has for runs of a bundle, those that are going on among them."""

    def __init__(self, bundle: LoadedBundle, room: int) -> None:
        """Take what was found out of the card.

        Args:
            bundle: loaded.
            room: bytes that nothing is in which stays when the runs are stepped in another company.
        """
        self._bundle, self._room = bundle, room
        models = {"decoder": bundle.decoder, "generator": bundle.generator}
        self._sizes = Sizes.of(models)

    @classmethod
    def now(cls, bundle: LoadedBundle, *, free: Callable[[torch.device], int] | None = None) -> Self:
        """The room that there is now.

        Args:
            bundle: loaded, on a card.
            free: asked of the card: its bytes that nothing of lasting use is in.
        """
        return cls(bundle, (free or _free)(bundle.device) + kept_bytes(bundle))

    def runs(self, specs: Sequence[RunSpec], *, most: int) -> int:
        """How many runs like these there is room for: one at least, which is tried in any case.

        Args:
            specs: of some of them.
            most: that are wanted.
        """
        asked = Asked.by_all(Asked.of(spec, self._tokens(spec)) for spec in specs)
        least = 1
        while least < most:
            middle = (least + most + 1) // 2
            needed = working_bytes(self._sizes, self._bundle.dtype, asked, middle) + LIBRARIES
            least, most = (middle, most) if needed <= self._room else (least, middle - 1)
        return least

    def _tokens(self, spec: RunSpec) -> int:
        """Of the longest target; one where they cannot be told, which is said when the run is loaded."""
        try:
            return max(self._bundle.tokens_of_target(text, spec.target_lang) for text in spec.sentences)
        except UserError:
            return 1


def _free(device: torch.device) -> int:
    """With what the allocator keeps in hand: between steps that is what runs take while they step."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
