"""What `bundles` says: a bundle's parts, and what came of trying one out."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine.bundles import Bundle
from engine.catalog.bundle_parts import Part
from engine.catalog.downloads import shown_bytes
from engine.errors import UserError


def bundle_lines(bundle: Bundle, parts: Sequence[Part]) -> Iterator[str]:
    """A bundle's name, what it is and its licence; a line for each part."""
    yield f"{bundle.name}: {bundle.summary}; {bundle.licence}"
    for part in parts:
        source = part.source if part.address else "local"
        yield f"  {part.name:<9}  {_size(part):>8}  {source:<26}  {_where(part)}"


def try_out(name: str, options: Sequence[str], *, progress: Callable[[str], None]) -> Mapping[str, Any]:
    """Have a bundle loaded and tried out by a process that may import torch.

    Args:
        name: Of the bundle.
        options: Of engine.apart.bundle_check.
        progress: Called with a line for each thing that it does.

    Returns:
        What it found (engine.apart.bundle_check).

    Raises:
        UserError: the bundle cannot be loaded.
    """
    command = [sys.executable, "-m", "engine.apart.bundle_check", name, *options]
    last_line = "no message"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:  # a library that prints
                last_line = line.strip() or last_line
                continue
            if "progress" in said:
                progress(said["progress"])
            elif "error" in said:
                raise UserError(said["error"])
            elif "found" in said:
                found: Mapping[str, Any] = said["found"]
                return found
    raise UserError(f"bundle: {name}: trying it out ended with {process.returncode}: {last_line}")


def is_well(found: Mapping[str, Any]) -> bool:
    """Whether runs can be made of it: finite numbers, and at least half of the sentences came back."""
    return bool(found["is_finite"]) and 2 * _exact(found) >= len(found["round_trips"])


def report_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for people."""
    device, encoder = found["device"], found["encoder_device"]
    where = device if encoder == device else f"{device}, encoder on {encoder}"
    yield f"{found['bundle']}: loaded in {found['seconds']:.1f} s on {where}, {found['dtype']}"
    for part, parameters in found["parameters"].items():
        yield f"  {part:<9}  {parameters / 1e6:,.1f} M parameters"
    if found["card_bytes"] is not None:
        yield f"  memory     {found['card_bytes'] / 2**30:.1f} GiB of the card at most"
    yield f"  digest     {found['digest']}"
    if found["wrong_digest"] is not None:
        yield f"             {found['wrong_digest']} was remembered: WRONG, and forgotten"
    yield f"  embedding  {found['dimension']} dimensions, norm {found['norm']:.3f} of simple sentences"
    if not found["is_finite"]:
        yield "  embedding  NOT FINITE: the weights are damaged, or too large for this precision"
    yield f"round trips: {_exact(found)} of {len(found['round_trips'])} came back exactly"
    for trip in found["round_trips"]:
        if not _came_back(trip):
            yield f"  {trip['text']!r} came back as {trip['came_back']!r}"
    yield f"after {found['first']!r} comes {found['next']!r}"
    if not is_well(found):
        yield "too few came back: encoder, decoder and tokenizer do not seem to belong together"


def _exact(found: Mapping[str, Any]) -> int:
    return sum(map(_came_back, found["round_trips"]))


def _came_back(trip: Mapping[str, str]) -> bool:
    return trip["came_back"].strip() == trip["text"]


def _size(part: Part) -> str:
    if part.bytes is None:
        return ""
    return shown_bytes(part.bytes) if part.is_here else f"~{shown_bytes(part.bytes)}"


def _where(part: Part) -> str:
    if part.path is not None:
        return str(part.path)
    if part.address is None:
        return f"MISSING: {part.place}"
    return f"not here; {shown_bytes(part.bytes_here)} of it fetched" if part.bytes_here else "not here"
