"""What the form says about a fork: the row that it starts from, and with how much of its parent."""

from engine.forking import ForkPoint
from tui.form_fields import Values

OWN_START = "a run of its own then, and no fork"


def fork_step(point: ForkPoint, values: Values) -> int | None:
    """The step of the parent that the form starts from; None where it starts from something else."""
    if values["init_kind"] != "vector" or values["init_run"].strip() != str(point.run.id):
        return None
    typed = values["init_step"].strip()
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 19 else None


def fork_note(point: ForkPoint, values: Values) -> str:
    """What the run starts from, as the fields stand: `from run 7 step 40, with the optimiser's state`."""
    step = fork_step(point, values)
    if step is None:
        return OWN_START
    return "from " + point.origin(
        step=step,
        method=values["method"],
        bundle=values["bundle"],
        norm=_norm(values),
        optimizer=values["optimizer"],
    )


def fork_errors(point: ForkPoint, values: Values) -> dict[str, str]:
    """What is wrong with the fields of a fork besides what is wrong with those of any run."""
    step = fork_step(point, values)
    typed = values["steps"].strip()
    if step is None or point.obstacle(
        step=step,
        method=values["method"],
        bundle=values["bundle"],
        norm=_norm(values),
        optimizer=values["optimizer"],
    ):
        return {}
    if typed.isascii() and typed.isdigit() and int(typed) <= step:
        return {"steps": f"{typed}: the fork goes on from step {step}; more are needed"}
    return {}


def _norm(values: Values) -> str | float:
    typed = values["norm"].strip()
    try:
        return float(typed)
    except ValueError:
        return typed
