"""Several contrasts of one scan, slices beside the one translated, and where it lies."""

import dataclasses

import numpy as np
import pytest
import torch

from medgan.config import NetworkConfig, PreparationConfig
from medgan.data.preparation import prepare, prepare_channels
from medgan.data.slices import SliceStack
from medgan.errors import ConfigError, DataError, FileError, GeometryError
from medgan.inference.planning import Request, plan
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.models.model_file import Model, ModelCard, save_model
from medgan.networks import Context, Translation
from medgan.networks.build import build_generators
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume
from medgan.volumes.geometry import Grid, crop, reorient
from medgan.volumes.resampling import resample

PREPARATION = PreparationConfig(spacing_mm=(6, 6, 6), matrix=(48, 48))
PLANES = ("axial", "sagittal", "coronal")


def scanned(contrast):
    return scan_head(1, spacing_mm=(6.0, 6.0, 6.0), supersample=1, contrast=contrast)


@pytest.fixture(scope="module")
def t1():
    return scanned("t1").mr


@pytest.fixture(scope="module")
def t2():
    return scanned("t2").mr


@pytest.fixture(scope="module")
def ct():
    return scanned("t1").ct


def make_model(preparation=PREPARATION, **network):
    torch.manual_seed(1)
    config = NetworkConfig(**{"width": 4, "blocks": 1, "contents": 2} | network)
    card = ModelCard(
        source="MR", target="CT", preparation=preparation, network=config, provenance={}
    )
    forward, backward = build_generators(config)
    return Model(forward.eval(), backward.eval(), card, "")


def test_one_contrast_is_prepared_as_ever(t1):
    (one,), alone = prepare_channels((t1,), PREPARATION), prepare(t1, PREPARATION)
    np.testing.assert_array_equal(one.volume.array, alone.volume.array)
    assert one.scale == alone.scale


def test_contrasts_share_grid_and_mask_but_not_the_scale(t1, t2):
    first, second = prepare_channels((t1, t2), PREPARATION)
    alone = prepare(t1, PREPARATION)
    np.testing.assert_array_equal(first.volume.array, alone.volume.array)
    np.testing.assert_array_equal(second.mask, alone.mask)
    np.testing.assert_array_equal(second.volume.affine, alone.volume.affine)
    np.testing.assert_allclose(
        second.scale.high, np.percentile(second.volume.array[alone.mask], 99.5), rtol=1e-6
    )
    assert second.scale.high != first.scale.high
    assert (second.scaled()[~alone.mask_with_margin] == -1).all()


def test_a_further_contrast_may_lie_on_another_grid_and_in_another_order(t1, t2):
    _, expected = prepare_channels((t1, t2), PREPARATION)
    _, turned = prepare_channels((t1, reorient(t2, "PIR")), PREPARATION)
    np.testing.assert_allclose(turned.volume.array, expected.volume.array, atol=1e-4)
    cut = crop(t2, (slice(2, None), slice(1, -1), slice(6, None)))
    _, smaller = prepare_channels((t1, cut), PREPARATION)
    shown = t2.with_array(np.zeros(t2.shape, np.uint8), modality="LABEL").array.copy()
    shown[2:, 1:-1, 6:] = 1
    shown = resample(t2.with_array(shown, modality="LABEL"), Grid.of(expected.volume)).array == 1
    found, wanted = smaller.volume.array, expected.volume.array
    np.testing.assert_allclose(found[shown], wanted[shown], atol=1e-5)
    assert not found[~shown].any()


def test_a_contrast_elsewhere_or_of_another_kind_is_refused(t1, t2, ct):
    shifted = t2.affine.copy()
    shifted[2, 3] += 150
    away = dataclasses.replace(t2, affine=shifted)
    with pytest.raises(DataError, match="same part of the patient"):
        prepare_channels((t1, away), PREPARATION)
    with pytest.raises(DataError, match="one modality"):
        prepare_channels((t1, ct), PREPARATION)
    frames = (dataclasses.replace(v, frame_of_reference=f"1.{k}") for k, v in enumerate((t1, t2)))
    with pytest.raises(GeometryError, match="frames of reference"):
        prepare_channels(tuple(frames), PREPARATION)


