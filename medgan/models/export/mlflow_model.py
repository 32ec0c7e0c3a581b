"""A model as MLflow has them: code that calls medgan, and the model file as its artifact."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import yaml

from medgan import __version__
from medgan.io.files import output_errors, write_text
from medgan.io.folders import making_folder
from medgan.models.export.kinds import require_volumes
from medgan.models.mlflow_access import prepare_mlflow
from medgan.models.model_file import FILE_NAME, Model, write_model

MARK = "MLmodel"
"""The file that tells the folder of an MLflow model."""

_CODE = "medgan.inference.mlflow_code"


def to_mlflow(model: Model, out: Path, *, overwrite: bool = False) -> None:
    """Write the folder of an MLflow model: both directions, nothing pickled.

    Args:
        model: of volumes.
        out: the folder to make.
        overwrite: replace an MLflow model that is there.

    Raises:
        ModelError: a model of pictures or nodules.
        OutputError: there is something already, or the folder cannot be written.
    """
    require_volumes(model, "an MLflow model")
    prepare_mlflow()
    from mlflow.pyfunc import save_model

    code = find_spec(_CODE)
    assert code is not None and code.origin is not None
    with making_folder(out, MARK, overwrite=overwrite) as folder, TemporaryDirectory() as place:
        file = Path(place) / FILE_NAME
        write_model(file, model)
        # MLflow asks for what a signature says already, and for type hints that JSON cannot have.
        with output_errors(out), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            save_model(
                str(folder),
                python_model=code.origin,
                artifacts={"model": str(file)},
                signature=_signature(model),
                metadata=_facts(model),
                pip_requirements=[f"medgan=={__version__}"],
            )
        _forget_paths(folder)


def _signature(model: Model) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    single = np.dtype("float32")
    space = (-1, -1, -1)
    several = max(model.card.network.channels) > 1
    image = TensorSpec(single, (-1, *space) if several else space, "image")
    text = np.dtype("str")
    return ModelSignature(
        Schema([image, TensorSpec(np.dtype("float64"), (4, 4), "affine")]),
        Schema(
            [
                image,
                TensorSpec(text, (1,), "modality"),
                TensorSpec(text, (-1,), "findings"),
                TensorSpec(text, (1,), "notice"),
            ]
        ),
        ParamSchema([ParamSpec("direction", DataType.string, model.card.directions[0])]),
    )


def _facts(model: Model) -> dict[str, str]:
    card = model.card
    return {
        "medgan": __version__,
        "source": card.source,
        "target": card.target,
        "directions": ", ".join(card.directions),
        "licence": card.licence,
        "intended_use": card.intended_use,
    }


def _forget_paths(folder: Path) -> None:
    """Take out the paths of this machine, which MLflow notes and does not need."""
    path = folder / MARK
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    flavour = document["flavors"]["python_function"]
    flavour["model_code_path"] = Path(flavour["model_code_path"]).name
    for artifact in flavour["artifacts"].values():
        artifact["uri"] = artifact["path"]
    write_text(path, yaml.safe_dump(document, sort_keys=False))
