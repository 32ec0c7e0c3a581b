"""Contrasts of another head or in another order: seen in use and before a training."""

import dataclasses
import json
import logging

import numpy as np
import pytest
import torch

from medgan.config import NetworkConfig, PreparationConfig, parse_config
from medgan.data.agreement import AGREEMENT, agreement, shown_by
from medgan.data.companions import companions
from medgan.data.contrasts import contrast_remarks, least_agreement, likely_order
from medgan.data.preparation import prepare_channels
from medgan.data.statistics import (
    DomainStatistics,
    Range,
    ScanFigures,
    domain_statistics,
    phantom_statistics,
)
from medgan.inference.guards import check_input
from medgan.inference.quality import examine
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.models.model_file import Model, ModelCard, save_model
from medgan.networks.build import build_generators
from medgan.phantoms.scan import scan_head
from medgan.recipes.scans import prepared_scans
from medgan.volumes.geometry import crop

SETTINGS = PreparationConfig(spacing_mm=(6, 6, 6), matrix=(48, 48))
HEADS = (1, 2, 3)


@pytest.fixture(scope="module")
def volumes():
    return {
        (seed, name): scan_head(seed, contrast=name, spacing_mm=(6, 6, 6), supersample=1).mr
        for seed in HEADS
        for name in ("t1", "t2")
    }


@pytest.fixture(scope="module")
def scan_of(volumes):
    """Contrasts, each as (head, name), as one prepared scan."""
    return lambda *contrasts: prepare_channels([volumes[one] for one in contrasts], SETTINGS)


@pytest.fixture(scope="module")
def known(scan_of):
    return domain_statistics([scan_of((seed, "t1"), (seed, "t2")) for seed in HEADS[:2]])


def odd(scan, statistics):
    return [one.name for one in check_input(scan, statistics) if one.name in ("order", "register")]


def test_contrasts_of_one_head_in_the_order_of_the_training_pass(scan_of, known):
    for seed in HEADS:
        assert odd(scan_of((seed, "t1"), (seed, "t2")), known) == []


def test_contrasts_in_another_order_are_found_and_only_that(scan_of, known):
    for seed in HEADS:
        swapped = scan_of((seed, "t2"), (seed, "t1"))
        assert odd(swapped, known) == ["order"]
        (finding,) = [one for one in check_input(swapped, known) if one.name == "order"]
        assert (finding.measured, finding.limit) == ("2, 1", "1, 2")


def test_a_contrast_of_another_head_is_found_and_only_that(scan_of, known):
    for seed, other in ((1, 2), (2, 3), (3, 1)):
        assert odd(scan_of((seed, "t1"), (other, "t2")), known) == ["register"]


def test_contrasts_that_are_not_in_register_are_found(volumes, known):
    t1, t2 = volumes[3, "t1"], volumes[3, "t2"]
    moved = t2.affine.copy()
    moved[1, 3] += 12
    scan = prepare_channels([t1, dataclasses.replace(t2, affine=moved)], SETTINGS)
    assert odd(scan, known) == ["register"]


def test_a_contrast_that_shows_less_of_the_head_agrees_as_well(volumes):
    t1, t2 = volumes[1, "t1"], volumes[1, "t2"]
    top = t2.shape[2] * 3 // 4
    whole, part = (
        agreement(*prepare_channels([t1, other], SETTINGS))
        for other in (t2, crop(t2, (slice(None), slice(None), slice(0, top))))
    )
    assert part == pytest.approx(whole, abs=0.05)


def test_agreement_does_not_know_bright_from_dark_but_edges_from_noise(volumes):
    t1 = volumes[1, "t1"]
    top = np.percentile(t1.array, 99)
    body = prepare_channels([t1], SETTINGS)[0].volume.array.max()
    one, same = prepare_channels([t1, t1.with_array(t1.array * 7)], SETTINGS)
    assert agreement(one, same) == pytest.approx(1, abs=1e-6)
    turned = np.where(t1.array > 0.1 * top, 1.2 * body - t1.array, t1.array)
    noise = np.random.default_rng(0).uniform(0, top, t1.shape).astype(np.float32)
    agreed = [
        agreement(*prepare_channels([t1, t1.with_array(np.float32(values))], SETTINGS))
        for values in (turned, noise)
    ]
    assert agreed[0] > AGREEMENT > 0.3 > agreed[1]


