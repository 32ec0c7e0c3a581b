from dataclasses import replace

import numpy as np
import pytest

from medgan.config import PreparationConfig
from medgan.data.preparation import correct_bias, prepare
from medgan.errors import DataError
from medgan.volumes import Volume
from medgan.volumes.geometry import axis_codes, reorient
from medgan.volumes.intensity import PercentileScale, WindowScale

SETTINGS = PreparationConfig(spacing_mm=(3.0, 3.0, 3.0))
SHAPE = (48, 44, 30)
AFFINE = np.diag([2.0, 2.0, 2.5, 1])


def ball():
    x, y, z = (
        (index - (size - 1) / 2) * step
        for index, size, step in zip(np.indices(SHAPE), SHAPE, (2, 2, 2.5), strict=True)
    )
    return (x / 36) ** 2 + (y / 30) ** 2 + (z / 28) ** 2 < 1


def scan(modality):
    body, rng = ball(), np.random.default_rng(0)
    if modality == "CT":
        array = np.where(body, 60, -1000) + rng.normal(0, 8, SHAPE)
    else:
        array = np.abs(np.where(body, 700, 0) + rng.normal(0, 15, SHAPE))
    return Volume(array.astype(np.float32), AFFINE, modality)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_prepared_scan_lies_on_the_models_grid_with_air_around(modality):
    prepared = prepare(scan(modality), SETTINGS)
    volume = prepared.volume
    assert axis_codes(volume.affine) == "RAS"
    np.testing.assert_allclose(volume.spacing_mm, 3)
    assert volume.array.dtype == np.float32
    assert (volume.array[~prepared.mask_with_margin] == volume.background).all()
    assert (prepared.mask <= prepared.mask_with_margin).all()
    assert prepared.mask_with_margin.sum() > prepared.mask.sum()
    size = prepared.mask.sum() * 27.0
    assert size == pytest.approx(ball().sum() * 10.0, rel=0.05)
    scaled = prepared.scaled()
    assert (scaled[~prepared.mask_with_margin] == -1).all()
    assert -1 <= scaled.min() < scaled.max() <= 1


def test_the_scale_follows_the_modality():
    ct, mr = prepare(scan("CT"), SETTINGS), prepare(scan("MR"), SETTINGS)
    assert ct.scale == WindowScale(-1000, 2000)
    assert isinstance(mr.scale, PercentileScale)
    assert mr.scale.high == pytest.approx(np.percentile(mr.volume.array[mr.mask], 99.5))


@pytest.mark.parametrize("codes", ["LPS", "SAR"])
def test_the_storage_order_of_the_file_does_not_matter(codes):
    expected = prepare(scan("CT"), SETTINGS)
    turned = prepare(reorient(scan("CT"), codes), SETTINGS)
    np.testing.assert_allclose(turned.volume.affine, expected.volume.affine, atol=1e-9)
    np.testing.assert_array_equal(turned.mask, expected.mask)
    np.testing.assert_allclose(turned.volume.array, expected.volume.array, atol=1e-3)


def test_padding_beyond_the_scanners_field_does_not_bleed():
    padded = scan("CT").array.copy()
    padded[:4] = -3024
    prepared = prepare(scan("CT").with_array(padded), SETTINGS)
    assert prepared.volume.array.min() >= -1024


def test_bias_correction_flattens_shading():
    flat = scan("MR")
    shading = np.exp(0.6 * (np.indices(SHAPE)[0] / SHAPE[0] - 0.5))
    shaded = flat.with_array(flat.array * shading.astype(np.float32))
    body = ball()

    def variation(volume):
        return volume.array[body].std() / volume.array[body].mean()

    corrected = correct_bias(shaded, body)
    assert variation(shaded) > 0.1
    assert variation(corrected) < variation(flat) + 0.02
    prepared = prepare(shaded, SETTINGS.model_copy(update={"n4": True}))
    inner = prepared.volume.array[prepared.mask]
    assert inner.std() / inner.mean() < 0.5 * variation(shaded) + 0.06


def test_a_label_map_is_refused():
    with pytest.raises(DataError, match="label map"):
        prepare(replace(scan("MR"), modality="LABEL"), SETTINGS)
