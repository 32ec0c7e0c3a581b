"""A model as MLflow serves it: the array of a volume and its affine in, an array out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.pyfunc.model import PythonModel

from medgan.errors import DataError
from medgan.inference.guards import require_sound
from medgan.inference.quality import examine
from medgan.inference.translator import Translator
from medgan.models.model_file import Model
from medgan.volumes import Volume


class _Served:
    """What MLflow calls."""

    def load_context(self, context: Any) -> None:
        """Load the model file, the one artifact."""
        model = Model.load(Path(context.artifacts["model"]))
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self.translators = {
            way: Translator(model, way, device=device) for way in model.card.directions
        }

    def predict(
        self, context: Any, model_input: Mapping[str, Any], params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Translate one volume.

        Args:
            context: of MLflow, not looked at.
            model_input: ``image``, (X, Y, Z) in the source's unit, (C, X, Y, Z) for a model of
                several contrasts; ``affine``, (4, 4) to RAS in mm.
            params: ``direction``; the model's first where it is not given.

        Returns:
            ``image``, of the same shape, float32, (C', X, Y, Z) where the model writes several
            contrasts; ``modality`` of it; ``findings`` of the guards; ``notice``.

        Raises:
            DataError: a direction that the model does not have, values that are not finite,
                another number of contrasts, no body, or a result that must not be used.
            GeometryError: not the array of a volume, or not an affine.
        """
        ways = list(self.translators)
        direction = (params or {}).get("direction") or ways[0]
        if direction not in ways:
            raise DataError("no such direction", measured=direction, limit=", ".join(ways))
        translator = self.translators[direction]
        image = np.asarray(model_input["image"], np.float32)
        if not np.isfinite(image).all():
            raise DataError("the image has values that are not finite")
        contrasts = image if image.ndim == 4 else image[None]
        affine = np.asarray(model_input["affine"], np.float64)
        volume, *also = (Volume(one, affine, translator.source) for one in contrasts)
        result = translator(volume, also=also)
        record = examine(translator, result, "request")
        require_sound(record.findings, where="request")
        images = [result.image, *result.others]
        arrays = np.stack([one.array for one in images])
        return {
            "image": arrays if len(images) > 1 else arrays[0],
            "modality": translator.target,
            "findings": [str(finding) for finding in record.findings],
            "notice": f"Synthetic {translator.target}. {translator.model.card.intended_use}",
        }


# MLflow warns its users of hints that are no lists, even where a signature says what is given.
_Served.predict.__annotations__.clear()


class ServedTranslator(_Served, PythonModel):
    """Translates the volumes that it is sent; loaded by MLflow, see ``models.export``."""