def test_a_constant_contrast_agrees_with_nothing(volumes):
    flat = volumes[1, "t1"].with_array(np.full(volumes[1, "t1"].shape, np.float32(5)))
    assert agreement(*prepare_channels([volumes[1, "t1"], flat], SETTINGS)) < AGREEMENT


def test_companions_are_mean_ranks_by_tenths(scan_of):
    scan = scan_of((1, "t1"), (1, "t2"))
    first, second = companions(scan)
    np.testing.assert_array_equal(first[:10], second[10:])
    np.testing.assert_array_equal(first[10:], second[:10])
    inside = scan[0].mask & shown_by(scan[0]) & shown_by(scan[1])
    ranks = [
        np.argsort(np.argsort(contrast.volume.array[inside])) / inside.sum() for contrast in scan
    ]
    expected = [
        ranks[1][(ranks[0] >= low / 10) & (ranks[0] < (low + 1) / 10)].mean() for low in range(10)
    ]
    np.testing.assert_allclose(first[:10], expected, atol=0.01)
    louder = scan[0].volume.with_array(np.sqrt(scan[0].volume.array))
    bent = companions((dataclasses.replace(scan[0], volume=louder), scan[1]))
    # the root makes some neighbours of float32 equal
    np.testing.assert_allclose(bent, (first, second), atol=1e-5)
    assert companions(scan[:1]) == ()


def figures_of(known, order):
    """A scan whose contrasts are exactly those of a training in some order."""
    found = tuple(np.array(known.companions[place]) for place in order)
    return ScanFigures((1, 1, 1), (1, 1, 1), (0,) * 6, (), 0.0, None, None, (), found)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1)])
def test_every_order_of_three_contrasts_is_told(known, order):
    three = known.model_copy(
        update={"companions": (*known.companions, tuple(np.linspace(0, 1, 20)))}
    )
    assert likely_order(figures_of(three, order), three) == order


def test_contrasts_that_look_alike_have_no_other_order(known):
    alike = known.model_copy(update={"companions": (known.companions[0],) * 3})
    assert likely_order(figures_of(alike, (0, 1, 2)), alike) == (0, 1, 2)


def test_contrasts_that_agree_less_in_training_may_do_so_in_use(known):
    assert least_agreement(None) == AGREEMENT
    sharp = known.model_copy(update={"agreement": (Range(low=0.8, high=0.9),)})
    assert least_agreement(sharp) == AGREEMENT
    coarse = known.model_copy(update={"agreement": (Range(low=0.4, high=0.6),)})
    assert least_agreement(coarse) == pytest.approx(0.3)


def test_statistics_of_before_agreement_was_kept_stay_readable(known, scan_of):
    document = known.model_dump(mode="json")
    assert (len(document.pop("agreement")), len(document.pop("companions"))) == (1, 2)
    old = DomainStatistics.model_validate(document)
    assert old.agreement is old.companions is None
    assert odd(scan_of((1, "t1"), (2, "t2")), old) == ["register"]
    assert odd(scan_of((1, "t2"), (1, "t1")), old) == []


def test_phantoms_of_random_contrast_know_the_order_of_usual_scans(scan_of):
    settings = parse_config(
        {"name": "x", "network": {"channels": [2, 1]}, "losses": {"phantom": 1},
         "training": {"warmup_steps": 5, "steps": 5},
         "data": {"phantoms": {"contrasts": ["t1", "t2"]}}}
    )  # fmt: skip
    phantoms = phantom_statistics("MR", settings.data.phantoms, SETTINGS)
    assert phantoms.agreement is not None and phantoms.agreement[0].low > 0.5
    assert odd(scan_of((1, "t1"), (1, "t2")), phantoms) == []
    assert odd(scan_of((1, "t2"), (1, "t1")), phantoms) == ["order"]


