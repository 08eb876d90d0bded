"""Embeddings to text, in batches."""

from engine.native import load_libsndfile

# Before the package's modules import fairseq2.
load_libsndfile()

from engine.decoding.match import matches  # noqa: E402
from engine.decoding.texts import decode  # noqa: E402

__all__ = ["decode", "matches"]
