"""Networks with public weights, by timm's and open_clip's names of them.

Their preprocessing is known without a network, from the tables that both libraries carry. Weights
come from a file, from a package, or from the hub into its own cache.
"""

import difflib
import errno
import functools
import importlib.util
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.lib.data.files import check_path
from workflow.lib.run.errors import InputError

if TYPE_CHECKING:  # a study is planned in every process, most of which need no torch
    pass

log = logging.getLogger("uncorrelated")

LOCAL = "local-dir:"
PACKAGE = "package:"
"""Of a file of weights: that it lies in an installed package, such as `package:<name>/<file>`."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin", "pytorch_model.pth", "model.pth")
"""Names of weights files beside a config.json, as timm looks for them."""

TIMEOUT = 10  # seconds to reach the hub in


def timm_settings(entry: Mapping) -> tuple[str, dict, dict]:
    """Look up a network of timm.

    Returns
    -------
    name : str
        Architecture, with the tag if it has one.
    settings : dict
        timm's `pretrained_cfg`.
    options : dict
        Arguments of `timm.create_model`, of plain types.
    """
    import workflow.lib.backends  # noqa: F401  (before timm)

    # isort: split
    import timm
    from timm.models import get_pretrained_cfg, is_model

    name, options = entry["timm"], dict(entry.get("options", {}))
    if name.startswith(LOCAL):
        name, settings, own = _local_settings(Path(name.removeprefix(LOCAL)))
        own = {key: value for key, value in own.items() if key not in ("num_classes", "in_chans")}
        return name, settings, {**own, "pretrained_cfg": settings, **options}
    if ":" in name:
        raise InputError(
            f"{name} is not a name of timm's: give one such as resnet50.a1_in1k, or load the "
            f"repository with `hf download` and give its folder as {LOCAL}<folder>"
        )
    architecture, _, tag = name.partition(".")
    public = _public()
    tagged = [own for own in public if own.partition(".")[0] == architecture]
    if not is_model(architecture):
        raise InputError(f"timm knows no '{name}'{_nearest(name, [*public, *timm.list_models()])}")
    if name not in tagged and (tag or "checkpoint" not in entry):
        has = f"timm has weights of {architecture} as {listed(tagged)}"
        if not tagged:
            has = f"timm has no weights of {architecture}: name a file of them as `checkpoint`"
        what = f"there is no '{name}'" if tag else f"'{name}' does not say which weights"
        raise InputError(f"{what}; {has}")
    return name, get_pretrained_cfg(name).to_dict(), options


@functools.cache
def _public() -> list[str]:
    import timm

    return timm.list_pretrained()


def _local_settings(folder: Path) -> tuple[str, dict, dict]:
    """Read a folder's config.json: architecture, settings, arguments of the network."""
    from timm.models import is_model
    from timm.models._hub import load_model_config_from_path

    try:
        settings, name, options = load_model_config_from_path(folder)
        known = is_model(name)
    except FileNotFoundError as error:
        raise InputError(f"{LOCAL}{folder} holds no config.json, as timm writes it") from error
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise unreadable(folder, error) from error
    if not known:
        raise InputError(f"{folder}/config.json: timm knows no architecture '{name}'")
    settings = {key: value for key, value in settings.items() if key not in ("file", "source")}
    return name, {"architecture": name, **settings}, options


def unreadable(folder: Path, error: Exception) -> InputError:
    """Say that timm's settings in a folder cannot be read."""
    return InputError(f"cannot read {folder}/config.json as timm's: {error!r}")


def clip_settings(entry: Mapping) -> tuple[dict, dict[str, dict]]:
    """Look up a network of open_clip.

    Returns
    -------
    config : dict
        What it is built from.
    weights : dict of str to dict
        What is known of its weights, by tag; of a checkpoint without one, of all that open_clip has
        of the architecture.
    """
    import workflow.lib.backends  # noqa: F401  (before open_clip)

    # isort: split
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    name = entry["open_clip"]
    architecture, _, tag = name.partition("/")
    public = [f"{own}/{tag}" for own, tag in open_clip.list_pretrained()]
    tagged = [own for own in public if own.partition("/")[0] == architecture]
    config = None if ":" in name else open_clip.get_model_config(architecture)
    if config is None:
        raise InputError(
            f"open_clip knows no '{name}'{_nearest(name, [*public, *open_clip.list_models()])}"
        )
    tags = [tag] if tag else [own.partition("/")[2] for own in tagged]
    weights = {own: get_pretrained_cfg(architecture, own) for own in tags}
    if (tag and not weights[tag]) or (not tag and "checkpoint" not in entry):
        has = f"open_clip has weights of {architecture} as {listed(tagged)}"
        if not tagged:
            has = f"open_clip has no weights of {architecture}: name a file of them as `checkpoint`"
        what = f"there is no '{name}'" if tag else f"'{name}' does not say which weights"
        raise InputError(f"{what}; {has}")
    # open_clip only warns where the architecture's activation is not that of the weights.
    quick = {}
    for own, known in weights.items():
        quick.setdefault(known.get("quick_gelu", False), f"{architecture}/{own}")
    if len(quick) > 1:
        raise InputError(
            f"'{name}' does not say which activation the weights in `checkpoint` need, and "
            f"open_clip's weights of it differ in that; name the tag that they are of or come "
            f"from, such as {listed(list(quick.values()))}"
        )
    if True in quick:
        config["quick_gelu"] = True
    return config, weights


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3)
    return f"; did you mean {listed(near)}?" if near else ""


