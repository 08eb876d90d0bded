"""The models that a worker's runs and tasks need."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.errors import CardTooSmallError, UserError
from engine.spec import RunSpec
from engine.store.recording import Claim, Recorder
from engine.store.run_changes import Event
from engine.work.presence import Presence

if TYPE_CHECKING:  # torch and the models are imported when the first run is claimed
    from engine.models.loading import LoadedBundle


class Models:
    """Loads models, and says so; at once where this process has them already."""

    def __init__(self, recorder: Recorder, presence: Presence, *, report: Callable[[str], None]) -> None:
        """Args:
        recorder: of the worker's database and device.
        presence: shows what is being loaded.
        report: gets a line when a run's models are loaded.
        """
        self._recorder = recorder
        self._presence = presence
        self._report = report

    def of_claim(self, claim: Claim, spec: RunSpec) -> "LoadedBundle":
        """The models of a run, on the CPU where the run may be on any device and the worker's cannot be used.

        Raises:
            UserError: they cannot be loaded, or are others than those that the run's rows are of.
        """
        self._report(f"run {claim.run}: loading {spec.bundle}")
        try:
            bundle = self.of_spec(spec)
        except CardTooSmallError:
            raise  # what would fit is for the user to choose; the CPU is hardly it
        except UserError as error:
            if spec.device != "auto" or self._recorder.device == "cpu":
                raise
            self._recorder.add_event(claim.run, None, Event("device", f"on the CPU: {error}"))
            bundle = self.of_spec(spec, device="cpu")
        if claim.digest is not None and claim.digest != bundle.digest:
            raise UserError(
                f"bundle: {spec.bundle} has other weights now than when the run began "
                f"({bundle.digest[:8]}, then {claim.digest[:8]}): "
                "start a new run, from a stored z of this one if you like"
            )
        return bundle

    def of_spec(self, spec: RunSpec, *, device: str | None = None) -> "LoadedBundle":
        """The models of a spec, on the worker's device unless another is named.

        Raises:
            UserError: they cannot be loaded.
        """
        from engine.models.loading import load_bundle

        def show(part: str) -> None:
            self._presence.describe(f"loading {spec.bundle}: {part}")

        models = load_bundle(
            spec.bundle,
            device=device or self._recorder.device,
            dtype=spec.dtype,
            encoder=spec.encoder,
            compiled=spec.compile,
            progress=show,
            downloads=show,
        )
        self._presence.look_at_card()
        return models
