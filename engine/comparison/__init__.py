"""Several runs side by side: their curves aligned, what differs in their specs, texts and vectors.

Nothing here draws anything; the screen and the command line show the same values. NumPy is imported where
vectors are computed with, and not before.
"""
