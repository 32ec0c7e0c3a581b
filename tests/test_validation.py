"""What a training is judged by: known scores for networks whose results are known."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from medgan.config import PhantomConfig, parse_config
from medgan.data.phantom_slices import PhantomSlices
from medgan.metrics.unpaired import profile_distance
from medgan.networks import Translation
from medgan.recipes.training import prepared_scans
from medgan.training.validation import PHANTOM_CASES, Validator


class Table(nn.Module):
    """Translates the images it knows; others stay as they are."""

    def __init__(self, known=None):
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.known = known or {}

    def forward(self, x):
        made = torch.stack([self.known.get(image.numpy().tobytes(), image) for image in x])
        maps = torch.ones_like(x)[:, None]
        return Translation(made, maps, maps)


@pytest.fixture
def make_validator(tiny_document):
    def make(scans=True, **changes):
        config = parse_config(tiny_document | changes)
        phantoms = PhantomSlices.validation(
            PhantomConfig(heads=1, validation_heads=1, slices=3), config.preparation
        )
        data = config.data
        loaded = [
            prepared_scans(config, group if scans else (), modality)
            for group, modality in ((data.source, config.source), (data.target, config.target))
        ]
        return Validator(config, phantoms, *loaded)

    return make


def table(cases, source, target):
    return Table({getattr(c, source)[None].tobytes(): torch.from_numpy(getattr(c, target)[None])
                  for c in cases})  # fmt: skip


def test_networks_that_know_the_truth_have_no_error(make_validator):
    validator = make_validator(scans=False)
    cases = validator.cases
    scores = validator.scores(table(cases, "mr", "ct"), table(cases, "noisy_ct", "standard_mr"))
    assert scores["validation_phantom_mae_hu"] == 0
    assert scores["validation_phantom_bone_dice"] == 1
    assert scores["validation_phantom_mr_correlation"] == pytest.approx(1)
    assert scores["validation_score"] == 0
    assert "validation_profile_distance_hu" not in scores


def test_networks_that_copy_have_the_error_of_copying(make_validator):
    validator = make_validator(scans=False)
    assert len(validator.cases) == PHANTOM_CASES
    scores = validator.scores(Table(), Table())
    body = np.stack([case.body for case in validator.cases])
    mr, ct, noisy, standard = (
        np.stack([getattr(case, name) for case in validator.cases])[body]
        for name in ("mr", "ct", "noisy_ct", "standard_mr")
    )
    assert scores["validation_phantom_mae_hu"] == pytest.approx(
        1500 * np.abs(mr - ct).mean(), rel=1e-4
    )
    found, bone = mr > (150 + 1000) / 1500 - 1, ct > (150 + 1000) / 1500 - 1
    dice = 2 * (found & bone).sum() / (found.sum() + bone.sum())
    assert scores["validation_phantom_bone_dice"] == pytest.approx(dice, abs=1e-3)
    correlation = np.corrcoef(noisy, standard)[0, 1]
    assert scores["validation_phantom_mr_correlation"] == pytest.approx(correlation, abs=1e-4)


def test_real_scans_add_their_distance_to_the_score_and_to_its_reason(make_validator):
    validator = make_validator()
    assert "depth-profile distance" in validator.reason
    scores = validator.scores(Table(), Table())
    ((images, bodies),) = validator.scans
    copied = validator._profile(images[:, 0].numpy(), bodies)
    distance = profile_distance([copied], validator.real)
    assert scores["validation_profile_distance_hu"] == pytest.approx(distance)
    total = scores["validation_phantom_mae_hu"] + distance
    assert scores["validation_score"] == pytest.approx(total)


def test_real_ct_is_far_nearer_to_real_ct_than_copied_mr_is(make_validator):
    validator = make_validator()
    among = profile_distance(validator.real[:1], validator.real[1:])
    copied = validator.scores(Table(), Table())["validation_profile_distance_hu"]
    assert copied > 2 * among


def test_the_ct_direction_is_judged_whichever_way_is_forward(make_validator, tiny_document):
    there = make_validator()
    data = dict(tiny_document["data"])
    data["source"], data["target"] = data["target"], data["source"]
    back = make_validator(source="CT", target="MR", data=data)
    known, copying = table(there.cases, "mr", "ct"), Table()
    assert there.scores(known, copying) == back.scores(copying, known)


@pytest.mark.parametrize("way", [("MR", "CT"), ("CT", "MR")])
def test_a_preview_is_a_picture_with_a_row_a_case(make_validator, tiny_document, tmp_path, way):
    data = dict(tiny_document["data"])
    if way[0] == "CT":
        data["source"], data["target"] = data["target"], data["source"]
    validator = make_validator(source=way[0], target=way[1], data=data)
    validator.preview(tmp_path / "p.png", Table())
    picture = imread(tmp_path / "p.png")
    rows = 4 if way[0] == "MR" else 3
    # 2 inches a row and a column at 100 dots an inch
    assert picture.shape[1] == 800
    assert abs(picture.shape[0] - 200 * rows) <= 50
