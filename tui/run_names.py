"""What a run is called where there is little room."""

from tui.text import safe_text


def home_text(session: str, number: int, width: int) -> str:
    """`session/number` in at most `width` cells; the end of a long session's name gives way."""
    behind = f"/{number}"
    return safe_text(safe_text(session, limit=max(width - len(behind), 1)) + behind, limit=width)
