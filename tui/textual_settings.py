"""Textual's settings that it reads from the environment when it is imported: import this first.

Over SSH every byte counts: nothing is animated, and what changes often is painted at most 15 times a second.
What the user has set stays.
"""

import os

os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
os.environ.setdefault("TEXTUAL_FPS", "15")
os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
