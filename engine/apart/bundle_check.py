"""Load a bundle and try it out: `python -m engine.apart.bundle_check NAME` prints one JSON object a line.

A process of its own, because it imports torch, which viewers never do.
"""

import argparse
import json
import sys
import time

from engine.errors import UserError

SENTENCES = (
    "I like cheese.",
    "Once upon a time, there was a little girl named Lily.",
    "Tom had a red ball.",
    "The dog is happy.",
    "She went to the park with her mother.",
    "It was a sunny day.",
    "The children played in the garden.",
    "He wanted to play with the ball.",
    "They saw a bird in the tree.",
    "My name is Anna and I am six years old.",
)
"""What is encoded and decoded again."""

FIRST = SENTENCES[0]
"""The sentence after which the generator predicts one."""

_BEAM = 5
_MOST_TOKENS = 64


def main(arguments: list[str] | None = None) -> int:
    """Print `{"progress": …}` while it loads, then `{"found": {…}}`, or `{"error": …}` and return 2."""
    parser = argparse.ArgumentParser(
        prog="python -m engine.apart.bundle_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--encoder", default="device")
    options = parser.parse_args(arguments)
    try:
        _say(found=_check(options.name, options.device, options.dtype, options.encoder))
    except UserError as error:
        _say(error=str(error))
        return 2
    return 0


def _check(name: str, device: str, dtype: str, encoder: str) -> dict[str, object]:
    import torch
    from torch import nn

    from engine.decoding import decode
    from engine.models.loading import load_bundle

    started = time.monotonic()
    wrong_digests: list[str] = []
    bundle = load_bundle(
        name,
        device=device,
        dtype=dtype,
        encoder=encoder,
        progress=lambda line: _say(progress=line),
        wrong_digest=wrong_digests.append,
    )
    seconds = time.monotonic() - started
    bundle.use_threads()
    models: dict[str, nn.Module] = {
        "encoder": bundle.encoder,
        "decoder": bundle.decoder,
        "generator": bundle.generator,
    }
    _say(progress=f"encoding and decoding {len(SENTENCES)} sentences")
    with torch.no_grad():
        embeddings = bundle.encode(SENTENCES)
        prediction = bundle.predict(embeddings[:1])
        texts = decode(bundle, torch.cat([embeddings, prediction]), beam=_BEAM, max_tokens=_MOST_TOKENS)
    trips = list(zip(SENTENCES, texts[:-1], strict=True))
    return {
        "bundle": name,
        "device": str(bundle.device),
        "encoder_device": str(bundle.encoder_device),
        "dtype": dtype,
        "seconds": seconds,
        "digest": bundle.digest,
        "wrong_digest": next(iter(wrong_digests), None),
        "dimension": bundle.dim,
        "norm": bundle.embedding_norm,
        "is_finite": bool(embeddings.isfinite().all() and prediction.isfinite().all()),
        "parameters": {
            part: sum(weight.numel() for weight in model.parameters()) for part, model in models.items()
        },
        "card_bytes": torch.cuda.max_memory_allocated(bundle.device)
        if bundle.device.type == "cuda"
        else None,
        "round_trips": [{"text": text, "came_back": came_back} for text, came_back in trips],
        "first": FIRST,
        "next": texts[-1],
    }


def _say(**line: object) -> None:
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    sys.exit(main())
