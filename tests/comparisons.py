"""A tiny comparison of methods, and made-up results of its runs."""

import json

from medgan.recipes.comparison_config import ComparisonConfig

TINY = {
    "name": "tiny",
    "seeds": [0],
    "reference": "published",
    "held_out": {
        "contrasts": ["t2"], "spacing_mm": [6, 6, 6],
        "source_heads": 1, "target_heads": 1, "test_heads": 1,
    },
    "base": {
        "preparation": {"spacing_mm": [6, 6, 6], "matrix": [48, 48]},
        "network": {"width": 4, "blocks": 1, "contents": 2, "discriminator_width": 4},
        "training": {
            "steps": 8, "log_every": 1, "validate_every": 8, "checkpoint_every": 2, "pool": 2,
        },
        "data": {"phantoms": {"heads": 1, "validation_heads": 1, "slices": 2}},
    },
    "anchor": ["losses.phantom=10", "training.warmup_steps=4"],
    "members": [
        {"name": "published", "label": "AttentionGAN", "anchor": "never"},
        {
            "name": "phantoms_alone", "label": "phantoms alone", "anchor": "only",
            "settings": ["training.warmup_steps=8"],
        },
    ],
}  # fmt: skip


def configured(**changes):
    return ComparisonConfig.model_validate(TINY | changes)


def held_out(**changes):
    return {"held_out": TINY["held_out"] | changes}


def member(name, *settings, **more):
    return {"name": name, "label": name.upper(), "settings": list(settings), **more}


DEFINITION = {
    "protocol": "synthrad2023", "range": [-1024, 3000], "psnr_peak": 4024, "unit": "HU",
    "mask_rule": "both bodies", "averaging": "masked voxels",
}  # fmt: skip
STRANGE = {"psnr": "inf", "bone_dice": None}


def write_result(run, maes, **more):
    """A made-up result of a run."""
    names = [pair.name for pair in run.config.evaluation]
    result = {
        "member": run.variant.name, "seed": run.seed, "steps": 8, "definition": DEFINITION,
        "cases": [{"case": n, "mae": mae, "ssim": 0.5, **more}
                  for n, mae in zip(names, maes, strict=True)],
        "floors": {name: [{"case": n, "mae": 50.0 + run.seed} for n in names]
                   for name in ("constant", "lookup_table")},
    }  # fmt: skip
    run.folder.mkdir(parents=True)
    run.result.write_text(json.dumps(result))
