"""Where the files of fairseq2's asset cards are, as JSON: `python -m engine.apart.asset_cards NAME…`.

A process of its own, because it imports fairseq2, which viewers never do.
"""

import json
import sys
from dataclasses import asdict

from engine.catalog.cards import Card
from engine.native import load_libsndfile


def main(names: list[str]) -> None:
    """Print `{name: {"checkpoint": …, "tokenizer": …, …}}` for the cards that there are."""
    load_libsndfile()
    from fairseq2.assets import AssetNotFoundError, get_asset_store

    found = {}
    for name in names:
        try:
            card = get_asset_store().retrieve_card(name)
        except AssetNotFoundError:
            continue
        sources = {
            field: str(value.as_uri()).removeprefix("file://")
            for field in ("checkpoint", "tokenizer")
            if (value := card.maybe_get_field(field)) is not None
        }
        found[name] = asdict(Card(sources.get("checkpoint", ""), sources.get("tokenizer", "")))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
