import nibabel as nib
import numpy as np
import pytest

from medgan.errors import DataError
from medgan.io import read_volume
from medgan.phantoms.from_ct import anatomy_of
from medgan.phantoms.mr import add_rician_noise
from medgan.phantoms.randomised import random_tissue_values
from medgan.volumes import Volume
from medgan.volumes.masks import body_mask, dilate_mm

SPACING = (2.0, 2.0, 3.0)
SHAPE = (64, 64, 24)


def places():
    """Position of every voxel in mm from the centre of the grid, as three (X, Y, Z) arrays."""
    return [
        (index - (size - 1) / 2) * step
        for index, size, step in zip(np.indices(SHAPE), SHAPE, SPACING, strict=True)
    ]


def head():
    """A head that leaves the field of view below, with a mouth open to the front."""
    x, y, z = places()
    body = (x / 40) ** 2 + (y / 50) ** 2 + (np.maximum(z, 0) / 30) ** 2 < 1
    sinus = (x / 8) ** 2 + ((y - 25) / 8) ** 2 + (z / 8) ** 2 < 1
    nostril = (abs(x) < 3) & (y > 25) & (abs(z) < 3)
    airway = (x / 5) ** 2 + ((y + 5) / 5) ** 2 < 1
    return body, body & (sinus | nostril | airway & (z < 0))


def ct(body, cavities, seed=0):
    rng = np.random.default_rng(seed)
    return np.where(body & ~cavities, 40.0, -1000.0) + rng.normal(0, 20, SHAPE)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def volume(array, modality):
    return Volume(array, np.diag([*SPACING, 1]), modality)


def test_cavities_and_openings_belong_to_the_body():
    body, cavities = head()
    mask = body_mask(volume(ct(body, cavities), "CT"))
    assert mask[cavities].mean() > 0.97
    assert dice(mask, body) > 0.99


def test_a_table_that_touches_the_patient_is_left_out():
    body, cavities = head()
    _, y, _ = places()
    table = (y < -50) & (y > -54)
    array = ct(body, cavities)
    array[table & ~body] = 200
    mask = body_mask(volume(array, "CT"))
    # What lies against the skin comes back with it.
    assert mask[table & ~body].mean() < 0.15
    assert dice(mask, body) > 0.98


@pytest.mark.parametrize("contrast", ["t1", "t2", "template"])
def test_mr_is_separated_whatever_its_noise_bias_and_unit(contrast):
    body, cavities = head()
    x, y, z = places()
    rng = np.random.default_rng(0)
    skull = body & ((x / 36) ** 2 + (y / 46) ** 2 + (np.maximum(z, 0) / 26) ** 2 > 1)
    brain = (x / 30) ** 2 + (y / 40) ** 2 + (np.maximum(z, 0) / 20) ** 2 < 1
    signal = np.where(brain, {"t1": 1.0, "t2": 0.4, "template": 0.8}[contrast], 0.5) * body
    signal[cavities] = 0
    signal[skull & ~(np.hypot(x, y) > 60)] *= 0.9
    signal *= np.exp(0.5 * x / 64 + 0.3 * z / 36)
    noise = 0 if contrast == "template" else 0.03
    array = np.abs(signal + noise * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)))
    masks = [body_mask(volume(array * unit, "MR")) for unit in (1, 3000)]
    assert dice(masks[0], body) > 0.98
    assert dice(*masks) > 0.999


@pytest.mark.parametrize("scalp_mm", [4, 8])
def test_a_thin_scalp_over_dark_bone_is_the_surface_of_an_mr(scalp_mm):
    x, y, z = places()
    body, _ = head()
    skull = _shrunken(x, y, z, scalp_mm)
    brain = _shrunken(x, y, z, scalp_mm + 7)
    signal = np.select([brain, skull, body], [0.8, 0.02, 1.0], 0.0)
    ghost = (x + 55) ** 2 + (y - 55) ** 2 < 6**2
    signal[ghost] = 0.4
    rng = np.random.default_rng(0)
    array = np.abs(signal + 0.02 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)))
    mask = body_mask(volume(array, "MR"))
    assert mask[skull].mean() > 0.995
    assert dice(mask, body) > 0.98
    assert not mask[ghost].any()


