"""What the first steps of a process do once, done before anybody waits for them.

Kernels are made for the sizes of the models and of short texts, and libraries prepare themselves for them.
"""

import torch
from torch import Tensor

from engine.decoding import decode
from engine.fast.alone import ALONE
from engine.models.loaded import LoadedBundle
from engine.spec import DECODED_LENGTH_FACTOR, RunSpec

TOKENS = (12, 24)
"""Of the targets: those of most sentences are about as long as one or the other."""

_DECODED = 2
"""Embeddings that a row has decoded: z and the prediction."""


def rehearse(bundle: LoadedBundle) -> None:
    """Have models on a card do what a step does, and decode a short text; nothing of it is kept.

    Where that fails, for lack of memory perhaps, it is left to the run to say so.
    """
    embeddings = torch.full((_DECODED, bundle.dim), 1 / bundle.dim, device=bundle.device)
    try:
        for tokens in TOKENS:
            _step(bundle, embeddings[:1], tokens)
        decode(bundle, embeddings, beam=RunSpec().beam, max_tokens=DECODED_LENGTH_FACTOR * TOKENS[0])
    except Exception:  # a run that can be stepped all the same may be smaller
        with ALONE:
            torch.cuda.empty_cache()


def _step(bundle: LoadedBundle, embeddings: Tensor, tokens: int) -> None:
    """The models' part of a step, forth and back."""
    targets = bundle.targets_of([torch.ones(tokens + 1, dtype=torch.int64, device=bundle.device)])
    z = embeddings.clone().requires_grad_()
    with ALONE:
        loss = bundle.token_losses(bundle.predict(z), targets).sum()
        torch.autograd.grad(loss, z)
