"""The themes: dark, light, one for eyes that do not tell red from green, and one for 16 colours.

Colour never tells something alone: every state has a sign of its own besides (tui.widgets.badges).
"""

from textual.theme import BUILTIN_THEMES, Theme

from tui.circle import following
from tui.settings import THEME_NAMES

SONAR = Theme(
    name="sonar",
    primary="#6cb6c9",
    secondary="#8aa0b8",
    accent="#6cb6c9",
    foreground="#c9d1d9",
    background="#0f1419",
    surface="#141a21",
    panel="#1c242d",
    success="#7fb685",
    warning="#d9a657",
    error="#e07d76",
    dark=True,
    variables={
        "text-muted": "#7d8894",
        "selection": "#21323c",
        "scrollbar": "#2a3540",
        "scrollbar-background": "#0f1419",
    },
)

LIGHT = Theme(
    name="light",
    primary="#0b6478",
    secondary="#46617c",
    accent="#0b6478",
    foreground="#1f2933",
    background="#fbfcfd",
    surface="#f2f5f7",
    panel="#e4e9ed",
    success="#1d6b33",
    warning="#7a5200",
    error="#a82a22",
    dark=False,
    variables={
        "text-muted": "#5b6672",
        "selection": "#cfe3ea",
        "scrollbar": "#b5c0c9",
        "scrollbar-background": "#fbfcfd",
    },
)

COLOUR_BLIND = Theme(
    name="colour-blind",
    # After Okabe and Ito's palette: blue for what is well, orange for what is not.
    primary="#d8a6c8",
    secondary="#9aa7b4",
    accent="#d8a6c8",
    foreground="#d5dae0",
    background="#101216",
    surface="#16191e",
    panel="#1f242b",
    success="#56b4e9",
    warning="#f0e442",
    error="#ef8a3c",
    dark=True,
    variables={
        "text-muted": "#858f9a",
        "selection": "#2a2f3d",
        "scrollbar": "#343b45",
        "scrollbar-background": "#101216",
    },
)

ANSI = Theme(
    name="ansi",
    # The terminal's own 16 colours, on its own background: few bytes, and as the user has set them.
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_cyan",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    dark=True,
    variables={
        **BUILTIN_THEMES["ansi-dark"].variables,
        "text-muted": "ansi_default",
        "selection": "ansi_default",
        "border": "ansi_cyan",
        "border-blurred": "ansi_default",
        "scrollbar": "ansi_cyan",
        "scrollbar-hover": "ansi_cyan",
        "scrollbar-active": "ansi_cyan",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
    },
)

THEMES: tuple[Theme, ...] = (SONAR, LIGHT, COLOUR_BLIND, ANSI)


def next_theme(name: str) -> str:
    """The theme after this one, in a circle."""
    return following(THEME_NAMES, name)
