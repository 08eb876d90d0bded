"""What the actions of the application around the screen do, as a user sees it."""

from textual.color import Color

from engine.spec import PUBLISHED_INIT, PUBLISHED_TARGET
from tests.tui.behaviours import behaviour
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording
from tests.tui.screen import User, expect, expect_shown
from tui.actions import Place
from tui.settings import THEME_NAMES
from tui.themes import LIGHT


@behaviour(Place.EXPLORER, "cycle_theme")
async def _t_changes_the_colours_and_says_how_to_keep_them(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("t")
    await expect_shown(user, 'Theme light. To keep it: theme = "light"')
    assert LIGHT.background is not None
    await expect(user, lambda: user.app.screen.styles.background == Color.parse(LIGHT.background))
    await user.press(*"t" * (len(THEME_NAMES) - 1))
    await expect_shown(user, "Theme sonar.")


@behaviour(Place.EXPLORER, "copy_command")
async def _ctrl_y_copies_the_command_line_of_the_selected_run(
    user: User, control: RecordingControl, recording: Recording
) -> None:
    await user.press("ctrl+y")
    await expect_shown(user, "Copied: sonar-explore run")
    assert user.app.clipboard == (
        f"sonar-explore run '--init={PUBLISHED_INIT}' '--target={PUBLISHED_TARGET}'"
    )
