"""Names and tags that users give: short printable lines."""

from collections.abc import Iterable

from engine.errors import UserError

_MOST_TAGS = 20
_LONGEST_TAG = 40


def checked_name(field: str, name: str) -> str:
    """A name without outer white space.

    Raises:
        UserError: it is empty, too long, or holds what cannot be printed; the line begins with `field`.
    """
    name = name.strip()
    if not name or len(name) > 200 or not name.isprintable():
        raise UserError(f"{field}: {name[:40]!r}: a name has 1 to 200 printable characters")
    return name


def checked_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Tags without outer white space, each once, in the order given; empty ones are left out.

    Raises:
        UserError: one is too long, holds a comma or what cannot be printed, or there are too many.
    """
    kept = tuple(dict.fromkeys(tag for tag in map(str.strip, tags) if tag))
    for tag in kept:
        if len(tag) > _LONGEST_TAG or "," in tag or not tag.isprintable():
            raise UserError(
                f"tag: {tag[:40]!r}: a tag has 1 to {_LONGEST_TAG} printable characters and no comma"
            )
    if len(kept) > _MOST_TAGS:
        raise UserError(f"tags: {len(kept)}: a session has {_MOST_TAGS} at most")
    return kept
