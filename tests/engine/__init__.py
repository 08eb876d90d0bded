"""Tests of the engine as a library, against computations that are written out here."""

import engine.models  # noqa: F401  (it makes fairseq2 importable, which the modules of this package import)
