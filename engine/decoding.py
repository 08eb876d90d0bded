"""Embeddings to text, in batches."""

from torch import Tensor

from engine.models.loaded import LoadedBundle


def decode(
    bundle: LoadedBundle, embeddings: Tensor, *, beam: int, max_tokens: int, language: str | None = None
) -> list[str]:
    """Decode N embeddings in one batch, by sonar-space's pipeline on fairseq2's beam search.

    Args:
        bundle: whose decoder speaks.
        embeddings: (N, D), finite.
        beam: hypotheses kept for each embedding; 1 is greedy.
        max_tokens: most tokens of a text, so that endless repetition comes to an end; the decoder's own
            limit holds besides.
        language: to decode into, as the bundle's tokenizer names it; None: the bundle's own.

    Returns:
        N texts, as the model made them: they may hold anything, control characters too.
    """
    return bundle.embedding_to_text.predict(
        embeddings.detach().to(bundle.dtype),
        target_lang=language or bundle.bundle.language,
        batch_size=len(embeddings),
        beam_size=beam,
        max_gen_len=(0.0, max_tokens + 1),  # the +1 is `</s>`
    )


def matches(decoded: str, target: str) -> bool:
    """Whether a decoded text equals the target, outer white space aside."""
    return decoded.strip() == target.strip()
