"""Every theme can be read: contrast as WCAG 2 counts it, and signs besides the colours."""

from pathlib import Path

import pytest
from textual.color import Color
from textual.theme import Theme

from tests.tui.recording import Recording, published_like_rows
from tests.tui.screen import expect, opened, strips, text
from tui.settings import THEME_NAMES, Settings
from tui.themes import THEMES, next_theme
from tui.widgets.badges import MATCH, NO_MATCH, STATUS_BADGES

_TRUE_COLOUR = [theme for theme in THEMES if not theme.ansi]
_BACKGROUNDS = ("background", "surface", "panel", "selection")


def _luminance(colour: Color) -> float:
    """Relative luminance of sRGB (WCAG 2.2)."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (colour.r / 255, colour.g / 255, colour.b / 255)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: Color, other: Color) -> float:
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _colours(theme: Theme) -> dict[str, Color]:
    variables = {**theme.to_color_system().generate(), **theme.variables}
    names = (*_BACKGROUNDS, "foreground", "primary", "success", "warning", "error", "text-muted")
    return {name: Color.parse(variables[name]) for name in names}


def test_the_contrast_of_black_on_white_is_what_wcag_says() -> None:
    assert _contrast(Color.parse("#000000"), Color.parse("#ffffff")) == pytest.approx(21.0)
    assert _contrast(Color.parse("#777777"), Color.parse("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", _TRUE_COLOUR, ids=lambda theme: theme.name)
@pytest.mark.parametrize("behind", _BACKGROUNDS)
def test_text_stands_out(theme: Theme, behind: str) -> None:
    colours = _colours(theme)
    for name in ("foreground", "primary", "success", "warning", "error"):
        assert _contrast(colours[name], colours[behind]) >= 4.5, name
    assert _contrast(colours["text-muted"], colours[behind]) >= 3.0


@pytest.mark.parametrize("theme", _TRUE_COLOUR, ids=lambda theme: theme.name)
def test_the_badge_that_is_drawn_reversed_stands_out(theme: Theme) -> None:
    colours = _colours(theme)
    assert _contrast(colours["background"], colours["primary"]) >= 4.5


def test_the_colour_blind_theme_tells_well_from_ill_by_blue_and_not_by_green() -> None:
    (theme,) = (theme for theme in THEMES if theme.name == "colour-blind")
    good, bad = _colours(theme)["success"], _colours(theme)["error"]
    assert good.b > good.r + 100
    assert bad.r > bad.b + 100


def test_states_have_signs_of_their_own() -> None:
    signs = [*(badge.sign for badge in STATUS_BADGES.values()), MATCH, NO_MATCH]
    assert len(set(signs)) == len(signs)


def test_the_names_are_those_that_can_be_set_and_cycle() -> None:
    assert tuple(theme.name for theme in THEMES) == THEME_NAMES
    assert [next_theme(name) for name in THEME_NAMES] == [*THEME_NAMES[1:], THEME_NAMES[0]]


async def test_the_ansi_theme_paints_sixteen_colours_only(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 60))
    async with opened(database, settings=Settings(theme="ansi")) as user:
        await expect(user, lambda: "step 59 of 100" in text(user))
        for keys in ([], ["tab", "up"], ["question_mark"], ["escape", "n"], ["escape", "ctrl+p"]):
            await user.press(*keys)
            await user.pause()
            for strip in strips(user):
                for segment in strip:
                    for colour in (segment.style.color, segment.style.bgcolor) if segment.style else ():
                        shown = (segment.text, colour)
                        assert colour is None or colour.is_system_defined, shown
                        assert colour is None or (colour.number or 0) < 16, shown


@pytest.mark.parametrize("name", THEME_NAMES)
async def test_each_theme_can_be_set(database: Path, name: str) -> None:
    async with opened(database, settings=Settings(theme=name)) as user:
        await expect(user, lambda: "No runs yet" in text(user))
        assert user.app.current_theme.name == name


async def test_the_palette_lists_the_themes(database: Path) -> None:
    async with opened(database) as user:
        await expect(user, lambda: "No runs yet" in text(user))
        await user.press("ctrl+p")
        await user.press(*"theme: colour")
        await expect(user, lambda: "Theme: colour-blind" in text(user))
        await user.press("enter")
        await expect(user, lambda: user.app.theme == "colour-blind")
