"""`fork`: queue a run that starts from a row of another one, and follow it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tui.forms import Form
from tui.verbs.arguments import DatabaseOption, RunArgument, chosen_database, run_number, step_number
from tui.verbs.run_options import (
    BeamOption,
    BreakPointsOption,
    BundleOption,
    DecodeEveryOption,
    DetachOption,
    DeviceOption,
    DtypeOption,
    LossOption,
    LrOption,
    MaxDecodedTokensOption,
    NameOption,
    NormOption,
    RowsOption,
    SeedOption,
    SessionOption,
    StepsOption,
    TargetOption,
    VectorsOption,
    WeightOption,
    follow_or_print,
    given_fields,
    number_of,
    weights_of,
)


def fork(
    context: typer.Context,
    run: RunArgument,
    step: Annotated[
        str,
        typer.Option("--step", metavar="STEP", show_default=False, help="Row of the parent to start from."),
    ],
    target: TargetOption = None,
    loss: LossOption = None,
    weight: WeightOption = None,
    lr: LrOption = None,
    steps: StepsOption = None,
    norm: NormOption = None,
    decode_every: DecodeEveryOption = None,
    beam: BeamOption = None,
    max_decoded_tokens: MaxDecodedTokensOption = None,
    break_points: BreakPointsOption = None,
    seed: SeedOption = None,
    bundle: BundleOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    vectors: VectorsOption = None,
    session: SessionOption = None,
    name: NameOption = None,
    form: RowsOption = Form.TABLE,
    detach: DetachOption = False,
    db: DatabaseOption = None,
) -> None:
    """Start a run from the z of a row, with the optimiser's state where a checkpoint has it.

    What is left out is as it was in that row of the parent, and not the value in parentheses.

    With the state the fork goes on from that step as its parent did, and --steps says where it ends. Without
    it a run with a fresh optimiser begins at step 0, and stderr says why. For that in any case use
    run --init-vector RUN:STEP.
    """
    fields = given_fields(
        target=target,
        weights=weights_of(loss, weight),
        lr=number_of(lr),
        steps=number_of(steps),
        norm=number_of(norm),
        decode_every=number_of(decode_every),
        beam=number_of(beam),
        max_decoded_tokens=number_of(max_decoded_tokens),
        seed=number_of(seed),
        bundle=bundle,
        device=device,
        dtype=dtype,
        vectors=vectors,
    )
    row = run_number(run), step_number(step)
    database = chosen_database(context, db)
    run_id = _queue(database, row, fields, session, name, break_points or ())
    follow_or_print(database, run_id, form, detach=detach)


def _queue(
    database: Path,
    row: tuple[int, int],
    fields: Mapping[str, object],
    session: str | None,
    name: str | None,
    break_points: Sequence[str],
) -> int:
    from engine.control import queue_forks
    from engine.forking import fork_point
    from engine.spec import with_changes
    from engine.store.reading import Reader

    with Reader(database) as reader:
        point = fork_point(reader, *row)
    spec = with_changes(point.spec, **fields)
    (run_id,) = queue_forks(database, *row, [spec], session=session, names=[name], break_points=break_points)
    origin = point.origin(bundle=spec.bundle, norm=spec.norm)
    print(f"run {run_id}: queued in {database}; from {origin}", file=sys.stderr)
    return run_id