def test_bias_is_removed_from_every_contrast(t1, t2):
    ramp = np.exp(np.linspace(-0.6, 0.6, t2.shape[0]))[:, None, None].astype(np.float32)
    settings = PREPARATION.model_copy(update={"n4": True})
    _, flat = prepare_channels((t1, t2), settings)
    _, shaded = prepare_channels((t1, t2.with_array(t2.array * ramp)), settings)
    _, untreated = prepare_channels((t1, t2.with_array(t2.array * ramp)), PREPARATION)
    error, before = (
        np.abs(x.scaled() - flat.scaled())[flat.mask].mean() for x in (shaded, untreated)
    )
    assert error < 0.5 * before


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_every_contrast_reaches_the_network_in_its_channel(t1, t2, monkeypatch, spatial_dims):
    model = make_model(channels=(2, 1), spatial_dims=spatial_dims)

    def second_channel(x, _context):
        made = x[:, 1:]
        ones = torch.ones_like(made)[:, None]
        return Translation(made, 0 * torch.cat([ones, ones], 1), torch.cat([0 * ones] * 2 + [ones]))

    monkeypatch.setattr(model.forward, "forward", second_channel)
    made = Translator(model)(t1, also=[t2]).image
    _, second = prepare_channels((t1, t2), PREPARATION)
    expected = second.volume.with_array((second.scaled() + 1) / 2 * 3000 - 1000)
    back = resample(dataclasses.replace(expected, modality="CT"), Grid.of(t1))
    np.testing.assert_allclose(made.array, back.array, atol=0.01)


@pytest.mark.parametrize(("channels", "given"), [((2, 1), 1), ((2, 1), 3), ((1, 1), 2)])
def test_another_number_of_contrasts_is_refused_with_both_numbers(t1, t2, channels, given):
    translator = Translator(make_model(channels=channels))
    match = rf"number of contrasts .*measured {given}, allowed {channels[0]}"
    with pytest.raises(DataError, match=match):
        translator(t1, also=[t2] * (given - 1))


def test_a_model_that_writes_several_contrasts_gives_them_all(ct, monkeypatch):
    model = make_model(channels=(2, 1))

    def opposites(x, _context):
        image = torch.cat([x, -x], dim=1)
        return Translation(image, image[:, None].repeat(1, 2, 1, 1, 1), torch.ones(len(x), 3, 1))

    monkeypatch.setattr(model.backward, "forward", opposites)
    made = Translator(model, "backward")(ct)
    assert len(made.others) == 1
    for volume in (made.image, *made.others):
        assert (volume.modality, volume.shape, volume.synthetic) == ("MR", ct.shape, True)
    prepared = prepare(ct, PREPARATION)
    body = prepared.volume.with_array(prepared.mask_with_margin, modality="LABEL")
    body = resample(body, Grid.of(ct)).array
    total = made.image.array + made.others[0].array
    np.testing.assert_allclose(total, np.where(body, 1000, 0), atol=0.01)
    assert made.image.array.max() > 600 > 400 > made.others[0].array[body].min()


