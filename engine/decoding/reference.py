"""Decoding by sonar-space's pipeline on fairseq2's beam search: what the fast decoding is compared with."""

from torch import Tensor

from engine.models.loaded import LoadedBundle


def decode_with_pipeline(
    bundle: LoadedBundle, embeddings: Tensor, *, beam: int, max_tokens: int, language: str | None = None
) -> list[str]:
    """Decode N embeddings (N, D) in one batch; arguments and result are those of engine.decoding.decode."""
    return bundle.embedding_to_text.predict(
        embeddings.detach().to(bundle.dtype),
        target_lang=language or bundle.bundle.language,
        batch_size=len(embeddings),
        beam_size=beam,
        max_gen_len=(0.0, max_tokens + 1),  # the +1 is `</s>`
    )
