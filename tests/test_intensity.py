import numpy as np
import pytest
import torch

from medgan.errors import ConfigError, DataError
from medgan.volumes.intensity import PercentileScale, WindowScale, scale_from_dict

HEAD = WindowScale(-1000, 2000)


def test_the_window_maps_its_ends_and_clips_beyond():
    scaled = HEAD.forward(np.array([-1024, -1000, 500, 2000, 3071], np.int16))
    np.testing.assert_allclose(scaled, [-1, -1, 0, 1, 1], atol=1e-6)
    assert scaled.dtype == np.float32


def test_the_window_loses_nothing_inside():
    hu = np.arange(-1000, 2001, dtype=np.int16)
    np.testing.assert_array_equal(np.rint(HEAD.inverse(HEAD.forward(hu))), hu)


def test_inverse_works_on_tensors_and_keeps_their_type():
    scaled = torch.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    hu = HEAD.inverse(scaled)
    assert hu.dtype == torch.float32
    assert hu.requires_grad
    assert hu.tolist() == [-1000, 500, 2000]


def test_the_saturated_share_counts_both_sides():
    assert HEAD.saturated_share([-1001, -1000, 0, 2000, 2001]) == 0.4


def test_the_percentile_inside_the_mask_becomes_one():
    rng = np.random.default_rng(0)
    array = rng.gamma(3, 100, size=(10, 10, 10))
    mask = np.zeros(array.shape, bool)
    mask[:5] = True
    array[5:] *= 50
    scale = PercentileScale.fit(array, mask, 90)
    scaled = scale.forward(array)
    assert (scaled[mask] < 1).mean() == pytest.approx(0.9, abs=0.002)
    assert scale.forward(0.0) == -1
    assert scale.forward(-5.0) == -1
    below = array < scale.high
    np.testing.assert_allclose(scale.inverse(scaled)[below], array[below], rtol=1e-4)


def test_a_scale_does_not_change_with_the_unit_of_the_scanner():
    array = np.random.default_rng(1).gamma(3, 100, size=500)
    mask = np.ones(500, bool)
    a = PercentileScale.fit(array, mask).forward(array)
    b = PercentileScale.fit(array * 7, mask).forward(array * 7)
    np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("scale", [HEAD, PercentileScale(812.5, 99.5)])
def test_a_scale_survives_its_dictionary(scale):
    assert scale_from_dict(scale.to_dict()) == scale


def test_useless_scales_are_refused():
    with pytest.raises(ConfigError, match="low < high"):
        WindowScale(10, 10)
    with pytest.raises(DataError, match="empty"):
        PercentileScale.fit(np.ones(3), np.zeros(3, bool))
    with pytest.raises(DataError, match="above 0"):
        PercentileScale.fit(np.zeros(3), np.ones(3, bool))
    with pytest.raises(ConfigError, match="unknown intensity scale"):
        scale_from_dict({"kind": "sigmoid"})
    with pytest.raises(ConfigError, match="do not fit"):
        scale_from_dict({"kind": "window", "low": 0})
