"""What the words behind `make study MODELS=` mean: where a model comes from, and what it tells.

A name of timm or of open_clip, `local-dir:<folder>`, `architecture:file` (weights that timm can
load) or a file of logits. What is told of their categories and training data is a guess from names.
"""

import difflib
import functools
import json
import re
from dataclasses import dataclass
from pathlib import Path

import workflow.lib.backends  # noqa: F401  (before timm)

# isort: split

import timm

from workflow.lib.models.networks import load_tensors
from workflow.lib.outputs.formats import shape_of
from workflow.lib.run.errors import InputError
from workflow.lib.study.fields import slug

DATA = {
    "ImageNet-21k": r"in(w?21|22)k",
    "ImageNet-12k": r"in12k",
    "LAION": r"laion",
    "WIT": r"openai",
    "DataComp": r"datacomp|mclip",
    "DFN": r"dfn",
    "MetaCLIP": r"metaclip",
    "WebLI": r"webli",
    "CC12M": r"cc12m",
    "YFCC": r"yfcc",
    "Instagram": r"ig1b|swag|seer",
    "JFT": r"jft",
    "LVD-142M": r"lvd142m",
    "LVD-1689M": r"lvd1689m",
    "SAT-493M": r"sat493m",
    "SA-1B": r"sa1b",
    "Merged-2B": r"merged2b",
    "Merged-30M": r"m30m",
    "Merged-38M": r"m38m",
    "Bamboo": r"bamboo",
}
"""What in a tag of timm tells of training data besides ImageNet-1k."""

FRAMEWORKS = {
    "images and texts": r"clip|laion|openai|datacomp|dfn|webli|siglip|_pt\b",
    "self-supervision": r"dino|mae|mim|ijepa|beit|eva|seer|ssl(?!d)|radio|eupe",
    "distillation": r"dist|ssld|\bns_|usi|deit_in1k|teacher",
}
"""What in a name of timm tells of another framework than supervised training; the first counts."""

OUTPUTS = (".npy", ".npz", ".h5", ".hdf5", ".csv")
"""How files of logits end."""

WEIGHTS = (".safetensors", ".pth", ".pt", ".bin", ".tar", ".ckpt")
"""How files of weights end."""

NEAREST = 5  # names to suggest for an unknown one
UNKNOWN = "unknown data"

BY_HAND = """
  Weights and logits of your own are named by their files, as in
  MODELS="resnet50.a1_in1k resnet50:mine.pth ViT-B-32/openai other.npz", or written in the study:
    models:
      mine: {category: arch, timm: resnet50, checkpoint: mine.pth}
      other: {category: arch, logits: other.npz}"""
"""What to do about a name that is none."""


@dataclass(frozen=True)
class Source:
    """A model, and what its name tells.

    Attributes
    ----------
    name : str
        As a study says it: architecture and tag, `local-dir:<folder>`, or a file of logits.
    architecture, tag : str
        Empty if not known.
    classes : int
        Outputs of its own head; 0 if it has none.
    kind : {'timm', 'open_clip', 'logits'}
    file : str
        Its weights, if they are not those of a hub.
    """

    name: str
    architecture: str
    tag: str
    classes: int
    kind: str = "timm"
    file: str = ""

    @property
    def title(self) -> str:
        """What to call it: its name, or that of its file or folder."""
        if self.file or self.kind == "logits":
            return Path(self.file or self.name).stem
        return Path(self.name.partition(":")[2]).name if ":" in self.name else self.name

    @property
    def key(self) -> str:
        """Its key in the study, of its title: small letters, digits and single hyphens."""
        return slug(self.title) or slug(self.architecture) or "model"

    @property
    def data(self) -> tuple[str, ...]:
        """Names of the training data, as the tag tells them."""
        found = [name for name, pattern in DATA.items() if re.search(pattern, self.tag)]
        own = "in1k" in self.tag or re.search(r"\b(fb_)?(dino|mae|fcmae)\b", self.tag)
        return (*found, *(["ImageNet-1k"] if own else [])) or (UNKNOWN,)

    @property
    def is_guessed(self) -> bool:
        """Whether its name tells how it was trained."""
        return self.kind != "logits" and not self.file

    @property
    def framework(self) -> str:
        """How it was trained, as architecture and tag tell it."""
        if self.kind == "open_clip":
            return "images and texts"
        name = f"{self.architecture}.{self.tag}"
        found = (kind for kind, pattern in FRAMEWORKS.items() if re.search(pattern, name))
        return next(found, "supervised training")

    def differs(self, base: "Source") -> tuple[str, str]:
        """Guess along which axis it differs from the base, the most divergent one, and say why."""
        if not (self.is_guessed and base.is_guessed):
            same = self.architecture and self.architecture == base.architecture
            why = "how it was trained is not known; say it here"
            return ("hparam" if same else "arch"), why
        beyond = [name for name in self.data if name not in base.data]
        beyond += [name for name in base.data if name not in self.data]
        if set(beyond) - {"ImageNet-1k"}:
            return "dataset", f"trained on {' and '.join(self.data)}"
        if self.framework != base.framework:
            return "fwork", f"by {self.framework}, not {base.framework}"
        if self.architecture != base.architecture:
            return "arch", f"{self.architecture}, not {base.architecture}"
        return "hparam", f"{self.architecture} too, trained by another recipe"


