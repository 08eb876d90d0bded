"""How fast the embedded models step and decode on this machine."""

import statistics
import time

from engine import RunSpec, load_bundle
from engine.decoding import decode
from engine.optimizer import Optimization

STEPS = 100
DECODINGS = 10


def measure() -> list[tuple[str, float, str]]:
    """Steps a second by objective, milliseconds a decoding by beam."""
    start = time.perf_counter()
    bundle = load_bundle("mini")
    results = [(f"loading mini on {bundle.device}, imports included", time.perf_counter() - start, "s")]
    for weights in ({"ce": 1.0}, {"cosine": 1.0}):
        spec = RunSpec(weights=weights, steps=STEPS, decode_every=STEPS)
        optimization = Optimization([spec], bundle)
        times_ms = [optimization.advance()[0].elapsed_ms for _ in range(STEPS - 1)]
        step_ms = statistics.median(times_ms[5:])
        results += [
            (f"a step, {spec.loss_name}", step_ms, "ms"),
            (f"steps a second, {spec.loss_name}", 1e3 / step_ms, "/s"),
        ]
    embeddings = bundle.encode(["I like cheese.", "Once upon a time, there was a little girl named Lily."])
    for beam in (1, 5):
        times_ms = []
        for _ in range(DECODINGS):
            start = time.perf_counter()
            decode(bundle, embeddings, beam=beam, max_tokens=51)
            times_ms.append((time.perf_counter() - start) * 1e3)
        results.append((f"decoding two sentences, beam {beam}", statistics.median(times_ms), "ms"))
    return results
