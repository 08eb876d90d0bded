"""How long a device is at something."""

import time

import torch


class Stopwatch:
    """Begins when it is made. On CUDA it is the device that begins and ends: nobody waits."""

    def __init__(self, device: torch.device) -> None:
        """`device`: whose current stream does what is timed."""
        self._device = device
        self._began, self._ended = self._now(), self._now()

    def stop(self) -> None:
        """End with what has been launched so far."""
        self._ended = self._now()

    def elapsed_ms(self) -> float:
        """Milliseconds; to be asked when what is timed is known to be done."""
        if isinstance(self._began, float):
            assert isinstance(self._ended, float)
            return (self._ended - self._began) * 1000
        return float(self._began.elapsed_time(self._ended))  # type: ignore[no-untyped-call]

    def _now(self) -> "float | torch.cuda.Event":
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))  # type: ignore[no-untyped-call]
        return event
