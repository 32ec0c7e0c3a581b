"""Nodules put into scans and taken out: what changes, and what must not."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from medgan.config import NetworkConfig, PreparationConfig
from medgan.data.luna16_scan import Nodule
from medgan.data.nodule_shapes import drawn_shape
from medgan.errors import DataError, ModelError
from medgan.inference.nodules import MARGIN_MM, NoduleInserter
from medgan.io.luna16 import to_index
from medgan.models.model_file import Model, ModelCard
from medgan.networks import Translation
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient
from medgan.volumes.intensity import WindowScale

WINDOW = WindowScale(-1000, 400)
LUNG_HU, NODULE_HU = -850, 40


class Painter(nn.Module):
    """Blends towards one CT number by the mask that is wanted, and spoils everything else."""

    channels = (1, 1)

    def __init__(self, hu, spoilt=0.2):
        super().__init__()
        self.value, self.spoilt = float(WINDOW.forward(hu)), spoilt

    def forward(self, image, context):
        share = (context.condition[:, :1] + 1) / 2
        made = image + share * (self.value - image)
        made = made + self.spoilt * (share == 0)
        return Translation(made, made[:, None], torch.zeros_like(made)[:, None])


def inserter(spoilt=0.2):
    card = ModelCard(
        source="CT",
        target="CT",
        preparation=PreparationConfig(
            spacing_mm=(1, 1, 1), patch=(32, 32, 32), window_hu=(-1000, 400)
        ),
        network=NetworkConfig(spatial_dims=3, conditions=2),
        provenance={},
    )
    return NoduleInserter(
        Model(Painter(NODULE_HU, spoilt), Painter(LUNG_HU, spoilt), card, "0" * 64)
    )


def lung(spacing=(1.0, 1.0, 1.0), shape=(60, 56, 52), noise=40, axes="RAS"):
    rng = np.random.default_rng(5)
    hu = np.rint(LUNG_HU + noise * rng.normal(size=shape)).astype(np.int16)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = (3.3, -7.1, 12.9)
    return reorient(Volume(hu, affine, "CT"), axes)


def middle(volume):
    x, y, z = (volume.affine @ [*(np.array(volume.shape) // 2), 1])[:3]
    return -x, -y, z


SHAPE = drawn_shape(12, np.random.default_rng(2))


@pytest.mark.parametrize(
    ("spacing", "axes"),
    [((1.0, 1.0, 1.0), "RAS"), ((0.7, 0.7, 1.25), "LPS"), ((1.3, 1.3, 2.5), "LAI")],
)
def test_outside_the_margin_not_one_ct_number_changes(spacing, axes):
    scan = lung(spacing, axes=axes)
    made = inserter().insert(scan, SHAPE, middle(scan)).scan
    changed = made.array != scan.array
    mask = SHAPE.share_on(scan, middle(scan)) > 0
    away = ndimage.distance_transform_edt(~mask, sampling=scan.spacing_mm)
    # one voxel of the model's grid, and the ramp of the share
    assert away[changed].max() <= MARGIN_MM + 2.0
    assert changed[mask].mean() > 0.9
    assert made.array.dtype == np.int16
    assert made.synthetic
    assert not scan.synthetic
    assert np.array_equal(made.affine, scan.affine)


def test_the_nodule_has_the_place_size_and_density_that_were_wanted():
    scan = lung(noise=0)
    done = inserter(spoilt=0).insert(scan, SHAPE, middle(scan))
    dense = done.scan.array > (LUNG_HU + NODULE_HU) / 2
    assert done.nodule.diameter_mm == pytest.approx(12, rel=0.03)
    assert (6 * dense.sum() / np.pi) ** (1 / 3) == pytest.approx(12, rel=0.03)
    found = ndimage.center_of_mass(dense)
    assert np.abs(found - to_index(scan, done.nodule.position_mm)).max() < 0.5
    inside = ndimage.binary_erosion(dense, iterations=2)
    assert np.abs(done.scan.array[inside] - NODULE_HU).max() <= 1


def test_noise_finer_than_the_models_voxels_stays_in_the_nodule():
    scan = lung((0.5, 0.5, 0.5), (90, 90, 90))
    made = inserter(spoilt=0).insert(scan, SHAPE, middle(scan)).scan
    inside = ndimage.binary_erosion(SHAPE.mask_on(scan, middle(scan)), iterations=3)
    fine = [part - ndimage.gaussian_filter(part, 0.7) for part in map(as_float, (scan, made))]
    assert np.corrcoef(fine[0][inside], fine[1][inside])[0, 1] > 0.8
    assert fine[1][inside].std() == pytest.approx(fine[0][inside].std(), rel=0.15)


def as_float(volume):
    return volume.array.astype(float)


def test_floats_outside_keep_every_bit():
    scan = lung()
    scan = scan.with_array(scan.array + np.float32(0.123))
    made = inserter().insert(scan, SHAPE, middle(scan)).scan
    assert made.array.dtype == np.float32
    assert np.array_equal(made.array[:5], scan.array[:5])


def test_the_pleura_cuts_a_nodule():
    scan = lung()
    lungs = np.zeros(scan.shape, bool)
    lungs[: scan.shape[0] // 2 + 1] = True
    mask = scan.with_array(lungs, modality="LABEL")
    done = inserter().insert(scan, SHAPE, middle(scan), lungs=mask)
    whole = inserter().insert(scan, SHAPE, middle(scan))
    share = (done.nodule.diameter_mm / whole.nodule.diameter_mm) ** 3
    assert 0.35 < share < 0.65
    changed = (done.scan.array != scan.array).any(axis=(1, 2))
    assert not changed[scan.shape[0] // 2 + 5 :].any()


def test_removing_gives_lung_and_touches_nothing_far_away():
    scan = lung(noise=0)
    put_in = inserter(spoilt=0).insert(scan, SHAPE, middle(scan))
    taken = inserter().remove(put_in.scan, put_in.nodule)
    core = SHAPE.mask_on(scan, middle(scan))
    inside = ndimage.binary_erosion(core, iterations=2)
    # the mask of a nodule rounds off its tips
    assert np.abs(as_float(taken)[inside] - LUNG_HU).mean() < 10
    away = ndimage.distance_transform_edt(~core, sampling=scan.spacing_mm)
    assert np.array_equal(taken.array[away > 8], scan.array[away > 8])


def test_a_nodule_at_the_border_of_the_scan_is_put_into_what_there_is():
    scan = lung(shape=(40, 40, 14))
    made = inserter().insert(scan, SHAPE, middle(scan)).scan
    assert made.shape == scan.shape
    assert (made.array != scan.array).any()


def test_what_cannot_be_put_in_is_refused():
    scan = lung()
    large = drawn_shape(25, np.random.default_rng(0))
    with pytest.raises(DataError, match="too large"):
        inserter().insert(scan, large, middle(scan))
    with pytest.raises(DataError, match="too large"):
        inserter().remove(scan, Nodule(middle(scan), 25.0))
    nowhere = scan.with_array(np.zeros(scan.shape, bool), modality="LABEL")
    with pytest.raises(DataError, match="nothing of the nodule"):
        inserter().insert(scan, SHAPE, middle(scan), lungs=nowhere)
    with pytest.raises(DataError, match="CT only"):
        inserter().insert(scan.with_array(scan.array, modality="MR"), SHAPE, middle(scan))


def test_a_model_of_something_else_is_refused():
    card = inserter().model.card.model_copy(update={"network": NetworkConfig()})
    with pytest.raises(ModelError, match="nothing of nodules"):
        NoduleInserter(Model(None, None, card, ""))