def find(name: str) -> Source:
    """Find out what a word means.

    Parameters
    ----------
    name : str
        A name of timm's that has public weights, one of open_clip's (`architecture/tag`),
        `local-dir:<folder>` as timm writes it, `architecture:file`, or a file of logits.

    Raises
    ------
    InputError
        If it means nothing, with the names that come nearest or with what to write by hand.
    """
    is_folder = name.startswith("local-dir:")
    if not is_folder and name.endswith(OUTPUTS):
        return _outputs(name)
    if not is_folder and name.endswith(WEIGHTS):
        return _weights(name)
    if not is_folder and "/" in name:
        return _clip(name)
    if name.startswith("local-dir:"):
        file = Path(name.partition(":")[2], "config.json")
        try:
            config = json.loads(file.read_text(encoding="utf-8"))
            own = config.get("pretrained_cfg", config)
            classes = own.get("num_classes", config.get("num_classes", 1000))
            architecture, tag = config["architecture"], own.get("tag") or ""
            if [type(each) for each in (architecture, tag, classes)] != [str, str, int]:
                raise TypeError("architecture or tag is no text, or num_classes no whole number")
            return Source(name, architecture, tag, classes)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise InputError(
                f"{name}: cannot read {file}: {error!r}; timm writes such folders by "
                f"timm.models.save_for_hf"
            ) from error
    architecture, _, tag = name.partition(".")
    known = _pretrained()
    if not tag and timm.is_model(architecture):
        config = timm.get_pretrained_cfg(architecture)
        tag = config.tag if config is not None else ""
        name = f"{architecture}.{tag}"
    if name not in known:
        nearest = [each for each in known if each.startswith(f"{architecture}.")][:NEAREST]
        nearest = nearest or difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.5)
        hint = f"; near it are {', '.join(nearest)}" if nearest else ""
        raise InputError(f"timm has no pretrained model '{name}'{hint}{BY_HAND}")
    return Source(name, architecture, tag, timm.get_pretrained_cfg(name).num_classes)


@functools.cache
def _pretrained() -> list[str]:
    """All of timm's names of architectures with a tag that has weights; takes a second."""
    return timm.list_pretrained()


def _outputs(name: str) -> Source:
    """Look at a file of logits from outside."""
    if not Path(name).is_file():
        raise InputError(f"there is no file {name}; a study with it needs it to be there")
    _, columns, _ = shape_of(name, None)
    return Source(name, "", "", columns or 0, "logits")


def _weights(name: str) -> Source:
    """Look at a file of weights: which architecture they fit, and how many classes they know."""
    architecture, _, path = name.partition(":")
    if not path:
        raise InputError(
            f"{name}: say of which of timm's architectures these weights are, as in "
            f"resnet50:{name}; or write in the study\n"
            f"    models:\n"
            f"      mine: {{category: arch, timm: resnet50, checkpoint: {name}}}"
        )
    if not timm.is_model(architecture.partition(".")[0]):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=NEAREST)
        hint = f"; near it are {', '.join(near)}" if near else ""
        raise InputError(f"{name}: timm knows no architecture '{architecture}'{hint}")
    if not Path(path).is_file():
        raise InputError(f"{name}: there is no file {path}")
    config = timm.get_pretrained_cfg(architecture)
    last = config.classifier if config is not None else ""
    _, tensors = load_tensors(path)
    weight = tensors.get(f"{last if isinstance(last, str) else (last or [''])[0]}.weight")
    tag = architecture.partition(".")[2]
    return Source(architecture, architecture.partition(".")[0], tag,
                  0 if weight is None else len(weight), "timm", path)  # fmt: skip


def _clip(name: str) -> Source:
    """Look up a network of open_clip."""
    import open_clip

    public = [f"{architecture}/{tag}" for architecture, tag in open_clip.list_pretrained()]
    if name not in public:
        near = difflib.get_close_matches(name, public, n=NEAREST, cutoff=0.5)
        hint = f"; near it are {', '.join(near)}" if near else ""
        raise InputError(f"open_clip has no weights '{name}'{hint}{BY_HAND}")
    architecture, _, tag = name.partition("/")
    return Source(name, architecture, tag, 0, "open_clip")
