"""What a training on pictures is judged and looked at by."""

import numpy as np
import pytest
import torch
from PIL import Image
from stand_ins import SIDE, write_stand_ins
from torch import Tensor, nn

from medgan.data.images import picture_sample
from medgan.networks import Translation
from medgan.training.image_validation import PictureValidator
from medgan.training.preview import PreviewRow


class Darker(nn.Module):
    """Takes a quarter off every value and says that it copied a third."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(0.25))

    def forward(self, x: Tensor, context: object = None) -> Translation:
        attention = torch.full((len(x), 2, 1, *x.shape[2:]), 2 / 3)
        attention[:, -1] = 1 / 3
        return Translation(x - self.shift, x[:, None], attention)


def test_cycle_error_and_attention_are_means_over_the_pictures(tmp_path):
    folder = write_stand_ins(tmp_path) / "testA"
    samples = [picture_sample(path, 3, (SIDE, SIDE)) for path in folder.iterdir()]
    scores = PictureValidator(samples[:5], samples[5:]).scores(Darker(), Darker())
    assert np.isnan(scores.pop("validation_score"))
    assert scores == {
        "validation_cycle_l1_A": pytest.approx(0.5),
        "validation_background_attention_A": pytest.approx(1 / 3),
        "validation_cycle_l1_B": pytest.approx(0.5),
        "validation_background_attention_B": pytest.approx(1 / 3),
    }


def test_a_preview_shows_pictures_upright_and_in_their_colours(tmp_path):
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    picture[:8, :8] = (255, 0, 0)
    picture[-8:, :8] = (0, 255, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    sample = picture_sample(tmp_path / "a.png", 3, (SIDE, SIDE))
    PictureValidator([sample], [sample]).preview(tmp_path / "sheet.png", Darker())
    with Image.open(tmp_path / "sheet.png") as sheet:
        shown = np.asarray(sheet.convert("RGB")).astype(int)
    source = shown[:, : shown.shape[1] // 4]
    red, green = (
        np.argwhere((source[..., one] > 200) & (source[..., other] < 60) & (source[..., 2] < 60))
        for one, other in ((0, 1), (1, 0))
    )
    black = np.argwhere(source.max(axis=2) < 30)
    assert red[:, 0].max() < green[:, 0].min()
    assert red[:, 1].mean() < black[:, 1].mean()


def test_the_difference_of_colours_is_that_of_their_means():
    rng = np.random.default_rng(0)
    source, result = rng.uniform(-1, 1, (2, 5, 4, 3))
    row = PreviewRow(source, result, np.zeros((5, 4)))
    np.testing.assert_allclose(row.difference, (result - source).mean(axis=2))
    np.testing.assert_allclose(
        PreviewRow(source[..., 0], result, row.background).difference,
        result.mean(axis=2) - source[..., 0],
    )
