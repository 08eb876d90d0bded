"""What one thread at a time may do: have the models compute kernel by kernel, capture that, or decode."""

from threading import RLock

ALONE = RLock()
"""Held while Python calls the models, and while texts are decoded; a step that is replayed goes on beside.

While sonar-space's pipeline encodes, it sets the precision of matrix products for the whole process, and so
of what another thread computes meanwhile. Nor can two threads capture at once: torch has them share a stream.
"""
