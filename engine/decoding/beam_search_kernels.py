"""A step of beam search as three Triton kernels, of which only the first reads all logits.

The best tokens of a hypothesis are among the segments of the vocabulary whose best ones are the highest: only
those segments are looked at again. Of equal candidates the first one counts as the better.
"""
# Triton takes a kernel's annotations for its own.
# mypy: disallow-untyped-defs=False, disallow-incomplete-defs=False, disallow-untyped-decorators=False

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from engine.decoding.beam_search import BeamSearch

SEGMENT = 256
"""Logits of a segment."""

SEGMENTS_TOGETHER = 16
"""That a program of the first kernel looks at."""

_WARPS = 8


def choose(search: "BeamSearch", logits: Tensor, position: Tensor) -> None:
    """As engine.decoding.beam_search.by_torch.

    Args:
        search: of R rows.
        logits: contiguous. # (R, H, V')
        position: where tokens are chosen. # (1,)
    """
    rows, hypotheses, width = logits.shape
    beam, count, texts = search.beam, 2 * search.beam, rows * hypotheses
    pad = -1 if search.symbols.pad is None else search.symbols.pad
    segments = triton.cdiv(width, SEGMENT)
    choosable, highest, sums = logits.new_empty(3, texts, segments, dtype=torch.float32).unbind()
    scores, of_end = (logits.new_empty(*shape, dtype=torch.float32) for shape in ((texts, count), (texts,)))
    tokens = torch.empty(texts, count, dtype=torch.int32, device=logits.device)
    with torch.cuda.device_of(logits):  # type: ignore[no-untyped-call]
        segments_of[(texts, triton.cdiv(segments, SEGMENTS_TOGETHER))](
            logits,
            choosable,
            highest,
            sums,
            width,
            segments,
            pad,
            together=SEGMENTS_TOGETHER,
            size=SEGMENT,
            num_warps=_WARPS,
        )
        best_tokens[(texts,)](
            logits,
            choosable,
            highest,
            sums,
            scores,
            tokens,
            of_end,
            width,
            segments,
            pad,
            search.symbols.end,
            count=count,
            chosen_size=triton.next_power_of_2(count),
            segments_size=triton.next_power_of_2(segments),
            size=SEGMENT,
            num_warps=_WARPS,
        )
        go_on[(rows,)](
            scores,
            tokens,
            of_end,
            position,
            search.rows.last,
            search.scores,
            search.parents,
            search.fed,
            search.tokens,
            search.texts,
            search.ends,
            search.best,
            search.finished,
            search.is_done,
            search.is_broken,
            search.symbols.end,
            search.texts.shape[1],
            hypotheses=hypotheses,
            beam=beam,
            count=count,
            candidates_size=triton.next_power_of_2(hypotheses * count),
            chosen_size=triton.next_power_of_2(count),
            text_size=triton.next_power_of_2(search.texts.shape[1]),
            num_warps=1,
        )


@triton.jit
def key_of(value, place):
    """A number that is the larger, the higher a value is and, of equal ones, the lower its place."""
    bits = value.to(tl.float32).to(tl.int32, bitcast=True)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered.to(tl.int64) << 32) | (0x7FFFFFFF - place).to(tl.int64)


