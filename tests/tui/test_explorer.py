"""The main screen shows what is in the database, and follows it."""

import re
import sqlite3
from pathlib import Path

from engine.batched import batched_detail
from engine.store.records import Status
from tests.tui.conftest import RecordingControl
from tests.tui.recording import Recording, published_like_rows, row
from tests.tui.screen import (
    LARGE,
    MEDIUM,
    SMALL,
    expect,
    expect_said,
    expect_shown,
    lines,
    opened,
    runs_of,
    table_of,
    text,
)
from tui.app import ExplorerApp


async def test_without_a_database_it_says_how_to_begin_and_waits_for_one(
    tmp_path: Path, empty_database: Path
) -> None:
    database = tmp_path / "later.db"
    async with opened(database) as user:
        await expect_shown(user, "No runs yet", "Press p to start the published experiment")
        database.write_bytes(empty_database.read_bytes())
        recording = Recording(database)
        recording.begin()
        recording.close()
        await expect_shown(user, "today/1", "● running")
        assert "No runs yet" not in text(user)


async def test_looking_changes_nothing(database: Path) -> None:
    before = database.read_bytes()
    async with opened(database) as user:
        await expect_shown(user, "No runs yet")
    assert database.read_bytes() == before


async def test_a_file_that_is_no_database_gets_one_line_and_the_app_lives(tmp_path: Path) -> None:
    database = tmp_path / "notes.txt"
    database.write_text("not a database, but long enough to have a header")
    async with opened(database) as user:
        await expect_said(user, "is not an SQLite database")
        await user.press("question_mark")
        await expect_shown(user, "Anywhere on the main screen")


async def test_a_damaged_database_gets_one_line_and_is_read_again_when_mended(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 50))
    recording.close()
    whole = database.read_bytes()
    database.write_bytes(whole[:100] + b"\xff" * 8000 + whole[8100:])
    async with opened(database) as user:
        await expect_shown(user, "database:")
        database.with_name("mended").write_bytes(whole)
        database.with_name("mended").replace(database)
        await expect_shown(user, "today/1", "step 49 of 100")
        await expect(user, lambda: "database:" not in text(user))


async def test_a_newer_database_is_shown_with_a_notice(database: Path, recording: Recording) -> None:
    recording.begin()
    connection = sqlite3.connect(database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    async with opened(database) as user:
        await expect_shown(user, "9999", "newer", "today/1")


async def test_the_header_says_where_a_run_stands(database: Path, recording: Recording) -> None:
    run = recording.begin(name="first try")
    recording.steps(run, published_like_rows(run, 43))
    async with opened(database) as user:
        await expect_shown(
            user,
            "today/1  first try, ce loss, mini on cpu",
            "I like cheese. → Once upon a time, there was a little girl named Lily.",
            "loss 0.1032   sim 0.149   lr 0.01   |z| 0.207   ✓ match, first at step 10",
            "step 42 of 100 ━",
            "● running",
        )


async def test_the_header_says_with_how_many_others_a_run_is_stepped(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 43))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "step 42 of 100")
        assert "batched with" not in text(user)
        for kind, detail, shown in (
            ("batched", batched_detail(32, "1–32"), "batched with 31 others"),
            ("batched", batched_detail(1, "1"), None),
            ("batched", batched_detail(2, "1, 2"), "batched with 1 other"),
            ("started", "", None),  # another worker has taken it up
        ):
            recording.event(run, 43, kind, detail)
            if shown:
                await expect_shown(user, shown)
            else:
                await expect(user, lambda: "batched with" not in text(user))
    recording.event(run, 43, "batched", batched_detail(8, "1–8"))
    async with opened(database, size=SMALL) as user:
        await expect_shown(user, "batched with 7 others")
        recording.end(run, 43, Status.STOPPED)
        await expect(user, lambda: "batched with" not in text(user))


async def test_rows_appear_as_they_are_recorded(database: Path, recording: Recording) -> None:
    run = recording.begin()
    async with opened(database, size=LARGE) as user:
        await expect_shown(user, "● running", "started")
        recording.steps(run, [row(run, 0, loss=3.592, similarity=0.05, decoded_prediction="I eat cheese.")])
        await expect_shown(user, "3.5920")
        assert re.search(r"0 +3\.5920 +0\.050 +0\.01 .* I eat cheese\.", text(user))
        recording.steps(run, [row(run, 1, loss=None)])
        await expect_shown(user, "not finite")


