"""Get the files of a bundle that are not on this machine. What was interrupted goes on where it stopped."""

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlparse

from filelock import FileLock

from engine.catalog.cards import local_file, place_of
from engine.catalog.generator_files import CONFIG_FILE, INDEX_FILE, PICKLE_FILE, SAFETENSORS_FILE, is_complete
from engine.errors import UserError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo

_SHARDS = "model-*-of-*.safetensors"
_INCOMPLETE = ".incomplete"
_TIMEOUT_S = 30
_UNITS = ("B", "KB", "MB", "GB")

_HEADERS = {
    "Accept-Encoding": "identity",  # bytes as they are on the server: only those can be gone on with
    "User-Agent": "Mozilla/5.0 (compatible; sonar-explore)",  # some hosts refuse unheard-of ones
}


Result = TypeVar("Result")

Progress = Callable[[str], None]
"""Told how far a download is."""

_PROGRESS_S = 1.0


def fetch_file(part: str, address: str, *, progress: Progress | None = None) -> Path:
    """Download a file to where fairseq2 looks for it, unless it is there; huggingface_hub shows a bar.

    Args:
        part: What an error calls it.
        address: http or https.
        progress: Called now and then with a line that says how much of it is here.

    Returns:
        Where it is.

    Raises:
        UserError: it cannot be had; the line says what to put where.
    """
    if (found := local_file(address)) is not None:
        return found
    place = place_of(address)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(place.name + ".lock")):
            return local_file(address) or _downloaded(part, address, place, progress)
    except OSError as error:  # requests' and the hub's errors are all of this kind
        if here := partly_fetched_bytes(address):
            raise UserError(
                f"{part}: {address}: {shown_bytes(here)} of it are here, and the rest is out of reach "
                f"({_reason(error)}); `bundles fetch` goes on from there"
            ) from error
        raise UserError(
            f"{part}: {address} is neither here nor within reach ({_reason(error)}); download it on a "
            f"machine with network and put it into {place}"
        ) from error


def _downloaded(part: str, address: str, place: Path, progress: Progress | None) -> Path:
    from huggingface_hub import get_session
    from huggingface_hub.file_download import http_get

    answer = get_session().head(address, headers=_HEADERS, allow_redirects=True, timeout=_TIMEOUT_S)
    answer.raise_for_status()
    size = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
    # Named for this version of the file: half of another one is not gone on with.
    version = sha1(f"{answer.headers.get('ETag')} {size}".encode()).hexdigest()[:12]
    name = Path(urlparse(address).path).name or "file"
    folder = place.with_name(place.name + _INCOMPLETE)
    folder.mkdir(exist_ok=True)
    begun = folder / version
    for other in folder.iterdir():
        if other != begun:
            other.unlink()
    with begun.open("ab") as file:
        _check_room(part, folder, (size or 0) - file.tell())
        get = partial(
            http_get,
            address,
            file,
            headers=_HEADERS,
            resume_size=file.tell(),
            expected_size=size,
            displayed_filename=name,
        )
        _telling(progress, part, get, here=lambda: begun.stat().st_size, whole=size)
        file.flush()
        os.fsync(file.fileno())
    begun.rename(folder / name)
    folder.rename(place)
    return place / name


def _telling(
    progress: Progress | None,
    part: str,
    download: Callable[[], Result],
    *,
    here: Callable[[], int],
    whole: int | None,
) -> Result:
    """What a download returns; this thread, which may be the only one that may tell, says how far it is."""
    if progress is None:
        return download()
    with ThreadPoolExecutor(max_workers=1) as pool:
        downloading = pool.submit(download)
        while not downloading.done():
            share = f"{min(here() / whole, 1):.0%} of {shown_bytes(whole)}" if whole else shown_bytes(here())
            progress(f"downloading {part}: {share}")
            wait([downloading], timeout=_PROGRESS_S)
        return downloading.result()


def partly_fetched_bytes(address: str) -> int:
    """How much of a file is here, of a download that was interrupted."""
    place = place_of(address)
    folder = place.with_name(place.name + _INCOMPLETE)
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except OSError:
        return 0


