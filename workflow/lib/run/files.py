"""Files that are there whole or not at all, and that prove what they hold."""

import contextlib
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from workflow.lib.run.errors import InputError

AGAIN = "delete it and run again"
SPECIAL = "is no regular file, or a link to what is none, and might never end; remove it"


@contextlib.contextmanager
def replacing(path: str | os.PathLike, *, sealed: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there if the block succeeds, else delete it.

    So a file is there whole or not at all, whatever stops its writer. If `sealed`, its SHA-256 lies
    beside it as `.<name>.sha256`, as `sha256sum` writes and checks it; see `read_sealed`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; give them the permissions of any other file.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        if sealed:
            with open(temporary, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            with replacing(_seal(path)) as seal:
                seal.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_sealed(path: str | os.PathLike) -> bytes:
    """Read a file that was written `sealed`; one without its seal is taken as it is.

    Raises
    ------
    InputError
        If the file cannot be read, is empty, or is not the one that was written.
    """
    try:
        content = Path(path).read_bytes()
        seal = _seal(Path(path)).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if not os.path.exists(path):
            raise InputError(f"there is no file {path}; run again") from error
        seal = ""
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; {AGAIN}") from error
    if not content:
        raise InputError(f"{path} is empty; {AGAIN}")
    if seal and seal.partition(" ")[0] != hashlib.sha256(content).hexdigest():
        raise InputError(f"{path} was altered or damaged since it was written; {AGAIN}")
    return content


def _seal(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def refuse_special(path: str | os.PathLike) -> None:
    """Refuse a pipe or device, which might be read for ever; what is missing is not reported here.

    Raises
    ------
    InputError
        If the path, or what it links to, is there but no regular file.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise InputError(f"{path} {SPECIAL}")


def in_words(size: float) -> str:
    """Write a number of bytes as people do, such as `15.3 kB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.{int(unit != 'bytes')}f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
