"""Numbers as the screen shows them: short, aligned under one another, and a zero never with a minus."""

MISSING = "–"
"""Stands where there is no value yet."""

NOT_FINITE = "not finite"

_GIB = 2**30
_MEASURE_CELLS = 6
_ROUNDING = 1e-6


def loss_text(loss: float | None) -> str:
    """A loss or one of its terms: `3.5920`, `-0.5060`, `412.3`, `9.1e-05`."""
    if loss is None:
        return MISSING
    size = abs(loss)
    if size and (size < 0.001 or size >= 100_000):
        return f"{loss:.1e}"
    return f"{loss:z.4f}" if size < 100 else f"{loss:.1f}"


def similarity_text(similarity: float | None) -> str:
    """A cosine, −1 to 1: `0.146`."""
    return MISSING if similarity is None else f"{similarity:z.3f}"


def lr_text(lr: float | None) -> str:
    """A learning rate in four significant digits: `0.0125`."""
    return MISSING if lr is None else f"{lr:z.4g}"


def norm_text(norm: float | None) -> str:
    """An L2 norm: `0.207`."""
    if norm is None:
        return MISSING
    return f"{norm:z.3f}" if 0.001 <= norm < 1000 or norm == 0 else f"{norm:.1e}"


def measure_text(value: float | None) -> str:
    """What is measured of a row, in at most six cells where that is possible: `0.123`, `12.346`, `1234.6`."""
    if value is None:
        return MISSING
    texts = (f"{value:z.3f}", f"{value:z.1f}", f"{value:.0e}")
    return next((text for text in texts if len(text) <= _MEASURE_CELLS), texts[-1])


def is_constant(low: float, high: float) -> bool:
    """Whether the lowest and the highest of some values differ by no more than float32's rounding."""
    return high - low <= _ROUNDING * max(abs(low), abs(high))


def gpu_text(used: int | None, total: int | None, utilisation: int | None) -> str | None:
    """Memory and use of a card: `GPU 5.6/80 GiB 97%`; None where they are not known.

    Args:
        used: Bytes.
        total: Bytes.
        utilisation: Percent.
    """
    if used is None or not total:
        return None
    use = "" if utilisation is None else f" {utilisation}%"
    return f"GPU {used / _GIB:.1f}/{total / _GIB:.0f} GiB{use}"


def size_text(size_bytes: int) -> str:
    """A size: `512 B`, `4.0 KiB`, `1.3 GiB`."""
    size, units = float(size_bytes), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 999.5 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} B" if units[0] == "B" else f"{size:.{1 if size < 99.95 else 0}f} {units[0]}"


def rate_text(steps_per_second: float) -> str:
    """Steps a second: `25/s`, `3.2/s`, `0.41/s`."""
    decimals = 0 if steps_per_second >= 20 else 1 if steps_per_second >= 1 else 2
    return f"{steps_per_second:.{decimals}f}/s"


def duration_text(seconds: float) -> str:
    """A length of time: `0.8 s`, `42 s`, `3 min 05 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
