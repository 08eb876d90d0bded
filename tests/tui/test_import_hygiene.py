"""The explorer is on the screen before anything heavy is imported."""

import json
import subprocess
import sys
from pathlib import Path

from tests.tui.recording import Recording, published_like_rows

_NEVER = ("torch", "fairseq2", "sonar", "transformers", "torchaudio")
_NOT_AT_FIRST = ("sqlmodel", "sqlalchemy", "pydantic", "alembic", "sentencepiece")

_PAINT_ONCE = """
import asyncio, json, sys
from pathlib import Path
from tui.app import ExplorerApp

async def main():
    app = ExplorerApp(Path(sys.argv[1]))
    async with app.run_test(size=(120, 40)) as user:
        for _ in range(2000):
            shown = "\\n".join(strip.text for strip in app.screen._compositor.render_strips())
            if sys.argv[2] in shown:
                break
            await asyncio.sleep(0.01)
        else:
            raise SystemExit(f"never shown: {shown}")
        print(json.dumps(sorted(name.partition(".")[0] for name in sys.modules)))

asyncio.run(main())
"""


def test_the_first_paint_of_a_run_imports_nothing_heavy(database: Path, recording: Recording) -> None:
    run = recording.begin()
    recording.steps(run, published_like_rows(run, 31))
    done = subprocess.run(
        [sys.executable, "-c", _PAINT_ONCE, str(database), "step 30 of 100"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout))
    assert "textual" in imported
    assert not imported & {*_NEVER, *_NOT_AT_FIRST}


def test_the_form_imports_no_models() -> None:
    program = "import sys, tui.screens.new_run; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert "pydantic" in done.stdout.split()
    assert not set(done.stdout.split()) & {*_NEVER, "sqlmodel", "sqlalchemy"}