@triton.jit
def value_of(key):
    """The value of a key."""
    ordered = (key >> 32).to(tl.int32)
    return (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
def place_of(key):
    """The place of a key."""
    return 0x7FFFFFFF - (key & 0x7FFFFFFF).to(tl.int32)


@triton.jit
def segments_of(
    logits,
    choosable,
    highest,
    sums,
    width,
    segments,
    pad,
    together: tl.constexpr,
    size: tl.constexpr,
):
    """Highest logit h of each segment (K, S), the same without padding's, and Σ exp(logit − h) (K, S)."""
    text = tl.program_id(0).to(tl.int64)
    numbers = tl.program_id(1) * together + tl.arange(0, together)
    columns = numbers[:, None] * size + tl.arange(0, size)[None, :]
    values = tl.load(logits + text * width + columns, mask=columns < width, other=-float("inf"))
    values = values.to(tl.float32)
    of_segment = tl.max(values, axis=1)
    base = tl.where(of_segment == -float("inf"), 0.0, of_segment)  # a segment may be all padding
    places, is_real = text * segments + numbers, numbers < segments
    tl.store(highest + places, of_segment, mask=is_real)
    tl.store(sums + places, tl.sum(tl.exp(values - base[:, None]), axis=1), mask=is_real)
    best = tl.max(tl.where(columns == pad, -float("inf"), values), axis=1)
    tl.store(choosable + places, best, mask=is_real)


@triton.jit
def best_tokens(
    logits,
    choosable,
    highest,
    sums,
    scores,
    tokens,
    of_end,
    width,
    segments,
    pad,
    end,
    count: tl.constexpr,
    chosen_size: tl.constexpr,
    segments_size: tl.constexpr,
    size: tl.constexpr,
):
    """The likeliest tokens of a hypothesis, their log-probabilities (C,), and that of the end."""
    lowest: tl.constexpr = -(2**63)
    text = tl.program_id(0).to(tl.int64)
    numbers = tl.arange(0, segments_size)
    is_real = numbers < segments
    of_segments = tl.load(highest + text * segments + numbers, mask=is_real, other=-float("inf"))
    parts = tl.load(sums + text * segments + numbers, mask=is_real, other=0.0)
    of_text = tl.max(of_segments, axis=0)
    logarithm = of_text + tl.log(tl.sum(parts * tl.exp(of_segments - of_text), axis=0))
    tl.store(of_end + text, tl.load(logits + text * width + end).to(tl.float32) - logarithm)
    best = tl.load(choosable + text * segments + numbers, mask=is_real, other=-float("inf"))
    keys = tl.where(is_real, key_of(best, numbers), lowest)
    order = tl.arange(0, chosen_size)
    chosen = tl.zeros([chosen_size], tl.int32)
    for place in range(count):
        segment = place_of(tl.max(keys, axis=0))
        chosen = tl.where(order == place, segment, chosen)
        keys = tl.where(numbers == segment, lowest, keys)
    columns = chosen[:, None] * size + tl.arange(0, size)[None, :]
    is_chosen = (order < count) & (order < segments)
    is_token = is_chosen[:, None] & (columns < width)
    values = tl.load(logits + text * width + columns, mask=is_token, other=-float("inf")).to(tl.float32)
    values = tl.where(columns == pad, -float("inf"), values)
    keys_of_tokens = tl.where(is_token, key_of(values, columns), lowest)
    for place in range(count):
        key = tl.max(tl.max(keys_of_tokens, axis=1), axis=0)
        tl.store(scores + text * count + place, value_of(key) - logarithm)
        tl.store(tokens + text * count + place, place_of(key))
        keys_of_tokens = tl.where(keys_of_tokens == key, lowest, keys_of_tokens)


@triton.jit
def go_on(
    of_tokens,
    likeliest,
    of_end,
    position,
    last,
    scores,
    parents,
    fed,
    tokens,
    texts,
    ends,
    best,
    finished,
    is_done,
    is_broken,
    end,
    positions,
    hypotheses: tl.constexpr,
    beam: tl.constexpr,
    count: tl.constexpr,
    candidates_size: tl.constexpr,
    chosen_size: tl.constexpr,
    text_size: tl.constexpr,
):
    """Of a row's candidates, finish those that end, and go on with others."""
    lowest: tl.constexpr = -(2**63)
    row = tl.program_id(0).to(tl.int64)
    now, limit = tl.load(position), tl.load(last + row)
    was_done = tl.load(is_done + row).to(tl.int32) != 0
    must_end = now >= limit
    candidates = tl.arange(0, candidates_size)
    is_real = candidates < hypotheses * count
    hypothesis = candidates // count
    first = row * hypotheses * count
    score = tl.load(of_tokens + first + candidates, mask=is_real, other=0.0)
    only_end = tl.load(of_end + row * hypotheses + hypothesis, mask=is_real, other=0.0)
    only_end = tl.where(candidates % count == 0, only_end, -float("inf"))
    score = tl.where(must_end, only_end, score)
    score += tl.load(scores + row * beam + hypothesis, mask=is_real, other=0.0)
    breaks = tl.max((is_real & (score != score)).to(tl.int32), axis=0) != 0
    keys = tl.where(is_real, key_of(score, candidates), lowest)
    order = tl.arange(0, chosen_size)
    chosen = tl.zeros([chosen_size], tl.int32)
    chosen_score = tl.zeros([chosen_size], tl.float32)
    for place in range(count):
        key = tl.max(keys, axis=0)
        chosen = tl.where(order == place, place_of(key), chosen)
        chosen_score = tl.where(order == place, value_of(key), chosen_score)
        keys = tl.where(keys == key, lowest, keys)
    is_chosen = order < count
    token = tl.load(likeliest + first + chosen, mask=is_chosen, other=0).to(tl.int64)
    token = tl.where(must_end, end, token)
    parent = (chosen // count).to(tl.int64)

    is_end = is_chosen & (token == end)
    finishes = is_end & (order < beam)
    number = tl.sum(finishes.to(tl.int32), axis=0)
    is_first = order == tl.min(tl.where(finishes, order, chosen_size), axis=0)
    final = tl.math.div_rn(tl.sum(tl.where(is_first, chosen_score, 0.0), axis=0), now.to(tl.float32))
    best_before = tl.load(best + row)
    is_better = (number > 0) & (was_done == 0) & (final > best_before)
    parent_of_first = tl.sum(tl.where(is_first, parent, 0), axis=0)
    columns = tl.arange(0, text_size)
    is_column = columns < positions
    text = tl.load(tokens + (row * beam + parent_of_first) * positions + columns, mask=is_column, other=0)
    text = tl.where(columns == now, end, text)
    tl.store(texts + row * positions + columns, text, mask=is_column & is_better)
    tl.store(ends + row, now, mask=is_better)
    best_now = tl.where(is_better, final, best_before)
    tl.store(best + row, best_now)
    finished_now = tl.load(finished + row) + number
    tl.store(finished + row, finished_now)

    goes_on = is_chosen & (is_end == 0)
    ahead, ended = goes_on.to(tl.int32), is_end.to(tl.int32)
    slot = tl.where(
        goes_on, tl.cumsum(ahead, axis=0) - ahead, tl.sum(ahead, axis=0) + tl.cumsum(ended, axis=0) - ended
    )
    has_slot = is_chosen & (slot < beam)
    tl.store(parents + row * beam + slot, parent, mask=has_slot)
    tl.store(fed + row * beam + slot, token, mask=has_slot)
    tl.store(scores + row * beam + slot, chosen_score, mask=has_slot)
    most = tl.sum(tl.where(has_slot & (slot == 0), chosen_score, 0.0), axis=0)
    cannot_be_overtaken = best_now >= tl.math.div_rn(most, limit.to(tl.float32))
    done = was_done | (finished_now >= beam) | cannot_be_overtaken | must_end
    tl.store(is_done + row, done)
    tl.store(is_broken + row, (tl.load(is_broken + row).to(tl.int32) != 0) | (breaks & (was_done == 0)))
