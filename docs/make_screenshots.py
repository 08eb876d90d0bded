"""Make the README's pictures from the recorded runs of sessions.db: `make screenshots`."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from textual.pilot import Pilot

from tui.app import ExplorerApp

DATABASE = Path("sessions.db")
FOLDER = Path(__file__).parent
_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Picture:
    """One picture: the keys that lead to it, and what stands on the screen once it is there."""

    name: str
    size: tuple[int, int]
    keys: tuple[str, ...]
    shown: str


PICTURES = (
    Picture("explorer", (140, 40), ("tab", "home"), "Can I play with you?"),
    Picture("row", (110, 30), ("tab", "home", "right_square_bracket", "enter"), "numbers"),
    Picture("help", (100, 44), ("question_mark",), "In the list of runs"),
)


async def take(picture: Picture) -> None:
    """Open the newest run of the database, go where the picture is, and save it."""
    app = ExplorerApp(DATABASE)
    async with app.run_test(size=picture.size) as user:
        await _wait_for(user, "finished")
        for key in picture.keys:
            await user.press(key)
            await user.pause()
        svg = await _wait_for(user, picture.shown)
    path = FOLDER / f"{picture.name}.svg"
    path.write_text(svg, encoding="utf-8")
    print(path)


async def _wait_for(user: Pilot[object], text: str) -> str:
    """The screen as a picture, once the text stands on it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _PATIENCE_S
    while text.replace(" ", "&#160;") not in (svg := user.app.export_screenshot(title="sonar-explore")):
        if loop.time() > deadline:
            raise SystemExit(f"{DATABASE}: {text!r} does not come to stand on the screen")
        await user.pause()
    return svg


async def main() -> None:
    """Take all pictures."""
    for picture in PICTURES:
        await take(picture)


if __name__ == "__main__":
    asyncio.run(main())
