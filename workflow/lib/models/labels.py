"""Which output of a head from elsewhere is which class.

A checkpoint seldom says it. Whoever trained it read folders of classes in an order of their own:
torchvision sorts names as they are; timm takes numbers inside of names for numbers, and no notice
of case; names that are all numbers are sorted as numbers here.
"""

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.lib.run.errors import InputError

if TYPE_CHECKING:
    from torch import nn

log = logging.getLogger("uncorrelated")

SHOWN = 8  # names of each order in a message


def read_label_names(value: Sequence[str] | str) -> list[str]:
    """Read the key `label_names` of a model: the names of its outputs, in their order.

    Parameters
    ----------
    value : sequence of str, or str
        The names, or the path of a text file with a name a line.

    Raises
    ------
    InputError
        If the file cannot be read, or a name is given twice.
    """
    if isinstance(value, str):
        try:
            lines = Path(value).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {value}: {error}") from error
        value = [line.strip() for line in lines if line.strip()]
    names = [str(name) for name in value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"'{twice}' is given twice; write the name of each output once")
    return names


def orders(classes: Sequence[str]) -> dict[str, list[str]]:
    """Sort names of classes as the usual readers of folders do.

    Returns
    -------
    dict of str to list of str
        By whom, in words.
    """
    found = {"torchvision": sorted(classes), "timm": sorted(classes, key=_natural)}
    if all(name.isdecimal() for name in classes):
        found["numbers"] = sorted(classes, key=int)
    return found


def _natural(name: str) -> list[int | str]:
    """Key of timm's reader (timm.utils.natural_key)."""
    parts = re.split(r"(\d+)", name.lower())
    return [int(part) if part.isdecimal() else part for part in parts]


def order_of_outputs(
    classes: Sequence[str],
    named: Sequence[str] | None,
    settings: Mapping | Sequence | None,
    name: str,
    entry: str,
) -> list[int] | None:
    """Find the output of each class.

    Parameters
    ----------
    classes : sequence of str
        The study's.
    named : sequence of str or None
        The model's `label_names` in the study.
    settings : sequence or mapping or None
        What timm's own settings call by this name, if they do.
    name : str
        The model's, for messages.
    entry : str
        Where the study names it.

    Returns
    -------
    list of int or None
        None if outputs are in the order of the classes.

    Raises
    ------
    InputError
        If the study's `label_names` are not its classes; if nothing says the order, and the classes
        are sorted in one of several ways that differ.
    """
    labels = _listed(settings, len(classes)) if named is None else list(named)
    if labels is None:
        _refuse_doubt(classes, name, entry)
        return None
    own, wanted = ([_plain(text) for text in texts] for texts in (labels, classes))
    if own == wanted:
        return None
    if sorted(own) == sorted(wanted) and len(set(own)) == len(own):
        log.info("%s: its outputs are put into the order of the study's classes", name)
        return [own.index(text) for text in wanted]
    if named is not None:
        lacking = [text for text in classes if _plain(text) not in own]
        what = f"lack '{lacking[0]}'" if lacking else f"name {len(own)} outputs"
        raise InputError(
            f"{entry}.label_names {what}, and the study has {len(classes)} classes; write the name "
            f"of the class of each output, in the order of the outputs"
        )
    pairs = zip(labels[:3], classes[:3], strict=True)
    log.warning(
        "%s has other names for the study's classes, by its label_names: %s; make sure that they "
        "mean the same, in the same order",
        name,
        ", ".join(f"{label} for {known}" for label, known in pairs),
    )
    return None


def _plain(name: str) -> str:
    """Write a name without what people do not see or mind: its form of Unicode, and case."""
    return unicodedata.normalize("NFC", name).casefold()


def _listed(settings: Mapping | Sequence | None, classes: int) -> list[str] | None:
    """Give timm's `label_names` as a list, if they name as many outputs as there are classes."""
    if isinstance(settings, Mapping):  # by output
        keys = map(str, range(classes))
        settings = [settings[key] for key in keys if key in settings]
    if not isinstance(settings, list) or len(settings) != classes:
        return None
    return [str(label) for label in settings]


def _refuse_doubt(classes: Sequence[str], name: str, entry: str) -> None:
    """Refuse classes that were sorted somehow, if others may have sorted them otherwise."""
    found = orders(classes)
    if list(classes) not in found.values() or len(set(map(tuple, found.values()))) == 1:
        return
    shown = "; ".join(f"{who}: {_shown(names)}" for who, names in found.items())
    raise InputError(
        f"{entry}: nothing says which output of {name} is which class, and the usual readers sort "
        f"the study's classes differently ({shown}; this study: {_shown(classes)}). Add "
        f"`label_names` to the entry: the names in the order that the model was trained with, as a "
        f"list or as a text file with a name a line"
    )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def reorder(network: "nn.Module", order: Sequence[int] | None) -> None:
    """Put the outputs of a timm network into another order.

    Parameters
    ----------
    network : nn.Module
    order : sequence of int or None
        For each new output the old one.
    """
    if order is None:
        return
    # Only here: plans read label_names, too, and need no torch.
    import torch

    from workflow.lib.models.networks import last_layers

    with torch.no_grad():
        for layer in last_layers(network):
            for tensor in layer.parameters():
                tensor.copy_(tensor[list(order)].clone())
