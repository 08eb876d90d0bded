"""Make the README's picture from the recorded runs of sessions.db: `make screenshots`."""

import asyncio
from pathlib import Path

from tui.app import ExplorerApp

DATABASE = Path("sessions.db")
PICTURE = Path(__file__).parent / "explorer.svg"
SIZE = (132, 38)


async def main() -> None:
    """Open the newest run of the database, as its reader would, and save what is on the screen."""
    app = ExplorerApp(DATABASE)
    async with app.run_test(size=SIZE) as pilot:
        deadline = asyncio.get_running_loop().time() + 30
        while "finished" not in (picture := app.export_screenshot(title="sonar-explore")):
            if asyncio.get_running_loop().time() > deadline:
                raise SystemExit(f"{DATABASE}: no finished run on the screen")
            await pilot.pause()
        await pilot.press("tab")
        await pilot.pause()
        picture = app.export_screenshot(title="sonar-explore")
    PICTURE.write_text(picture, encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    asyncio.run(main())
