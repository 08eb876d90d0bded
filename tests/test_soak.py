"""The soak benchmark runs, at a size that takes seconds."""

import re
from pathlib import Path

from benchmarks.soak import measure


def test_it_reports_sizes_memory_and_times(tmp_path: Path) -> None:
    report = "\n".join(measure(tmp_path, 200, 3, 10, settle_s=0.2))
    assert re.search(r"the long run: 200 steps, [\d,]+ a second while it is watched", report)
    assert re.search(r"memory of the viewer: \d+ MiB at 10%, \d+ MiB at 50%, \d+ MiB at 100%", report)
    (size,) = re.findall(r"file: .* ([\d,]+) bytes a step with every z of 1024", report)
    assert 4096 < int(size.replace(",", "")) < 20_000
    assert "opening and listing 4 runs: " in report
    assert report.count("search: ") == 3
