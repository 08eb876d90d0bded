"""The kernels of this project's own, all of them, made and tried before anybody waits for them."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

from engine.decoding import attention as attention_while_decoding
from engine.decoding import beam_search, descent
from engine.fast import attention, gated, products, residual, softmax

KERNELS: Mapping[str, Callable[[torch.device], object]] = {
    "cross-entropy": softmax.kernels_on,
    "attention": attention.kernels_on,
    "layer norms": residual.kernels_on,
    "matrix products": products.kernels_on,
    "gated units": gated.kernels_on,
    "attention while decoding": attention_while_decoding.kernels_on,
    "beam search": beam_search.kernels_on,
    "hypotheses": descent.kernels_on,
}
"""By what they are for: what makes and tries them on a device, once a process (engine.fast.compiled)."""


@contextmanager
def made_beside(device: torch.device, progress: Callable[[str], None]) -> Iterator[None]:
    """Make the kernels of a device beside what is done meanwhile, and wait for them at its end.

    Args:
        device: a card.
        progress: called with a line before each kernel that has to be waited for.
    """
    makers = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kernels")
    try:
        made = {what: makers.submit(kernels_on, device) for what, kernels_on in KERNELS.items()}
        yield
        for number, (what, kernels) in enumerate(made.items(), start=1):
            if not kernels.done():
                progress(f"making kernels for {what}, {number} of {len(made)}")
            kernels.result()
    finally:
        makers.shutdown(cancel_futures=True)
