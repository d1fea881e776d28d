"""Files by digest, so that one which changed under the same name is noticed."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from workflow.lib.run.errors import InputError
from workflow.lib.run.files import refuse_special, replacing


def digest(path: str | os.PathLike) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits; huggingface.co shows the same for large files.

    Raises
    ------
    InputError
        If the file cannot be read.
    """
    refuse_special(path)
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; restore it") from error


def digest_files(files: Iterable[str | os.PathLike], listing: str = "") -> str:
    """SHA-256 of the names and contents of files, and of what is said of others.

    Parameters
    ----------
    files : iterable of path
    listing : str
        What stands for files that are too many to be read.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    whole = hashlib.sha256(listing.encode())
    for path in files:
        whole.update(f"{path}\t{digest(path)}\n".encode(errors="surrogateescape"))
    return whole.hexdigest()


def verify(path: str | os.PathLike, expected: str | None, entry: str) -> str:
    """Check a file against the digest that the study asks for.

    Parameters
    ----------
    path
        The file as it was downloaded or named.
    expected : str or None
        `sha256` of the model; None takes any file.
    entry : str
        Where the study names the file, such as `models.vit`.

    Returns
    -------
    str
        The file's own digest.

    Raises
    ------
    InputError
        If it differs, or the file cannot be read.
    """
    found = digest(path)
    if expected is not None and found != expected.lower():
        raise InputError(
            f"{entry}: {path} has the SHA-256 {found}, not {expected} as {entry}.sha256 asks: it "
            f"has changed under the same name. Get the file that the study was made with, or write "
            f"the new digest there to take this one"
        )
    return found


def remember(found: str, record: str | os.PathLike, name: str, entry: str) -> None:
    """Notice weights of a hub that are not those which it gave the first time.

    Parameters
    ----------
    found : str
        Digest of what the hub gives now.
    record : path
        See `recorded`.
    name : str
        What the hub was asked for, such as `timm:resnet50.a1_in1k`.
    entry : str
        Where the study names it, such as `models.vit`.

    Raises
    ------
    InputError
        If the name is that of the record and the digest is another.
    """
    before = recorded(found, record, name)
    if before:
        raise InputError(
            f"{entry}: {name} has changed: its weights have the SHA-256 {found}, and had {before} "
            f"when this study first took them. To take the new ones, delete {record}; to have the "
            f"old ones, name a copy of them as its checkpoint"
        )


def recorded(found: str, record: str | os.PathLike, name: str) -> str | None:
    """Record a digest, unless another one of the same name is recorded: then give that.

    Parameters
    ----------
    found : str
    record : path
        A file of one line, as `sha256sum` writes it: the digest of the first time, and the name.
        It is made if there is none, or none of that name; no rule may own it, or it would be
        deleted before it is read.
    name : str
        What it is the digest of.
    """
    known = Path(record).read_text(encoding="utf-8").strip() if os.path.exists(record) else ""
    before, _, named = known.partition("  ")
    if named == name and before != found:
        return before
    with replacing(record) as part:
        part.write_text(f"{found}  {name}\n", encoding="utf-8")
    return None
