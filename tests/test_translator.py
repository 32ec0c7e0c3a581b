"""Translation of volumes: on the source's own grid, slice by slice, in real units."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from medgan.config import NetworkConfig, PreparationConfig
from medgan.data.preparation import prepare
from medgan.errors import DataError
from medgan.inference.engine import Engine
from medgan.inference.translator import Translator
from medgan.models.model_file import Model, ModelCard
from medgan.networks import Translation
from medgan.networks.build import build_generators
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume
from medgan.volumes.geometry import reorient
from medgan.volumes.masks import dilate_mm

NETWORK = NetworkConfig(width=4, blocks=1, contents=2)


@pytest.fixture(scope="module")
def head():
    head = scan_head(1, spacing_mm=(6.0, 6.0, 6.0), supersample=1)
    return dataclasses.replace(head, mr=dataclasses.replace(head.mr, frame_of_reference="1.2.3"))


def make_model(matrix=(48, 48), planes=("axial",)):
    torch.manual_seed(1)
    preparation = PreparationConfig(spacing_mm=(6, 6, 6), matrix=matrix, planes=planes)
    card = ModelCard(
        source="MR", target="CT", preparation=preparation, network=NETWORK, provenance={}
    )
    forward, backward = build_generators(NETWORK)
    return Model(forward.eval(), backward.eval(), card, "")


@pytest.fixture
def model():
    return make_model()


def identity(x, _context):
    ones = torch.ones_like(x)[:, None]
    return Translation(
        x,
        torch.zeros_like(x)[:, None].repeat(1, 2, 1, 1, 1),
        torch.cat([0 * ones, 0 * ones, ones], 1),
    )


def placed(prepared, values, volume, background):
    """Values on the cropped grid of the model, at their place in a volume of the same voxels."""
    whole = np.full(volume.shape, background, np.float32)
    corner = np.linalg.inv(volume.affine) @ prepared.volume.affine[:, 3]
    start = np.rint(corner[:3]).astype(int)
    np.testing.assert_allclose(corner[:3], start, atol=1e-6)
    whole[tuple(slice(s, s + n) for s, n in zip(start, values.shape, strict=True))] = values
    return whole


def naive(model, volume):
    """One slice after another, padded by hand."""
    prepared = prepare(volume, model.card.preparation)
    scaled, result = prepared.scaled(), np.full(prepared.volume.shape, -1000, np.float32)
    for k in range(scaled.shape[2]):
        pads = []
        for size, least in zip(scaled.shape[:2], model.card.preparation.matrix, strict=True):
            extra = -(-max(size, least) // 4) * 4 - size
            pads.append((extra // 2, extra - extra // 2))
        x = torch.from_numpy(np.pad(scaled[:, :, k], pads, constant_values=-1))[None, None]
        with torch.no_grad():
            made = model.forward(x).image[0, 0].numpy()
        (left, _), (top, _) = pads
        made = made[left : left + scaled.shape[0], top : top + scaled.shape[1]]
        result[:, :, k] = (made + 1) / 2 * 3000 - 1000
    result[~prepared.mask_with_margin] = -1000
    return placed(prepared, result, volume, -1000)


@pytest.mark.parametrize("matrix", [(48, 48), (32, 32)])
def test_a_volume_is_translated_as_its_slices_one_by_one(head, matrix):
    model = make_model(matrix)
    result = Translator(model)(head.mr).image
    np.testing.assert_allclose(result.array, naive(model, head.mr), atol=0.05)
    assert (result.modality, result.unit, result.synthetic) == ("CT", "HU", True)
    assert result.array.dtype == np.float32


def test_the_size_of_the_batches_does_not_matter(head, model):
    one = Translator(model, batch=1)(head.mr).image.array
    for batch in (3, 100):
        np.testing.assert_allclose(
            Translator(model, batch=batch)(head.mr).image.array, one, atol=0.05
        )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_passes_at_once_change_nothing_and_give_the_threads_back(head, model, threads):
    expected = Translator(model)(head.mr).image.array
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = Translator(model)(head.mr).image.array
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == threads
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_the_first_pass_that_fails_ends_the_translation(head, model, monkeypatch):
    seen = []

    def failing(self, images, context, *, details):
        seen.append(len(images))
        if len(seen) > 1:
            time.sleep(0.2)
        raise DataError("does not work")

    monkeypatch.setattr(Engine, "__call__", failing)
    with pytest.raises(DataError, match="does not work"):
        Translator(model)(head.mr)
    assert len(seen) < 10


def test_the_identity_network_gives_the_closed_form_of_the_two_scales(head, model, monkeypatch):
    monkeypatch.setattr(model.forward, "forward", identity)
    prepared = prepare(head.mr, model.card.preparation)
    full = np.percentile(prepared.volume.array[prepared.mask], 99.5)
    expected = np.clip(prepared.volume.array / full, 0, 1) * 3000 - 1000
    result = Translator(model)(head.mr, details=True)
    np.testing.assert_allclose(
        result.image.array, placed(prepared, expected, head.mr, -1000), atol=0.01
    )
    inside = placed(prepared, prepared.mask, head.mr, 0).astype(bool)
    np.testing.assert_allclose(result.attention.array[inside], 1, atol=1e-5)


def test_the_way_back_gives_mr_between_zero_and_its_maximum(head, model, monkeypatch):
    monkeypatch.setattr(model.backward, "forward", identity)
    prepared = prepare(head.ct, model.card.preparation)
    expected = np.clip((prepared.volume.array + 1000) / 3000, 0, 1) * 1000
    result = Translator(model, "backward")(head.ct).image
    assert result.modality == "MR"
    np.testing.assert_allclose(result.array, placed(prepared, expected, head.ct, 0), atol=0.01)


def rotation(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.eye(4)
    turn[1:3, 1:3] = [[c, -s], [s, c]]
    turn[:3, 3] = 11.5, -7.25, 3
    return turn


@pytest.mark.parametrize("codes", ["LPS", "SAR", "PIR"])
def test_the_storage_order_of_the_axes_does_not_matter(head, model, codes):
    expected = Translator(model)(head.mr).image
    turned = reorient(head.mr, codes)
    result = Translator(model)(turned).image
    np.testing.assert_array_equal(result.affine, turned.affine)
    np.testing.assert_allclose(result.array, reorient(expected, codes).array, atol=0.05)


def test_an_oblique_head_is_translated_along_its_own_axes(head, model):
    expected = Translator(model)(head.mr).image.array
    oblique = dataclasses.replace(head.mr, affine=rotation(20) @ head.mr.affine)
    result = Translator(model)(oblique).image
    np.testing.assert_array_equal(result.affine, oblique.affine)
    np.testing.assert_allclose(result.array, expected, atol=0.1)


@pytest.mark.parametrize(
    ("keep", "spacing_mm"),
    [((31, 39, 36), (6, 6, 6)), ((29, 37, 33), (5.3, 6.1, 7.7)), ((30, 38, 17), (6, 6, 12.0))],
)
def test_the_result_lies_exactly_on_the_grid_of_the_source(head, model, keep, spacing_mm):
    affine = rotation(-12) @ np.diag([-spacing_mm[0], *spacing_mm[1:], 1])
    array = head.mr.array[tuple(slice(size) for size in keep)]
    source = Volume(array, affine, "MR", frame_of_reference="1.2.840.99")
    result = Translator(model)(source, details=True)
    assert result.disagreement is None
    for volume in (result.image, result.attention, *result.contents):
        assert volume.shape == source.shape
        np.testing.assert_array_equal(volume.affine, source.affine)
        assert volume.frame_of_reference == "1.2.840.99"
        assert volume.synthetic
        assert np.isfinite(volume.array).all()


def test_what_lies_outside_the_margin_is_air(head, model):
    fine = scan_head(1, spacing_mm=(4.0, 4.0, 5.0), supersample=1).mr
    result = Translator(model)(fine).image
    prepared = prepare(fine, PreparationConfig(spacing_mm=(4, 4, 5)))
    body = placed(prepared, prepared.mask, fine, 0).astype(bool)
    # the margin of 4 mm, and a voxel of the model's grid on either side for interpolation
    far = ~dilate_mm(body, fine.spacing_mm, 4 + 2 * 6 * 3**0.5)
    assert far.mean() > 0.1
    assert (result.array[far] == -1000).all()
    assert (result.array[body] != -1000).mean() > 0.95


def test_details_do_not_change_the_image_and_stay_in_range(head, model):
    plain = Translator(model)(head.mr)
    full = Translator(model)(head.mr, details=True)
    np.testing.assert_array_equal(full.image.array, plain.image.array)
    assert (plain.attention, plain.contents) == (None, ())
    assert 0 <= full.attention.array.min() < full.attention.array.max() <= 1
    assert len(full.contents) == 2
    assert all(-1000 <= c.array.min() < c.array.max() <= 2000 for c in full.contents)


def test_half_precision_stays_close_to_full_precision(head, model):
    full = Translator(model)(head.mr).image.array
    half = Translator(model, bf16=True)(head.mr).image.array
    inside = full != -1000
    error = np.abs(half - full)[inside]
    assert 0 < error.mean() < 0.02 * full[inside].std()


def test_a_volume_of_the_other_modality_is_refused_with_the_remedy(head, model):
    with pytest.raises(DataError, match="Choose the other direction"):
        Translator(model)(head.ct)
    with pytest.raises(DataError, match="Choose the other direction"):
        Translator(model, "backward")(head.mr)


def test_a_result_that_is_not_a_number_is_never_returned(head, model):
    with torch.no_grad():
        next(model.forward.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match="not finite"):
        Translator(model)(head.mr)


def test_an_empty_volume_is_refused(model):
    with pytest.raises(DataError, match="no body"):
        Translator(model)(Volume(np.zeros((20, 20, 20), np.float32), np.eye(4), "MR"))


def test_a_body_smaller_than_a_voxel_of_the_model_is_refused(model):
    array = np.full((24, 24, 24), -1000, np.float32)
    # between the centres of the model's voxels, which lie at 2.5, 8.5, 14.5 and 20.5
    array[10:13, 10:13, 10:13] = 50
    with pytest.raises(DataError, match="smaller than a voxel"):
        Translator(model, "backward")(Volume(array, np.eye(4), "CT"))


def turned(head, axes):
    """The head with its axes renamed, so that an axial model sees slices in another plane."""
    return Volume(head.mr.array.transpose(axes), np.diag([6.0, 6.0, 6.0, 1.0]), "MR")


PLANES = ("axial", "sagittal", "coronal")


def test_several_planes_give_the_mean_and_the_spread_of_their_results(head, monkeypatch):
    # the body mask fills slice by slice, so it would differ between the turned volumes
    monkeypatch.setattr(
        "medgan.data.preparation.body_mask", lambda volume: np.ones(volume.shape, bool)
    )
    result = Translator(make_model(planes=PLANES))(head.mr, details=True)
    singles = [
        Translator(make_model())(turned(head, axes)).image.array.transpose(axes)
        for axes in ((0, 1, 2), (2, 1, 0), (0, 2, 1))
    ]
    assert np.abs(singles[0] - singles[1]).mean() > 1
    np.testing.assert_allclose(result.image.array, np.mean(singles, axis=0), atol=0.05)
    np.testing.assert_allclose(result.disagreement.array, np.std(singles, axis=0), atol=0.05)
    assert 0 <= result.attention.array.min() < result.attention.array.max() <= 1


def test_planes_that_agree_do_not_disagree(head, monkeypatch):
    model, one = make_model(planes=PLANES), make_model()
    for each in (model, one):
        monkeypatch.setattr(each.forward, "forward", identity)
    result = Translator(model)(head.mr, details=True)
    assert np.abs(result.disagreement.array).max() < 1e-3
    np.testing.assert_allclose(result.image.array, Translator(one)(head.mr).image.array, atol=0.01)