def test_slices_beside_are_those_of_training(t1, t2):
    model = make_model(channels=(2, 1), neighbours=4, position=True)
    scan = prepare_channels((t1, t2), PREPARATION)
    stack, made = SliceStack(scan, 4), Translator(model)(t1, also=[t2])
    expected = np.full(scan[0].mask.shape, -1000, np.float32)
    for k in range(expected.shape[2]):
        sample = stack.at(k)
        x, y = expected.shape[:2]
        sides = [((48 - n) // 2, 48 - n - (48 - n) // 2) for n in (x, y)]

        def padded(array, sides=sides):
            whole = np.pad(array, [(0, 0), *sides], constant_values=-1)
            return torch.from_numpy(whole)[None]

        context = Context(padded(sample.neighbours), torch.tensor([sample.depth_mm / 100]).float())
        with torch.no_grad():
            image = model.forward(padded(sample.image), context).image[0, 0].numpy()
        (left, _), (top, _) = sides
        expected[:, :, k] = (image[left : left + x, top : top + y] + 1) / 2 * 3000 - 1000
    expected[~scan[0].mask_with_margin] = -1000
    volume = Volume(expected, scan[0].volume.affine, "CT")
    np.testing.assert_allclose(made.image.array, resample(volume, Grid.of(t1)).array, atol=0.05)


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_without_a_vertex_the_network_is_told_that_it_is_not_known(t1, monkeypatch, spatial_dims):
    model = make_model(position=True, spatial_dims=spatial_dims)
    forward, told = model.forward.forward, []

    def noting(x, context):
        told.append(context.depth)
        return forward(x, context)

    monkeypatch.setattr(model.forward, "forward", noting)
    whole = Translator(model)(t1).image
    # the margin about a head is all that may be seen above its vertex
    assert (torch.cat(told) > -0.2).all() and torch.cat(told).any()
    top = t1.shape[2] * 2 // 3
    told.clear()
    Translator(model)(dataclasses.replace(t1, array=t1.array[:, :, :top]))
    assert told and all(depth is None for depth in told)
    assert whole.shape == t1.shape


def test_neighbours_follow_the_normal_of_every_plane(t1, monkeypatch):
    monkeypatch.setattr(
        "medgan.data.preparation.body_mask", lambda volume: np.ones(volume.shape, bool)
    )
    preparation = PREPARATION.model_copy(update={"planes": PLANES})
    several = make_model(preparation, neighbours=2)
    made = Translator(several)(t1).image.array
    one = make_model(neighbours=2)
    singles = []
    for axes in ((0, 1, 2), (2, 1, 0), (0, 2, 1)):
        turned = Volume(t1.array.transpose(axes), np.diag([6.0, 6.0, 6.0, 1.0]), "MR")
        singles.append(Translator(one)(turned).image.array.transpose(axes))
    np.testing.assert_allclose(made, np.mean(singles, axis=0), atol=0.05)


@pytest.mark.parametrize(
    ("kind", "attention", "contents"),
    [
        ({"generator": "attention"}, True, 2),
        ({"generator": "attention", "copy_input": False}, False, 2),
        ({"generator": "mask"}, True, 1),
        ({"generator": "resnet"}, False, 0),
    ],
    ids=str,
)
def test_attention_is_given_where_the_input_is_copied(t1, kind, attention, contents):
    made = Translator(make_model(**kind))(t1, details=True)
    assert (made.attention is not None) == attention
    assert len(made.contents) == contents
    if attention:
        assert 0 <= made.attention.array.min() < made.attention.array.max() <= 1


@pytest.fixture
def two_contrasts(tmp_path, t1, t2):
    """A folder with a model of two contrasts, a T1 and a T2."""
    model = make_model(channels=(2, 1))
    save_model(tmp_path / "m.safetensors", model.forward, model.backward, model.card)
    for name, volume in (("t1", t1), ("t2", t2)):
        (tmp_path / "in").mkdir(exist_ok=True)
        write_volume(volume, tmp_path / "in" / f"{name}.nii.gz")
    return tmp_path


def test_the_command_line_takes_further_contrasts(two_contrasts, medgan_cli):
    folder = two_contrasts
    source, out = folder / "in/t1.nii.gz", folder / "ct.nii.gz"
    also = ("--also", folder / "in/t2.nii.gz")
    code, _, err = medgan_cli("translate", folder / "m.safetensors", source, out, *also)
    assert code == 0, err
    given = (read_volume(folder / f"in/{name}.nii.gz", modality="MR") for name in ("t1", "t2"))
    first, second = given
    expected = Translator.load(folder / "m.safetensors")(first, also=[second]).image
    np.testing.assert_allclose(read_volume(out).array, expected.array, atol=0.01)


def test_contrasts_that_are_missing_or_too_many_are_refused_before_anything(
    two_contrasts, medgan_cli
):
    folder = two_contrasts
    model, source, out = folder / "m.safetensors", folder / "in/t1.nii.gz", folder / "ct.nii.gz"
    code, _, err = medgan_cli("translate", model, source, out)
    assert code == 2
    assert "measured 1, allowed 2" in err
    code, _, err = medgan_cli("translate", model, source, out, "--also", folder / "no.nii.gz")
    assert code == 2
    assert "no such file" in err
    assert not out.exists()


def test_a_folder_is_refused_with_what_to_do(two_contrasts, medgan_cli):
    folder = two_contrasts
    code, _, err = medgan_cli("translate", folder / "m.safetensors", folder / "in", folder / "out")
    assert code == 2
    assert "one file at a time" in err
    assert "--also" in err


def test_a_model_of_one_contrast_takes_no_further_one(two_contrasts):
    folder, translator = two_contrasts, Translator(make_model())
    also = (folder / "in/t2.nii.gz",)
    with pytest.raises(DataError, match="measured 2, allowed 1"):
        plan(Request(folder, folder / "in/t1.nii.gz", folder / "x.nii.gz", also=also), translator)
    with pytest.raises(ConfigError, match="one file at a time"):
        plan(Request(folder, folder / "in", folder / "out", also=also), translator)
    with pytest.raises(FileError, match="no such file"):
        missing = (folder / "no.nii.gz",)
        plan(
            Request(folder, folder / "in/t1.nii.gz", folder / "x.nii.gz", also=missing), translator
        )


def test_several_contrasts_of_a_result_become_files(two_contrasts, medgan_cli, ct):
    folder = two_contrasts
    write_volume(ct, folder / "ct.nii.gz")
    code, _, err = medgan_cli(
        "translate", folder / "m.safetensors", folder / "ct.nii.gz", folder / "mr.nii.gz",
        "--direction", "backward",
    )  # fmt: skip
    assert code == 0, err
    made = Translator.load(folder / "m.safetensors", "backward")(read_volume(folder / "ct.nii.gz"))
    other = read_volume(folder / "mr_contrast_2.nii.gz")
    np.testing.assert_allclose(other.array, made.others[0].array, atol=0.01)
