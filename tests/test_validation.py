"""What a training is judged by: known scores for networks whose results are known."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import nn

from medgan.config import parse_config
from medgan.data.phantom_patches import PhantomPatches
from medgan.data.phantom_slices import PhantomSlices
from medgan.data.samples import Sample
from medgan.metrics.unpaired import profile_distance
from medgan.networks import Translation
from medgan.recipes.scans import prepared_scans
from medgan.training.validation import PHANTOM_CASES, ScanValidator, preview_row


class Table(nn.Module):
    """Translates the images it knows; others stay as they are."""

    def __init__(self, known=None):
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.known = known or {}

    def forward(self, x, context):
        made = torch.stack([self.known.get(image.numpy().tobytes(), image) for image in x])
        return copying(made)


class Told(nn.Module):
    """Returns what it is told of each image: the middle of its neighbours, less its depth."""

    def __init__(self):
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, x, context):
        self.seen.append(context)
        depth = context.depth.reshape(-1, *[1] * (x.ndim - 1))
        return copying(context.neighbours.mean(1, keepdim=True) - 0.1 * depth)


def copying(image):
    maps = torch.ones_like(image[:, :1])[:, None]
    return Translation(image, maps, maps)


PATCHES = {"spatial_dims": 3}
NEIGHBOURS = {"neighbours": 2, "position": True}
CONTRASTS = {"channels": (2, 1)}


@pytest.fixture
def make_validator(tiny_document):
    def make(scans=True, network=None, **changes):
        document = tiny_document | changes
        document["network"] = document["network"] | (network or {})
        document["preparation"] = document["preparation"] | {"patch": [24, 24, 24]}
        if network == CONTRASTS:
            phantoms = document["data"]["phantoms"] | {"contrasts": ["t1", "t2"]}
            document["data"] = document["data"] | {"phantoms": phantoms}
        config = parse_config(document)
        library = PhantomPatches if config.network.spatial_dims == 3 else PhantomSlices
        phantoms = library.validation(config.data.phantoms, config.preparation, config.network)
        data = config.data
        loaded = [
            prepared_scans(config, group if scans else (), modality)
            for group, modality in ((data.source, config.source), (data.target, config.target))
        ]
        return ScanValidator(config, phantoms, *loaded)

    return make


def table(cases, source, target):
    return Table({getattr(c, source).tobytes(): torch.from_numpy(getattr(c, target))
                  for c in cases})  # fmt: skip


def in_body(validator, *names):
    """Values of all cases inside the head."""
    body = np.stack([case.body for case in validator.cases])
    return [np.stack([getattr(case, name) for case in validator.cases])[body] for name in names]


def assert_scores(scores, made_ct, ct, made_mr, mr):
    """Against the definitions, of values inside the head."""
    mae = 1500 * np.abs(made_ct - ct).mean()
    assert scores["validation_phantom_mae_hu"] == pytest.approx(mae, rel=1e-4)
    found, bone = (values > (150 + 1000) / 1500 - 1 for values in (made_ct, ct))
    dice = 2 * (found & bone).sum() / (found.sum() + bone.sum())
    assert scores["validation_phantom_bone_dice"] == pytest.approx(dice, abs=1e-3)
    correlation = np.corrcoef(made_mr, mr)[0, 1]
    assert scores["validation_phantom_mr_correlation"] == pytest.approx(correlation, abs=1e-4)


@pytest.mark.parametrize(
    "network",
    [{}, NEIGHBOURS, PATCHES, CONTRASTS],
    ids=["2-D", "2.5-D", "3-D", "two contrasts"],
)
def test_networks_that_know_the_truth_have_no_error(make_validator, network):
    validator = make_validator(scans=False, network=network)
    cases = validator.cases
    scores = validator.scores(table(cases, "mr", "ct"), table(cases, "noisy_ct", "standard_mr"))
    assert scores["validation_phantom_mae_hu"] == 0
    assert scores["validation_phantom_bone_dice"] == 1
    assert scores["validation_phantom_mr_correlation"] == pytest.approx(1)
    assert scores["validation_score"] == 0
    assert "validation_profile_distance_hu" not in scores


@pytest.mark.parametrize("network", [{}, NEIGHBOURS, PATCHES], ids=["2-D", "2.5-D", "3-D"])
def test_networks_that_copy_have_the_error_of_copying(make_validator, network):
    validator = make_validator(scans=False, network=network)
    assert len(validator.cases) == PHANTOM_CASES[network.get("spatial_dims", 2)]
    scores = validator.scores(Table(), Table())
    mr, ct, noisy, standard = in_body(validator, "mr", "ct", "noisy_ct", "standard_mr")
    assert_scores(scores, mr, ct, noisy, standard)


def test_networks_are_told_neighbours_and_depth_of_phantoms_and_scans(make_validator):
    validator = make_validator(network=NEIGHBOURS)
    to_ct, to_mr = Told(), Told()
    scores = validator.scores(to_ct, to_mr)
    body = np.stack([case.body for case in validator.cases])
    depth = np.array([case.depth_mm for case in validator.cases]).reshape(-1, 1, 1, 1)
    assert np.ptp(depth) > 0

    def told(name):
        beside = np.stack([getattr(case, name) for case in validator.cases])
        return (beside.mean(1, keepdims=True) - 0.1 * depth / 100)[body]

    ct, standard = in_body(validator, "ct", "standard_mr")
    assert_scores(scores, told("mr_neighbours"), ct, told("ct_neighbours"), standard)
    (head,) = validator.scans
    expected = np.stack(
        [s.neighbours.mean(0) - 0.1 * s.depth_mm / 100 for s in head.slices], axis=-1
    )
    np.testing.assert_allclose(head.translated(to_ct), expected, atol=1e-5)
    depths = [sample.depth_mm for sample in head.slices]
    assert depths == sorted(depths) and depths[-1] > 80


@pytest.mark.parametrize("network", [{}, NEIGHBOURS, PATCHES], ids=["2-D", "2.5-D", "3-D"])
def test_real_scans_add_their_distance_to_the_score_and_to_its_reason(make_validator, network):
    validator = make_validator(network=network)
    assert "depth-profile distance" in validator.reason
    scores = validator.scores(Table(), Table())
    (head,) = validator.scans
    copied = validator._profile(head.image[0], head)
    distance = profile_distance([copied], validator.real)
    assert distance > 0
    assert scores["validation_profile_distance_hu"] == pytest.approx(distance)
    total = scores["validation_phantom_mae_hu"] + distance
    assert scores["validation_score"] == pytest.approx(total)


def test_a_network_of_volumes_is_given_the_head_whole_and_its_slices_are_picked(make_validator):
    validator = make_validator(network=PATCHES)
    (head,) = validator.scans

    class Counting(Table):
        def forward(self, x, context):
            self.given, self.depth = x, context.depth.item()
            numbers = torch.arange(x.shape[-1], dtype=torch.float32).expand_as(x)
            return copying(numbers)

    network = Counting()
    made = head.translated(network)
    lowest = min(head.chosen)
    assert made.shape == head.image.shape[1:]
    assert made[0, 0].tolist() == [index - lowest for index in head.chosen]
    _, _, *sizes = network.given.shape
    assert all(size % 4 == 0 for size in sizes)
    picked = network.given[0, :, :, :, made[0, 0].astype(int)]
    np.testing.assert_array_equal(picked, head.image)
    assert network.depth == pytest.approx(1.1 / 2)


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
@pytest.mark.parametrize("network", [{}, PATCHES], ids=["2-D", "3-D"])
def test_a_preview_is_a_picture_with_a_row_a_case(
    make_validator, tiny_document, tmp_path, way, network
):
    data = dict(tiny_document["data"])
    if way[0] == "CT":
        data["source"], data["target"] = data["target"], data["source"]
    validator = make_validator(source=way[0], target=way[1], data=data, network=network)
    validator.preview(tmp_path / "p.png", Table())
    picture = imread(tmp_path / "p.png")
    # slices of a real scan are shown where they are what is translated
    rows = 4 if way[0] == "MR" and not network else 3
    # 2 inches a row and a column at 100 dots an inch
    assert picture.shape[1] == 800
    assert abs(picture.shape[0] - 200 * rows) <= 50


def test_a_preview_of_a_volume_shows_its_middle():
    image = np.random.default_rng(0).random((1, 8, 12, 6)).astype(np.float32)
    row = preview_row(Table(), Sample(image, image > 0))
    np.testing.assert_array_equal(row.source, image[0, ..., 3])
    assert row.background.shape == (8, 12)