def listed(names: Sequence[str]) -> str:
    """Name all: `a, b or c`."""
    return ", ".join(names[:-1]) + " or " * (len(names) > 1) + names[-1]


def local_files(folder: str | os.PathLike) -> list[str]:
    """Find the settings and the weights file in a folder of timm's.

    Raises
    ------
    InputError
        If either is missing, or it is not clear which file holds the weights.
    """
    folder = Path(str(folder).removeprefix(LOCAL))
    settings = folder / "config.json"
    if not settings.is_file():
        raise InputError(f"{LOCAL}{folder} holds no config.json, as timm writes it")
    for name in WEIGHTS:
        if (folder / name).is_file():
            return [str(settings), str(folder / name)]
    found = [
        str(path) for end in (".safetensors", ".pth", ".bin") for path in folder.glob(f"*{end}")
    ]
    if len(found) != 1:
        has = f"holds {listed(sorted(found))}" if found else "holds no weights"
        raise InputError(f"{LOCAL}{folder} {has}; name the weights file {WEIGHTS[0]}")
    return [str(settings), *found]


def weights_files(recipe: Mapping) -> str | list[str]:
    """Name the files that a public network's weights are in; none of the hub's or a package's.

    Raises
    ------
    InputError
        If a folder of timm's lacks them.
    """
    if recipe.get("timm", "").startswith(LOCAL) and "checkpoint" not in recipe:
        return local_files(recipe["timm"])
    public = "timm" in recipe or "open_clip" in recipe
    # A package is pinned; where it lies is another place in each environment.
    if "checkpoint" not in recipe or (public and recipe["checkpoint"].startswith(PACKAGE)):
        return []
    return check_path(recipe["checkpoint"], "checkpoint")


def fetch(recipe: Mapping, entry: str) -> str:
    """Load the weights of a public network from the hub, unless its cache or a package has them.

    Parameters
    ----------
    recipe : mapping
        `timm` or `open_clip`, with a tag.
    entry : str
        Where the study names it, such as `models.vit`.

    Returns
    -------
    str
        The file in the hub's cache, or in the package.

    Raises
    ------
    InputError
        If the hub cannot be reached, or does not give the file; it says what to place where. If
        there is no such package, or no such file in it.
    """
    if recipe.get("checkpoint", "").startswith(PACKAGE):
        return _from_package(recipe["checkpoint"].removeprefix(PACKAGE), entry)
    if "open_clip" in recipe:
        [known] = clip_settings(recipe)[1].values()
        repository, _, name = known["hf_hub"].rpartition("/")
        name = name or "open_clip_pytorch_model.bin"
        names = [f"{Path(name).stem}.safetensors", name]
        names[0] = names[0].replace("open_clip_pytorch_model", "open_clip_model")
        return _from_hub(repository, names, entry)
    _, known, _ = timm_settings(recipe)
    if known.get("hf_hub_id"):
        name = known.get("hf_hub_filename")
        return _from_hub(known["hf_hub_id"], [name] if name else WEIGHTS[:2], entry)
    return _from_url(known["url"], entry)


def _from_package(name: str, entry: str) -> str:
    """Find a file in an installed package, whose code is not run."""
    package, _, file = name.partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    for folder in found.submodule_search_locations or [] if found else []:
        if Path(folder, file).is_file():
            return str(Path(folder, file))
    what = f"holds no {file}" if found else "is not installed"
    raise InputError(f"{entry}.checkpoint: the package {package} {what}")


def _from_hub(repository: str, names: Sequence[str], entry: str) -> str:
    """Load the first of some files that a repository has."""
    from huggingface_hub import (
        constants,
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
        try_to_load_from_cache,
    )
    from huggingface_hub.errors import RemoteEntryNotFoundError

    cached = [try_to_load_from_cache(repository, name) for name in names]
    cached = [path for path in cached if isinstance(path, str)]
    reason = f"it has no {listed(names)}"
    try:
        for name in names:
            try:
                # Asked first since a download that fails is tried again for half a minute.
                get_hf_file_metadata(hf_hub_url(repository, name), timeout=TIMEOUT)
                return hf_hub_download(repository, name)
            except RemoteEntryNotFoundError:
                continue
    except Exception as error:  # of the hub and of what it stands on, of many kinds
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
    if cached:
        log.info("taking %s from the cache, since the hub does not answer: %s", cached[0], reason)
        return cached[0]
    raise InputError(
        f"{entry}: the weights of huggingface.co/{repository} are not in the cache, and the hub "
        f"does not give them: {reason}\n"
        f"Where there is a network, run `hf download {repository} {names[0]}`; then copy the file "
        f"to this machine and name it as {entry}.checkpoint, or copy the cache's folder "
        f"models--{repository.replace('/', '--')} into {constants.HF_HUB_CACHE} and set "
        f"HF_HUB_OFFLINE=1"
    )


def _from_url(url: str, entry: str) -> str:
    """Load a file that is on no hub into torch's cache."""
    from timm.models._hub import download_cached_file, get_cache_dir

    place = Path(get_cache_dir(), os.path.basename(url))
    if not place.is_file():
        try:
            urllib.request.urlopen(url, timeout=TIMEOUT).close()
            return str(download_cached_file(url))
        except (urllib.error.URLError, TimeoutError) as error:
            raise InputError(
                f"{entry}: {url} cannot be loaded: {getattr(error, 'reason', error)}\n"
                f"Load it where there is a network; then copy the file to this machine and name it "
                f"as {entry}.checkpoint, or copy it to {place}"
            ) from error
    return str(place)
