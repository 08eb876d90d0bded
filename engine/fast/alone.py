"""What only one thread at a time may do: have the models compute kernel by kernel, or capture that."""

from threading import RLock

ALONE = RLock()
"""Held while Python calls the models; a replay of what was captured goes on beside.

While sonar-space's pipeline encodes, it sets the precision of matrix products for the whole process, and so
of what another thread computes meanwhile. Nor can two threads capture at once: torch has them share a stream.
"""
