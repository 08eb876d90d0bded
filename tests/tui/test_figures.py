"""Numbers as the screen writes them, and the rate of steps."""

import pytest

from engine.export import short_number
from tui.numbers import (
    duration_text,
    gpu_text,
    loss_text,
    lr_text,
    measure_text,
    norm_text,
    rate_text,
    similarity_text,
)
from tui.step_rate import StepRate


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (loss_text(3.592), "3.5920"),
        (loss_text(-0.506), "-0.5060"),
        (loss_text(0.0), "0.0000"),
        (loss_text(-0.0), "0.0000"),
        (loss_text(0.0000912), "9.1e-05"),
        (loss_text(412.34), "412.3"),
        (loss_text(1e30), "1.0e+30"),
        (loss_text(None), "–"),
        (similarity_text(0.1459), "0.146"),
        (similarity_text(-0.0004), "0.000"),
        (similarity_text(-0.0006), "-0.001"),
        (similarity_text(None), "–"),
        (lr_text(0.015625), "0.01562"),
        (lr_text(0.01), "0.01"),
        (measure_text(-0.0004), "0.000"),
        (measure_text(-12.3456), "-12.3"),
        (short_number(-0.0), "0.000"),
        (short_number(-0.0004), "-4.00e-04"),
        (norm_text(0.2071), "0.207"),
        (norm_text(0.00002), "2.0e-05"),
        (rate_text(25.4), "25/s"),
        (rate_text(3.21), "3.2/s"),
        (rate_text(0.414), "0.41/s"),
        (gpu_text(6_012_954_214, 85_899_345_920, 97), "GPU 5.6/80 GiB 97%"),
        (gpu_text(0, 2**34, 0), "GPU 0.0/16 GiB 0%"),
        (gpu_text(2**30, 2**34, None), "GPU 1.0/16 GiB"),
        (gpu_text(None, None, None), None),
        (duration_text(0.84), "0.8 s"),
        (duration_text(42), "42 s"),
        (duration_text(59.7), "1 min 00 s"),
        (duration_text(185), "3 min 05 s"),
        (duration_text(7800), "2 h 10 min"),
    ],
)
def test_a_number_is_written_short(written: str | None, expected: str | None) -> None:
    assert written == expected


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = StepRate()
    assert rate.steps_per_second is None
    rate.arrived(0, 100.0)
    assert rate.steps_per_second is None
    rate.arrived(10, 101.0)
    assert rate.steps_per_second == pytest.approx(10.0)
    for second in range(1, 20):
        rate.arrived(10 + 30 * second, 101.0 + second)
    assert rate.steps_per_second == pytest.approx(30.0)
    rate.restart()
    assert rate.steps_per_second is None


def test_two_readings_at_once_make_no_rate() -> None:
    rate = StepRate()
    rate.arrived(0, 100.0)
    rate.arrived(2000, 100.1)
    assert rate.steps_per_second is None
