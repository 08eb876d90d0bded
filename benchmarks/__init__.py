"""Measurements of this program on the machine at hand; nothing here passes or fails."""

from engine.native import load_libsndfile

# Here, because this runs before any module of the package imports fairseq2.
load_libsndfile()
