"""`run`: queue a run and follow it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from tui.forms import Form
from tui.verbs.arguments import DatabaseOption, chosen_bundle, chosen_database
from tui.verbs.run_options import (
    BeamOption,
    BreakPointsOption,
    BundleOption,
    DecodeEveryOption,
    DetachOption,
    DeviceOption,
    DtypeOption,
    InitOption,
    InitRandomOption,
    InitVectorOption,
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
    initial_of,
    number_of,
    weights_of,
)


def run(
    context: typer.Context,
    init: InitOption = None,
    init_random: InitRandomOption = None,
    init_vector: InitVectorOption = None,
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
    """Queue a run and follow it. Without options: the published experiment on the embedded models.

    Values in parentheses are the defaults. Ctrl-C leaves the run going.
    """
    fields = given_fields(
        init=initial_of(init, init_random, init_vector),
        target=target,
        weights=weights_of(loss, weight),
        lr=number_of(lr),
        steps=number_of(steps),
        norm=number_of(norm),
        decode_every=number_of(decode_every),
        beam=number_of(beam),
        max_decoded_tokens=number_of(max_decoded_tokens),
        seed=number_of(seed),
        bundle=chosen_bundle(bundle),
        device=device,
        dtype=dtype,
        vectors=vectors,
    )
    database = chosen_database(context, db)
    run_id = _queue(database, fields, session, name, break_points or ())
    follow_or_print(database, run_id, form, detach=detach)


def _queue(
    database: Path,
    fields: Mapping[str, object],
    session: str | None,
    name: str | None,
    break_points: Sequence[str],
) -> int:
    from engine.control import queue_run
    from engine.spec import parse_spec

    spec = parse_spec(**fields)
    run_id = queue_run(database, spec, session=session, name=name, break_points=break_points)
    print(f"run {run_id}: queued in {database}", file=sys.stderr)
    return run_id
