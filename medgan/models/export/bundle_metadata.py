"""What a MONAI bundle says of itself, to programs and to people."""

from importlib.metadata import version
from typing import Any

from medgan import __version__
from medgan.config import Domain
from medgan.models.model_file import Direction, Model

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)
"""That the metadata follow.

Source: MONAI bundle specification, "metadata.json File".
"""


def bundle_name(model: Model) -> str:
    """What a model is called."""
    return f"medgan {model.card.provenance.get('name', 'model')}"


def metadata(model: Model, direction: Direction) -> dict[str, Any]:
    """The document ``metadata.json``.

    Nothing that comes from the model's file stands at the beginning of a text: MONAI takes texts
    that begin with ``$``, ``@`` or ``%`` for more than that.
    """
    card = model.card
    source, target = model.modalities(direction)
    chosen = card.provenance.get("chosen") or {}
    there, back = card.network.channels
    given, made = (there, back) if direction == "forward" else (back, there)
    return {
        "schema": SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by medgan {__version__}"},
        "monai_version": version("monai"),
        "pytorch_version": version("torch").partition("+")[0],
        "numpy_version": version("numpy"),
        "required_packages_version": {"medgan": __version__},
        "name": bundle_name(model),
        "task": f"Translation of {source} into synthetic {target}",
        "description": (
            f"A generator from {source} to synthetic {target} and the preparation of volumes that "
            "it was trained with. medgan must be installed: it reads, prepares, translates and "
            "writes. Results lie on the very grid of their sources and say that they are synthetic."
        ),
        "authors": "see provenance in models/card.json",
        "copyright": f"Licence of the weights: {card.licence}",
        "intended_use": f"Use: {card.intended_use}",
        "data_source": f"Training data, SHA-256: {card.provenance.get('data_sha256', 'not known')}",
        "data_type": "DICOM, NIfTI, MetaImage or NRRD",
        "eval_metrics": {"selection score": chosen["score"]} if "score" in chosen else {},
        "references": ["Tang et al., AttentionGAN, arXiv:1911.11897"],
        "network_data_format": {
            "inputs": {"image": _format(model, source, given)},
            "outputs": {"pred": _format(model, target, made)},
        },
    }


def _format(model: Model, modality: Domain, channels: int) -> dict[str, Any]:
    """Of the tensors that the network alone is given and gives."""
    preparation, network = model.card.preparation, model.card.network
    flat = network.spatial_dims == 2
    scale = f"window {list(preparation.window_hu)} HU"
    if modality == "MR":
        scale = f"0 to percentile {preparation.mr_percentile:g} inside the body"
    return {
        "type": "image",
        "format": "magnitude",
        "modality": modality,
        "num_channels": channels,
        # The usual size; every multiple of 4 from 8 on will do.
        "spatial_shape": list(preparation.matrix if flat else preparation.patch),
        "dtype": "float32",
        "value_range": [-1, 1],
        "is_patch_data": not flat,
        "channel_def": {str(k): f"{modality}, scaled: {scale}" for k in range(channels)},
    }


def bundle_readme(model: Model, direction: Direction, folder: str) -> str:
    """The document ``README.md``.

    Args:
        model: that was exported.
        direction: of it.
        folder: name of the bundle's folder.
    """
    card = model.card
    source, target = model.modalities(direction)
    preparation = "\n".join(
        f"* {key}: {value}" for key, value in card.preparation.model_dump(mode="json").items()
    )
    return f"""# {bundle_name(model)}

Translates {source} volumes into synthetic {target}. **{card.intended_use}**

medgan {__version__} must be installed. In the folder `{folder}`:

```sh
python -m monai.bundle run --config_file configs/inference.json \\
    --dataset_dir path/to/volumes --output_dir path/to/results
```

The data may be volumes in NIfTI, MetaImage or NRRD, DICOM series, or whole studies. Results are
those of `medgan translate`: on the grid of their sources, marked as synthetic, a quality record
beside each.

The network alone (`network_def`, weights in `models/model.pt`) takes and gives tensors scaled to
[-1, 1], sizes multiples of 4; how volumes become such tensors:

{preparation}

Limits: the model knows images like those it was trained on. The quality record says where a source
is unlike them. Synthetic images may show what is not there and miss what is.

Licence of the weights: {card.licence}. SHA-256 of the model's file: `{model.sha256}`
"""
