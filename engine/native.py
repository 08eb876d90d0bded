"""Load libsndfile before fairseq2 asks the system for it."""

import ctypes
import importlib.util
from pathlib import Path

from engine.errors import UserError


def load_libsndfile() -> None:
    """Make `libsndfile.so.1` resolvable for fairseq2n. Call this before the first `import fairseq2`.

    fairseq2n opens libsndfile by its name when it is imported and refuses to go on without it, although
    text models never read audio. The `soundfile` wheel carries a copy whose SONAME is that name: once it is
    loaded into the process, the linker finds it there, and no system package has to be installed.

    Raises:
        UserError: the soundfile package is missing or came without its library.
    """
    spec = importlib.util.find_spec("_soundfile_data")
    folders = [Path(folder) for folder in spec.submodule_search_locations or []] if spec else []
    libraries = [library for folder in folders for library in sorted(folder.glob("libsndfile*.so*"))]
    if not libraries:
        raise UserError("soundfile: the wheel's libsndfile is missing; run `make setup` again")
    ctypes.CDLL(str(libraries[0]), mode=ctypes.RTLD_GLOBAL)
