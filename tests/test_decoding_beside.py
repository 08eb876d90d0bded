"""What decoding costs the steps, as the benchmark measures it: at mini size on the CPU."""

from unittest.mock import patch

import torch

from benchmarks import decoding_beside
from benchmarks.random_models import MINI, random_bundle
from engine.ahead import Ahead
from engine.steps.step import Step


def test_every_row_is_decoded_and_none() -> None:
    bundle = random_bundle(MINI, device=torch.device("cpu"), dtype=torch.float32, with_encoder=False)
    rows: list[Step] = []
    advance = Ahead.advance

    def noted(self: Ahead) -> list[Step]:
        found = advance(self)
        rows.extend(found)
        return found

    with patch.object(decoding_beside, "_WARM_UP", 1), patch.object(Ahead, "advance", noted):
        plain_ms, decoding_ms = decoding_beside.slow_down(bundle, 8, beam=2, tokens=3)
    assert 0 < plain_ms < decoding_ms
    assert [row.decoded_prediction is not None for row in rows] == [True] + [False] * 8 + [True] * 9
    assert all(len((row.decoded_prediction or "").split()) <= 3 for row in rows)


def test_the_hosts_part_grows_with_the_runs() -> None:
    """On the CPU the step itself is the host's too."""
    bundle = random_bundle(MINI, device=torch.device("cpu"), dtype=torch.float32, with_encoder=False)
    one, many = (decoding_beside.host_ms(bundle, runs=runs, steps=2) for runs in (1, 8))
    assert 0 < one < many
