"""Frozen models: encoder, decoder, tokenizer, generator."""

from engine.native import load_libsndfile

# Here, because this runs before any module of the package imports fairseq2.
load_libsndfile()