def saved_model(path, known):
    torch.manual_seed(1)
    network = NetworkConfig(width=4, blocks=1, contents=2, channels=(2, 1))
    domains = None if known is None else {"source": known}
    card = ModelCard(
        source="MR", target="CT", preparation=SETTINGS, network=network, provenance={},
        domains=domains,
    )  # fmt: skip
    forward, backward = build_generators(network)
    save_model(path, forward, backward, card)
    return path


def test_a_model_without_statistics_sees_another_head_all_the_same(volumes, tmp_path):
    translator = Translator(Model.load(saved_model(tmp_path / "m.safetensors", None)))
    for other, expected in ((1, []), (2, ["register"])):
        result = translator(volumes[1, "t1"], also=[volumes[other, "t2"]])
        record = examine(translator, result, "pseudonym")
        assert [f.name for f in record.findings if f.name in ("order", "register")] == expected


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [((3, "t2"), (3, "t1"), "order"), ((3, "t1"), (1, "t2"), "register")],
)
def test_the_command_line_warns_of_both_and_refuses_them_where_strict(
    volumes, known, tmp_path, medgan_cli, first, second, name
):
    model = saved_model(tmp_path / "m.safetensors", known)
    paths = [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]
    for path, contrast in zip(paths, (first, second), strict=True):
        write_volume(volumes[contrast], path)
    out = tmp_path / "ct.nii.gz"
    arguments = ("translate", model, paths[0], out, "--also", paths[1])
    code, _, err = medgan_cli(*arguments, "--strict")
    assert code == 2
    assert f"{name}: " in err
    assert not out.exists()
    code, _, err = medgan_cli(*arguments)
    assert code == 0
    assert f"{name}: " in err
    record = json.loads((tmp_path / "ct.nii.gz.qc.json").read_text())
    assert name in [finding["name"] for finding in record["findings"]]


def test_remarks_name_the_scan_and_what_is_odd_about_it(scan_of):
    scans = [scan_of((seed, "t1"), (seed, "t2")) for seed in HEADS]
    assert list(contrast_remarks(scans)) == []
    ((number, _),) = contrast_remarks([scan_of((1, "t1"), (2, "t2"))])
    assert number == 1
    swapped = [*scans[:2], scan_of((3, "t2"), (3, "t1"))]
    assert (3, "its contrasts look like those of the other scans in another order") in list(
        contrast_remarks(swapped)
    )
    assert list(contrast_remarks([scan[:1] for scan in scans])) == []


def test_a_training_remarks_on_contrasts_of_another_head(tiny_document, volumes, tmp_path, caplog):
    for contrast in ((1, "t1"), (1, "t2"), (2, "t2")):
        write_volume(volumes[contrast], tmp_path / f"{contrast[0]}_{contrast[1]}.nii.gz")
    tiny_document["network"]["channels"] = [2, 1]
    tiny_document["data"]["phantoms"]["contrasts"] = ["t1", "t2"]
    for also, count in (("1_t2", 0), ("2_t2", 1)):
        source = [
            {"path": str(tmp_path / "1_t1.nii.gz"), "also": [str(tmp_path / f"{also}.nii.gz")]}
        ]
        tiny_document["data"]["source"] = source
        config = parse_config(tiny_document)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            prepared_scans(config, config.data.source, "MR")
        assert caplog.text.count("MR scan 1 of 1: contrast 2 is not of the head") == count


REAL = PreparationConfig(spacing_mm=(2, 2, 2), matrix=(104, 128))


def test_two_real_people_on_one_template_are_told_apart(medgan_data):
    folder = medgan_data / "mni_template_pair"
    one, other = (
        read_volume(folder / f"mr_t1_{name}_2mm.nii.gz", modality="MR")
        for name in ("mni152_head", "ch2_colin")
    )
    darker = one.with_array(np.sqrt(one.array.astype(np.float32)))
    assert agreement(*prepare_channels([one, other], REAL)) < AGREEMENT
    assert agreement(*prepare_channels([one, darker], REAL)) > AGREEMENT