def local_generator(identifier: str, revision: str | None) -> Path | None:
    """The directory of a generator from Hugging Face in the hub's cache; None: not all of it is here."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        directory = Path(snapshot_download(identifier, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    return directory if is_complete(directory) else None


def fetch_generator(identifier: str, revision: str | None, *, progress: Progress | None = None) -> Path:
    """Download a generator from Hugging Face into the hub's cache, which shows a bar.

    Args:
        identifier: owner/name.
        revision: Branch, tag or commit; None: the main branch.
        progress: As to `fetch_file`.

    Returns:
        Its directory.

    Raises:
        UserError: it cannot be had; the line says what to put where.
    """
    from huggingface_hub import HfApi, snapshot_download

    with _within_reach(identifier, revision):
        info = HfApi().model_info(identifier, revision=revision, files_metadata=True)
        files = _needed_files(info)
        place = hub_place(identifier)
        sizes = [file.size or 0 for file in info.siblings or [] if file.rfilename in files]
        _check_room("generator", _existing(place), sum(sizes) - _bytes_below(place))
        get = partial(snapshot_download, identifier, revision=revision, allow_patterns=files)
        found = _telling(progress, "generator", get, here=lambda: _bytes_below(place), whole=sum(sizes))
        directory = Path(found)
    if not is_complete(directory):
        raise UserError(
            f"generator: {identifier} holds no SONAR-LLM: expected {CONFIG_FILE} and {SAFETENSORS_FILE} "
            f"or {PICKLE_FILE}"
        )
    return directory


def hub_place(identifier: str) -> Path:
    """The folder of the hub's cache for one id."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{identifier.replace('/', '--')}"


def _needed_files(info: "ModelInfo") -> list[str]:
    """Configuration and weights; the pickled ones only where there are no others."""
    from fnmatch import fnmatch

    names = [file.rfilename for file in info.siblings or []]
    if SAFETENSORS_FILE in names:
        weights = [SAFETENSORS_FILE]
    elif INDEX_FILE in names:
        weights = [INDEX_FILE, *(name for name in names if fnmatch(name, _SHARDS))]
    else:
        weights = [PICKLE_FILE]
    return [CONFIG_FILE, *weights]


@contextmanager
def _within_reach(identifier: str, revision: str | None) -> Iterator[None]:
    from huggingface_hub.errors import HFValidationError, RevisionNotFoundError

    try:
        yield
    except HFValidationError as error:
        raise UserError(f"generator: {identifier!r} is no Hugging Face id: owner/name") from error
    except RevisionNotFoundError as error:
        raise UserError(f"generator: {identifier} has no revision {revision!r}") from error
    except OSError as error:  # the hub's errors are all of this kind
        at = f" --revision {revision}" if revision else ""
        raise UserError(
            f"generator: {identifier} is neither here nor within reach ({_reason(error)}); on a machine "
            f"with network run `hf download {identifier}{at}` and copy its cache folder to "
            f"{hub_place(identifier)}"
        ) from error


def _reason(error: OSError) -> str:
    from huggingface_hub.errors import OfflineModeIsEnabled

    if isinstance(error, OfflineModeIsEnabled) or isinstance(error.__cause__, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    status = getattr(getattr(error, "response", None), "status_code", None)
    return f"the server answers {status}" if status else error.strerror or type(error).__name__


def shown_bytes(count: int) -> str:
    """A number of bytes for people: `3.1 GB`."""
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit < 2 or size >= 100 else f"{size:.1f} {_UNITS[unit]}"


def _check_room(part: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{part}: {shown_bytes(needed)} are still to be downloaded to {folder}, which has "
            f"{shown_bytes(free)} free"
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(above for above in (folder, *folder.parents) if above.exists())


def _bytes_below(folder: Path) -> int:
    blobs = folder / "blobs"
    return sum(file.stat().st_size for file in blobs.iterdir()) if blobs.is_dir() else 0
