"""Which models can go where."""

from medgan.errors import ModelError
from medgan.models.model_file import Model


def require_volumes(model: Model, form: str) -> None:
    """Refuse models whose use is more than a volume in and a volume out.

    Args:
        model: to be exported.
        form: what to, in words.

    Raises:
        ModelError: a model of pictures or of nodules.
    """
    kind = "pictures" if model.card.source == "IMAGE" else "nodules"
    if kind == "pictures" or model.card.network.conditions:
        raise ModelError(
            f"a model of {kind} cannot become {form}: it does not translate whole volumes",
            remedy="Export its networks with --to onnx",
        )