def test_a_dim_scalp_below_bright_fluid_belongs_to_the_body():
    x, y, z = places()
    body, _ = head()
    brain, fluid = _shrunken(x, y, z, 13), _shrunken(x, y, z, 26)
    skull = _shrunken(x, y, z, 6)
    signal = np.select([fluid, brain, skull, body], [1.0, 0.4, 0.0, 0.08], 0.0)
    rng = np.random.default_rng(0)
    array = np.abs(signal + 0.01 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)))
    assert dice(body_mask(volume(array, "MR")), body) > 0.98


def _shrunken(x, y, z, margin_mm):
    """The head, its surface taken off."""
    a, b, c = 40 - margin_mm, 50 - margin_mm, 30 - margin_mm
    return (x / a) ** 2 + (y / b) ** 2 + (np.maximum(z, 0) / c) ** 2 < 1


def test_the_mask_turns_with_the_image():
    array = ct(*head())
    mask = body_mask(volume(array, "CT"))
    turned = Volume(array.transpose(2, 0, 1)[:, ::-1], np.diag([3, 2, 2, 1]), "CT")
    np.testing.assert_array_equal(body_mask(turned), mask.transpose(2, 0, 1)[:, ::-1])


@pytest.mark.parametrize("margin", [0, 2, 5])
def test_dilation_reaches_exactly_as_far_as_asked(margin):
    mask = np.zeros((9, 9, 9), bool)
    mask[4, 4, 4] = mask[0, 1, 2] = True
    indices = np.argwhere(np.ones(mask.shape, bool))
    centres = [np.array([4, 4, 4]), np.array([0, 1, 2])]
    distance = np.min([np.linalg.norm((indices - c) * SPACING, axis=1) for c in centres], axis=0)
    expected = (distance <= margin).reshape(mask.shape)
    np.testing.assert_array_equal(dilate_mm(mask, SPACING, margin), expected)


@pytest.mark.parametrize(
    ("array", "modality", "message"),
    [
        (np.zeros(SHAPE), "MR", "same value"),
        (np.full(SHAPE, 40.0), "CT", "same value"),
        (np.random.default_rng(0).normal(-1000, 5, SHAPE), "CT", "no body"),
        (np.random.default_rng(0).normal(500, 5, SHAPE), "CT", "must be in HU"),
        (np.ones(SHAPE, bool), "LABEL", "label map"),
    ],
)
def test_an_image_without_a_body_is_refused(array, modality, message):
    with pytest.raises(DataError, match=message):
        body_mask(volume(array, modality))


def test_ct_and_mr_templates_of_one_space_get_like_masks(medgan_data):
    folder = medgan_data / "mni_template_pair"
    masks = [
        body_mask(read_volume(folder / f"{name}.nii.gz"))
        for name in ("ct_scct_hu_2mm", "mr_t1_mni152_head_2mm", "mr_t1_ch2_colin_2mm")
    ]
    assert dice(masks[0], masks[1]) > 0.93
    assert dice(masks[1], masks[2]) > 0.93


def test_no_bone_is_lost_in_mr_of_a_real_head(medgan_data):
    path = medgan_data / "invesalius_cranium_ct" / "cranium_ct_hu.nii.gz"
    anatomy = anatomy_of(read_volume(path), seed=0)
    bone = anatomy.ct.array > 300
    for contrast, seed in (("t1", 0), ("t2", 2)):
        rng = np.random.default_rng(seed)
        image = random_tissue_values(rng, contrast).signal[anatomy.labels.array]
        mr = anatomy.labels.with_array(add_rician_noise(image, rng, 0.02), modality="MR")
        assert body_mask(mr)[bone].mean() > 0.999


def test_the_table_of_a_real_scan_is_left_out(medgan_data):
    path = medgan_data / "invesalius_cranium_ct" / "cranium_ct_hu.nii.gz"
    scan = read_volume(path)
    mask = body_mask(scan)
    codes = "".join(nib.aff2axcodes(scan.affine))
    front = np.flip(mask, 1) if codes[1] == "P" else mask
    dense = scan.array > -300
    assert (dense & ~mask).sum() > 0.01 * mask.sum()
    assert not mask[:8].any()
    assert not mask[-8:].any()
    # The tip of the nose is the frontmost part of the head, behind it lies bone.
    frontmost = np.flatnonzero(front.any(axis=(0, 2)))[-1]
    assert frontmost > 225
