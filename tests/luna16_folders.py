"""Folders like LUNA16's of schematic chests, and tiny trainings on them."""

from pathlib import Path

import pytest
import yaml
from detection_phantoms import make_chest

from medgan.io.luna16 import Row, write_rows

TINY_NODULES = {
    "name": "tiny",
    "source": "CT",
    "target": "CT",
    "data": {"phantoms": {"heads": 1, "slices": 4, "validation_heads": 1}},
    "preparation": {
        "spacing_mm": [2, 2, 2], "patch": [24, 24, 24], "window_hu": [-1000, 400],
    },
    "network": {
        "spatial_dims": 3, "width": 4, "blocks": 1, "contents": 2, "conditions": 2,
        "discriminator_width": 4,
    },
    "losses": {"identity": 0, "phantom": 100, "background": 1},
    "training": {"steps": 2, "warmup_steps": 1, "validate_every": 2, "log_every": 1},
    "tracking": {"enabled": False},
}  # fmt: skip
"""Of nodules; ``data.nodules`` is wanting."""


def two_chests(root: Path, *, nodules: int) -> Path:
    """A chest in each of two subsets, the second flipped, with masks and both tables."""
    masks = root / "seg-lungs"
    masks.mkdir()
    rows, others = [], []
    for seed in range(2):
        folder = root / f"subset{seed}"
        folder.mkdir()
        chest = make_chest(
            folder,
            seed,
            nodules=nodules,
            vessels=4,
            flipped=seed == 1,
            mask_suffix=".mhd",
            masks=masks,
        )
        rows += [Row(chest.uid, n.position_mm, n.diameter_mm) for n in chest.nodules]
        others.append(Row(chest.uid, (1.0, 2.0, 3.0), -1.0))
    write_rows(root / "annotations.csv", rows, "diameter_mm")
    write_rows(root / "annotations_excluded.csv", others, "diameter_mm")
    return root


def trained(folder: Path, document: dict, data: dict) -> Path:
    """The run folder of a training by the command line.

    Args:
        folder: an empty one.
        document: the configuration without its scans.
        data: what is added to its section ``data``.
    """
    from medgan.cli.main import main

    document = document | {"data": document["data"] | data}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit) as stopped:
        main(["train", str(folder / "tiny.yaml"), "--out", str(folder / "tiny")])
    assert not stopped.value.code
    return folder / "tiny"
