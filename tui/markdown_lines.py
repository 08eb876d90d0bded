"""Notes in Markdown as lines in several tones; HTML, links and pictures in them stay text."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tui.text import safe_text
from tui.wrapping import Line, indented, wrapped

if TYPE_CHECKING:
    from markdown_it.token import Token

_RULE = "─"
_BULLET = "• "
_TONES = {"strong": "strong", "em": "emphasis", "s": "quiet"}
_MOST_INDENT = 12


def markdown_lines(text: str, width: int) -> list[Line]:
    """Headings, paragraphs, lists, quotes and code, broken for a width.

    Args:
        text: Any text.
        width: Cells.
    """
    from markdown_it import MarkdownIt  # its imports must not hold up the first paint

    blocks = _Blocks(width)
    for token in MarkdownIt("commonmark", {"html": False}).enable("strikethrough").parse(text):
        blocks.take(token)
    return blocks.lines


class _Blocks:
    """Takes the parser's tokens one after the other and puts down lines."""

    def __init__(self, width: int) -> None:
        self.lines: list[Line] = []
        self._width = width
        self._lists: list[int | None] = []
        """Of each open list the next number; None: it has bullets."""
        self._marker = ""
        self._quotes = 0
        self._tone = ""

    def take(self, token: "Token") -> None:
        """Put down what a token stands for."""
        match token.type:
            case "heading_open":
                self._gap()
                self._tone = "heading"
            case "heading_close":
                self._tone = ""
            case "paragraph_open" if not (token.hidden or self._marker):
                self._gap()
            case "bullet_list_open" | "ordered_list_open":
                if not self._lists:
                    self._gap()
                start = token.attrGet("start")
                is_numbered = token.type == "ordered_list_open"
                self._lists.append(int(start if start is not None else 1) if is_numbered else None)
            case "bullet_list_close" | "ordered_list_close":
                self._lists.pop()
            case "list_item_open":
                number = self._lists[-1]
                self._marker = _BULLET if number is None else f"{number}. "
                if number is not None:
                    self._lists[-1] = number + 1
            case "blockquote_open":
                self._quotes += 1
            case "blockquote_close":
                self._quotes -= 1
            case "fence" | "code_block":
                self._gap()
                self._put([(line, "code")] for line in token.content.splitlines())
            case "hr":
                self._gap()
                self._put([[(_RULE * max(self._width - self._indent, 1), "quiet")]])
            case "inline":
                self._put(_inline(token.children or (), self._tone))

    @property
    def _indent(self) -> int:
        return min(2 * max(len(self._lists) - 1, 0), _MOST_INDENT)

    def _gap(self) -> None:
        if self.lines and self.lines[-1]:
            self.lines.append([])

    def _put(self, lines: Iterable[Line]) -> None:
        """Put lines down behind the item's marker, the quote's bar, or under the item's text."""
        lead = "▌ " * min(self._quotes, _MOST_INDENT // 2)
        indent = self._indent + (2 if self._lists and not self._marker else 0)
        for line in lines:
            marker, self._marker = self._marker, ""
            head = lead + marker
            room = max(self._width - indent - len(head), 1)
            safe = [(safe_text(text), tone) for text, tone in line]
            for number, part in enumerate(wrapped(safe, room)):
                shown = head if number == 0 else lead + " " * len(marker)
                self.lines += indented([[*([(shown, "quiet")] if shown else []), *part]], indent)


def _inline(tokens: Sequence["Token"], base: str) -> list[Line]:
    """Lines of the pieces of a paragraph; there is more than one where it has breaks."""
    lines: list[Line] = [[]]
    tones: list[str] = [base]
    targets: list[str] = []
    for token in tokens:
        kind, _, end = token.type.rpartition("_")
        match token.type:
            case "text":
                lines[-1].append((token.content, tones[-1]))
            case "code_inline":
                lines[-1].append((token.content, "code"))
            case "softbreak":
                lines[-1].append((" ", tones[-1]))
            case "hardbreak":
                lines.append([])
            case "image":
                lines[-1].append((f"[{token.content}]({token.attrGet('src')})", tones[-1]))
            case "link_open":
                targets.append(str(token.attrGet("href")))
                tones.append(tones[-1])
            case "link_close":
                lines[-1].append((f" ({targets.pop()})", "quiet"))
                tones.pop()
            case _ if end == "open":
                tones.append(_TONES.get(kind, tones[-1]))
            case _ if end == "close":
                tones.pop()
    return lines