async def test_events_stand_where_they_happened(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, [row(run, step) for step in range(5)])
    recording.set_lr(run, 5, 0.01, 0.0125)
    recording.steps(run, [row(run, step) for step in range(5, 8)])
    recording.pause(run, 8)
    async with opened(database) as user:
        await expect_shown(user, "── paused ─", "◆ paused", "space goes on")
        rows = [line[31:].strip() for line in lines(user)]
        changed = next(place for place, line in enumerate(rows) if "lr 0.01 → 0.0125" in line)
        assert rows[changed - 1].startswith("4 ")
        assert rows[changed + 1].startswith("5 ")
        paused = next(place for place, line in enumerate(rows) if line.startswith("── paused"))
        assert rows[paused - 1].startswith("7 ")
        recording.event(run, 8, "resumed")
        recording.steps(run, [row(run, 8)])
        await expect(user, lambda: any(line[31:].strip().startswith("8 ") for line in lines(user)))
        rows = [line[31:].strip() for line in lines(user)]
        assert rows[paused + 1].startswith("── resumed")
        assert rows[paused + 2].startswith("8 ")


async def test_pending_commands_are_shown_until_they_are_answered(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    command = recording.ask(run, "set", {"lr": 0.02})
    recording.ask(run, "pause")
    async with opened(database) as user:
        await expect_shown(user, "pending: lr 0.02, pause")
        recording.reject(command, "the run is busy")
        await expect_shown(user, "pending: pause")
        assert "lr 0.02" not in text(user)


async def test_a_rejection_is_shown_with_its_reason(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.reject(recording.ask(run, "pause"), "the run is paused already")
    async with opened(database) as user:
        await expect_shown(user, "rejected: pause: the run is paused already")


async def test_what_cannot_be_asked_is_said_and_nothing_stays_pending(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    recording.begin()
    control.refusal = "run 1: has ended (finished)"
    async with opened(database, control) as user:
        await expect_shown(user, "● running")
        await user.press("space")
        await expect_shown(user, "run 1: has ended (finished)")
        assert "pending" not in text(user)


async def test_keys_for_a_run_say_so_when_there_is_none(database: Path, control: RecordingControl) -> None:
    async with opened(database, control) as user:
        await expect_shown(user, "No runs yet")
        await user.press("space")
        await expect_shown(user, "There is no run yet")
        assert control.requested == []


async def test_a_run_queued_while_leaving_is_saved_and_named(
    database: Path, control: RecordingControl
) -> None:
    async with opened(database, control) as user:
        await expect_shown(user, "No runs yet")
        await user.press("p", "q")
        await expect(user, lambda: not user.app.is_running)
    assert len(control.queued) == 1
    assert isinstance(user.app, ExplorerApp)
    assert user.app.farewell.startswith("Run 1 goes on without this screen.")


async def test_a_failed_run_gives_its_reason_and_what_to_do(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 7))
    recording.end(run, 6, Status.FAILED, "step 6: the loss is not finite")
    for size in (SMALL, MEDIUM):
        async with opened(database, size=size) as user:
            await expect_shown(user, "✗ failed", "step 6: the loss is not finite; r tries again from")


async def test_a_run_that_failed_before_its_first_row_has_nothing_to_go_on_from(
    database: Path, recording: Recording
) -> None:
    recording.end(recording.begin(), 0, Status.FAILED, "device: cuda:0 cannot be used")
    async with opened(database) as user:
        await expect_shown(user, "✗ failed", "device: cuda:0 cannot be used; r tries again")
        assert "checkpoint" not in text(user)


async def test_a_crashed_run_says_how_to_go_on(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 7))
    async with opened(database) as user:
        await expect_shown(user, "● running")
        recording.abandon(run)
        await expect_shown(user, "! crashed", "r goes on from the last checkpoint")


async def test_a_published_run_is_marked(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.end(run, 0, Status.FINISHED)
    recording.set_origin(run, "published")
    async with opened(database) as user:
        await expect_shown(user, "■ published", "it can be looked at, not gone on with")


async def test_a_queued_run_without_a_worker_gets_one(
    database: Path, recording: Recording, control: RecordingControl
) -> None:
    recording.queue()
    async with opened(database, control) as user:
        await expect_shown(user, "○ queued", "worker of cpu: not there yet")
        await expect(user, lambda: control.workers)
        assert set(control.workers) == {"cpu"}
        recording.serve("loading mini")
        await expect_shown(user, "worker of cpu: loading mini")


async def test_a_run_that_goes_back_to_a_checkpoint_is_read_anew(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, [row(run, step, loss=1.0 + step) for step in range(8)])
    async with opened(database) as user:
        await expect_shown(user, "8.0000")
        recording.steps(run, [row(run, step, loss=50.0 + step) for step in range(5, 8)])
        recording.event(run, 5, "started")
        await expect_shown(user, "57.0000", "5.0000")
        assert "8.0000" not in text(user)


async def test_new_runs_do_not_take_the_selection_away(database: Path, recording: Recording) -> None:
    first = recording.begin()
    recording.steps(first, published_like_rows(first, 5))
    async with opened(database) as user:
        await expect_shown(user, "step 4 of 100")
        for number in range(40):
            recording.queue(target=f"Sentence {number}.")
        await expect(user, lambda: len(runs_of(user).runs) == 41)
        await expect_shown(user, "today/1", "step 4 of 100")


async def test_another_run_s_rows_replace_the_table(database: Path, recording: Recording) -> None:
    first = recording.begin()
    recording.steps(first, [row(first, 0, loss=1.2345)])
    second = recording.begin()
    recording.steps(second, [row(second, 0, loss=6.789)])
    async with opened(database) as user:
        await expect_shown(user, "6.7890", "loss 6.7890")
        await user.press("down")
        await expect_shown(user, "loss 1.2345")
        await expect(user, lambda: sum("6.7890" in line for line in lines(user)) == 1)


async def test_a_narrow_screen_keeps_what_matters_and_a_wide_one_shows_all(
    database: Path, recording: Recording
) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    headings = {
        SMALL: "step loss sim ✓ prediction ≠ previous",
        MEDIUM: "step loss sim ✓ prediction ≠ previous z ≠ previous",
        LARGE: "step loss sim lr ✓ prediction ≠ previous z ≠ previous",
        (200, 50): "step loss sim lr |z| ✓ prediction ≠ previous z ≠ previous",
    }
    for size, heading in headings.items():
        async with opened(database, size=size) as user:
            await expect_shown(user, "✓  Once upon a time")
            assert any(heading.split() == line[24:].split()[-len(heading.split()) :] for line in lines(user))
            assert all(len(line) == size[0] for line in lines(user))
            assert len(lines(user)) == size[1]


async def test_fifty_thousand_rows_are_opened_whole_and_painted_anywhere(
    database: Path, recording: Recording
) -> None:
    run = recording.begin(steps=100_000)
    recording.many_steps([row(run, step, loss=float(step % 7)) for step in range(50_000)])
    async with opened(database) as user:
        await expect_shown(user, "49999 ")
        await user.press("tab", "home")
        await expect_shown(user, "    0      0.0000", "    1      1.0000")
        table_of(user).scroll_to(y=31_415, animate=False, force=True)
        await expect_shown(user, "31415      6.0000")
        recording.steps(run, [row(run, 50_000)])
        await expect_shown(user, "1 new ↓")
        await user.press("end")
        await expect_shown(user, "50000 ")
        painted = [line for line in lines(user) if re.search(r"\d{5} +\d\.\d{4}", line)]
        assert 20 < len(painted) < 40


async def test_the_rate_and_the_time_left_come_from_steps_as_they_arrive(
    database: Path, recording: Recording
) -> None:
    now = [1000.0]
    run = recording.begin()
    recording.steps(run, [row(run, 0)])
    async with opened(database, clock=lambda: now[0]) as user:
        await expect_shown(user, "step 0 of 100")
        now[0] += 2
        recording.steps(run, [row(run, step) for step in range(1, 51)])
        await expect_shown(user, "step 50 of 100", "25/s, 2.0 s left")
        recording.pause(run, 51)
        await expect_shown(user, "◆ paused")
        assert "/s," not in text(user)
