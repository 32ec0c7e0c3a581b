"""A tiny augmentation experiment on phantoms."""

from medgan.recipes.augmentation_config import AugmentationExperiment

TINY = {
    "name": "tiny",
    "seeds": [0, 1],
    "phantoms": {
        "spacing_mm": 2.5,
        "train": {"scans": 2, "nodules": 2},
        "validation": {"scans": 1, "nodules": 4},
        "test": {"scans": 2, "nodules": 12},
    },
    "sources": [
        {"name": "oracle", "label": "Oracle", "kind": "oracle", "nodules": 5},
        {"name": "noise", "label": "Noise", "kind": "noise", "nodules": 2},
    ],
    "arms": [
        {"name": "real", "label": "Real", "shares": [1, 0.5]},
        {
            "name": "classic", "label": "Real, classic augmentation",
            "settings": ["augmentation.flips=true"],
        },
        {"name": "oversampled", "label": "Real, three times", "repeats": 3},
        {
            "name": "oracle", "label": "Real and oracle", "source": "oracle", "times": 1,
            "shares": [1, 0.5],
        },
        {"name": "oracle_alone", "label": "Oracle alone", "real": False, "source": "oracle"},
        {"name": "noise", "label": "Real and noise", "source": "noise", "times": 0.5},
    ],
    "reference": "real",
    "detector": {
        "input": {"spacing_mm": 2.5},
        "network": {"width": 4},
        "augmentation": {"flips": False, "rotation_degrees": 0, "scaling": 0, "shift_hu": 0},
        "sampling": {"patch": 32, "mine_every": 0},
        "prediction": {"threshold": 0.0},
        "training": {"steps": 8, "batch": 2, "learning_rate": 0.005, "validate_every": 8},
    },
    "bootstrap": 40,
    "images": {"crop_mm": 30, "scans": 2, "every": 4},
}  # fmt: skip


def configured(**changes):
    return AugmentationExperiment.model_validate(TINY | changes)
