"""The benchmark of many runs: the database that it makes is one that this program reads."""

from pathlib import Path

from benchmarks.many_runs import STEPS, measure_reading, save_many
from engine.store.reading import Reader


def test_the_database_holds_whole_runs_and_can_be_measured(tmp_path: Path) -> None:
    database = tmp_path / "many.db"
    save_many(database, 3)
    with Reader(database) as reader:
        assert [run.id for run in reader.runs()] == [1, 2, 3]
        rows = list(reader.all_steps(2))
        assert [row.step for row in rows] == list(range(STEPS))
        assert rows[50].match
        assert len(reader.vector_steps(2, "z")) in (0, STEPS)
    measured = list(measure_reading(database, 3))
    assert [what for what, *_ in measured][:2] == ["reading 3 runs", "reading the sessions"]
    assert all(value > 0 for _, value, *_ in measured)
