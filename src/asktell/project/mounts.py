"""Which folders lie on a network, where SQLite's locks cannot be trusted."""

from pathlib import Path

from asktell.errors import ProjectError

MOUNTS = Path("/proc/self/mounts")
NETWORK = frozenset({
    "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "sshfs",
    "fuse.davfs", "fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
})  # fmt: skip


def refuse_network_folder(folder: Path) -> None:
    """Raise `ProjectError` if `folder` lies on a network file system; where mounts cannot be read, let it pass."""
    kind = _file_system(folder.resolve(), MOUNTS.read_text(errors="replace")) if MOUNTS.exists() else None
    if kind in NETWORK:
        raise ProjectError(
            f"{folder} lies on a network file system ({kind}), where file locks cannot be trusted and answers could "
            "be lost: keep the project on a local disk, and copy it with a backup"
        )


def _file_system(folder: Path, mounts: str) -> str | None:
    """The type of the file system that holds `folder`: of the deepest mount point above it, the last one mounted.

    >>> _file_system(Path("/mnt/a b/birds"), "/dev/sda / ext4 rw 0 0\\nhost:/x /mnt/a\\\\040b nfs4 rw 0 0")
    'nfs4'
    """
    found: tuple[int, str | None] = (0, None)
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split(" ")
        parts = Path(_unescape(point)).parts
        if folder.parts[: len(parts)] == parts and len(parts) >= found[0]:
            found = len(parts), kind
    return found[1]


def _unescape(point: str) -> str:
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        point = point.replace(octal, character)
    return point
