"""What kind of file system a path is on: SQLite's write-ahead log needs memory that processes share."""

import fcntl
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

_NETWORK = re.compile(
    r"9p|acfs|afs|beegfs|(fuse\.)?ceph|cifs|coda|davfs|gfs2|(fuse\.)?glusterfs|gpfs|lustre|ncpfs|nfs4?|ocfs2|"
    r"orangefs|prl_fs|pvfs2|smb3|smbfs|vboxsf|fuse\.(gcsfuse|rclone|s3fs|sshfs|vmhgfs-fuse)"
)
"""File systems of other machines, as the kernel names them."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def network_file_system(path: Path) -> str | None:
    """The name of the network file system that a path is on, for example `nfs4`; None on a local disk."""
    kind = _file_system(Path(os.path.realpath(path)))
    return kind if _NETWORK.fullmatch(kind) else None


def takes_locks(folder: Path) -> bool:
    """Whether files of a folder can be locked; some network file systems are mounted without."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return _can_be_locked(file.fileno())
    except OSError:  # that nothing can be written there is said by whoever tries
        return True


def _can_be_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


Inode = tuple[int, int]
"""Device and number of a file, whatever it is called."""


@dataclass(frozen=True, slots=True)
class Files:
    """The very files behind a database's name: what they are, not what they are called."""

    database: Inode
    log: Inode | None
    """The write-ahead log beside it; None where it is missing or empty."""


def files_of(path: Path) -> Files | None:
    """The files behind a database's name now; None when there is none.

    Raises:
        OSError: that cannot be found out.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  # also right for a link that was turned
    except FileNotFoundError:
        return None
    real = Path(os.path.realpath(path))
    try:
        log = os.stat(real.with_name(f"{real.name}-wal"))  # noqa: PTH116
    except OSError:
        log = None
    return Files(
        (status.st_dev, status.st_ino), (log.st_dev, log.st_ino) if log is not None and log.st_size else None
    )


def _file_system(path: Path) -> str:
    """The type of the innermost mount above a path; of several on the same place the last one counts."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:  # not Linux, or /proc is hidden
        return ""
    found, depth = "", -1
    for line in lines:
        mount, _, source = line.partition(" - ")
        fields = mount.split()
        if len(fields) < 5:
            continue
        point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        if len(point.parts) >= depth and path.is_relative_to(point):
            found, depth = source.partition(" ")[0], len(point.parts)
    return found
