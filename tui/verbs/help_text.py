"""What `--help` prints: paragraphs that wrap to the terminal, and flags that look like flags."""

from typer.core import TyperCommand, TyperGroup, TyperOption


def make_readable(command: object) -> None:
    """Let the help of a verb, and of the verbs below it, be read at any width.

    typer keeps the line breaks of a docstring after its first paragraph, and says `<bool>` of an option that
    takes no value.
    """
    if not isinstance(command, TyperCommand | TyperGroup):
        return
    if command.help:
        command.help = "\n\n".join(" ".join(each.split()) for each in command.help.split("\n\n"))
    for parameter in command.params:
        if isinstance(parameter, TyperOption) and parameter.is_flag and parameter.metavar is None:
            parameter.metavar = ""
    if isinstance(command, TyperGroup):
        for below in command.commands.values():
            make_readable(below)
