"""`bundles`: which model bundles there are, get one, try one out."""

import json
from typing import Annotated

import typer

from engine.errors import UserError
from tui.exit_codes import ExitCode
from tui.forms import ConfigForm, ListForm
from tui.text import safe_text

NameArgument = Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="Name of the bundle.")]
FormOption = Annotated[ListForm, typer.Option("--format", help="How they are printed.")]

bundles = typer.Typer(help="List the model bundles; fetch one, check one.")


@bundles.callback(invoke_without_command=True)
def bundles_or_verb(context: typer.Context, form: FormOption = ListForm.TABLE) -> None:
    """List the model bundles, part by part; with a verb behind it, fetch or check one."""
    if context.invoked_subcommand is None:
        list_bundles(form)
    elif form is not ListForm.TABLE:
        raise UserError(f"bundles: --format goes behind {context.invoked_subcommand}")


@bundles.command("list")
def list_bundles(form: FormOption = ListForm.TABLE) -> None:
    """List the model bundles: their parts, how large, whether they are on this machine and where."""
    from engine.bundles import all_bundles
    from engine.catalog.bundle_parts import as_json, cards_of, parts_of
    from tui.bundle_lines import bundle_lines

    known = all_bundles()
    cards = cards_of(known.values())
    if form is ListForm.JSONL:
        for bundle in known.values():
            parts = [as_json(part) for part in parts_of(bundle, cards)]
            described = {"name": bundle.name, "summary": bundle.summary, "licence": bundle.licence}
            typer.echo(json.dumps({**described, "parts": parts}, ensure_ascii=False))
        return
    for bundle in known.values():
        for line in bundle_lines(bundle, parts_of(bundle, cards)):
            typer.echo(safe_text(line))


@bundles.command()
def fetch(
    name: NameArgument,
    revision: Annotated[
        str | None,
        typer.Option(
            metavar="REVISION", show_default=False, help="Branch, tag or commit of the generator (main)."
        ),
    ] = None,
) -> None:
    """Download what is missing of a bundle; what was interrupted goes on where it stopped."""
    from engine.bundles import find_bundle
    from engine.catalog.bundle_parts import cards_of, check_paths, parts_of
    from engine.catalog.bundle_parts import fetch as fetch_part

    bundle = find_bundle(name)
    check_paths(bundle)
    chosen = revision or bundle.revision
    parts = parts_of(bundle, cards_of([bundle]))
    if revision is not None and not any(part.name == "generator" and part.address for part in parts):
        raise UserError(f"--revision: the generator of {name} is a directory, {bundle.generator}")
    out_of_reach = []
    for part in parts:
        try:
            path = fetch_part(part, revision=chosen)
        except UserError as error:
            out_of_reach.append(str(error))
        else:
            typer.echo(f"{part.name:<9}  {safe_text(str(path))}")
    if out_of_reach:
        raise UserError("; ".join(out_of_reach))
    if revision is not None and revision != bundle.revision:
        typer.echo(
            f"to run it, give it a name in config.toml: [bundles.NAME], generator = "
            f'"{bundle.generator}", revision = "{safe_text(revision)}"'
        )


@bundles.command()
def check(
    name: NameArgument,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda|cuda:N", help="Where to load it (auto).", show_default=False)
    ] = "auto",
    dtype: Annotated[
        str,
        typer.Option(
            metavar="float32|bfloat16", help="Precision of the weights (float32).", show_default=False
        ),
    ] = "float32",
    encoder: Annotated[
        str,
        typer.Option(metavar="device|cpu", help="Where the encoder is kept (device).", show_default=False),
    ] = "device",
    form: Annotated[
        ConfigForm, typer.Option("--format", help="How the report is printed.")
    ] = ConfigForm.TABLE,
) -> None:
    """Load a bundle, encode and decode ten sentences, and say what was found.

    Exit code 1 if fewer than half of the sentences come back.
    """
    from engine.bundles import find_bundle
    from engine.catalog.bundle_parts import check_paths
    from engine.spec import parse_spec
    from tui.bundle_lines import is_well, report_lines, try_out

    check_paths(find_bundle(name))
    parse_spec(device=device, dtype=dtype, encoder=encoder)
    found = try_out(
        name,
        ["--device", device, "--dtype", dtype, "--encoder", encoder],
        progress=lambda line: typer.echo(safe_text(f"{name}: {line}"), err=True),
    )
    if form is ConfigForm.JSON:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        for line in report_lines(found):
            typer.echo(safe_text(line))
    raise typer.Exit(ExitCode.DONE if is_well(found) else ExitCode.FAILED)
