"""What public networks expect of an image, asked of timm and open_clip without their weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from workflow.lib.models.hub import LOCAL, clip_settings, listed, timm_settings, unreadable
from workflow.lib.run.errors import InputError


def preprocessing(entry: Mapping) -> dict:
    """Look up how a public network wants its images.

    Parameters
    ----------
    entry : mapping
        A model's: `timm` (a name with its tag, or `local-dir:` and a folder) or `open_clip`
        (architecture/tag), and `checkpoint` if its weights are in a file; then the tag may be left
        out, of open_clip where all tags agree on what `input` does not say.

    Returns
    -------
    dict
        `size`, `crop`, `interpolation`, `mean` and `std`; `crop_mode` if it is not center, and
        `fill` with the mode border: see `workflow.lib.data.images`.

    Raises
    ------
    InputError
        If there is no such network, or its preprocessing is not known.
    """
    import workflow.lib.backends  # noqa: F401  (before timm and open_clip)

    if "open_clip" in entry:
        return _clip_preprocessing(entry)
    from timm.data import resolve_data_config

    settings = timm_settings(entry)[1]
    try:
        config = resolve_data_config(pretrained_cfg=settings)
        mean = [float(value) for value in config["mean"]]
        mode = config["crop_mode"]
        return {
            "size": _size(config["input_size"][1:]),
            "crop": float(config["crop_pct"]),
            **({} if mode == "center" else {"crop_mode": mode}),
            **({"fill": [round(255 * value) for value in mean]} if mode == "border" else {}),
            "interpolation": config["interpolation"],
            "mean": mean,
            "std": [float(value) for value in config["std"]],
        }
    except (LookupError, TypeError, ValueError) as error:
        raise unreadable(Path(entry["timm"].removeprefix(LOCAL)), error) from error


def _clip_preprocessing(entry: Mapping) -> dict:
    config, weights = clip_settings(entry)
    images = [_clip_image(config, known) for known in weights.values() or ({},)]
    name = entry["open_clip"]
    if weights:
        keys = {key for image in images for key in image}
        unknown = {key for key in keys if any(x.get(key) != images[0].get(key) for x in images)}
        tags = listed([f"{name}/{tag}" for tag in weights])
        why = f"open_clip's weights of {name} differ in that; name their tag ({tags}), or"
    else:
        unknown, why = {"interpolation", "mean", "std"}, f"open_clip has no weights of {name};"
    missing = sorted(unknown - entry.get("input", {}).keys())
    if missing:
        raise InputError(
            f"'{name}' does not say how the weights in `checkpoint` want their images, and {why} "
            f"give {' and '.join(missing)} in `input`"
        )
    return images[0]


def _clip_image(config: Mapping, weights: Mapping) -> dict:
    """Say how weights of open_clip's want their images."""
    from dataclasses import asdict

    from open_clip.transform import PreprocessCfg, merge_preprocess_dict

    image = merge_preprocess_dict(asdict(PreprocessCfg()), weights)
    mode = {"shortest": "center", "squash": "squash", "longest": "border"}[image["resize_mode"]]
    size = config["vision_cfg"].get("image_size", 224)
    return {
        "size": _size([size, size] if isinstance(size, int) else size),
        "crop": 1.0,
        **({} if mode == "center" else {"crop_mode": mode}),
        **({"fill": [image["fill_color"]] * 3} if mode == "border" else {}),
        "interpolation": image["interpolation"],
        "mean": [float(value) for value in image["mean"]],
        "std": [float(value) for value in image["std"]],
    }


def _size(sides: Sequence[int]) -> int | list[int]:
    height, width = sides
    return height if height == width else [height, width]
