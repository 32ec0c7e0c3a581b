"""What guards find in sources and results, and that real heads pass and unlike volumes do not."""

import dataclasses

import numpy as np
import pytest

from medgan.config import PhantomConfig, PreparationConfig
from medgan.data.preparation import prepare
from medgan.data.statistics import (
    PERCENTILES,
    Range,
    ScanFigures,
    distance,
    domain_statistics,
    phantom_statistics,
)
from medgan.errors import DataError
from medgan.inference.figures import ResultFigures
from medgan.inference.guards import (
    NAMES,
    check_input,
    check_modality,
    check_result,
    finding_names,
    require_sound,
)
from medgan.inference.translator import VolumeTranslation
from medgan.io import read_volume
from medgan.phantoms.scan import scan_head
from medgan.volumes import Volume
from medgan.volumes.intensity import PercentileScale, WindowScale

SETTINGS = PreparationConfig(spacing_mm=(6, 6, 6), matrix=(48, 48))
WINDOW = WindowScale(-1000, 2000)


@pytest.fixture(scope="module")
def heads():
    made = [scan_head(seed, spacing_mm=(6, 6, 6), supersample=1) for seed in (1, 2, 3)]
    inside = [head.ct.with_array(head.ct.array.clip(-1000, 2000)) for head in made]
    return [dataclasses.replace(one, ct=ct) for one, ct in zip(made, inside, strict=True)]


@pytest.fixture(scope="module")
def mr(heads):
    return domain_statistics([(prepare(head.mr, SETTINGS),) for head in heads[:2]])


@pytest.fixture(scope="module")
def ct(heads):
    return domain_statistics([(prepare(head.ct, SETTINGS),) for head in heads[:2]])


def named(findings):
    assert all(one.name in NAMES for one in findings)
    return [one.name for one in findings]


def found_in(volume, statistics):
    return named(check_input((prepare(volume, SETTINGS),), statistics))


def test_distances_are_wasserstein_distances_of_the_values():
    rng = np.random.default_rng(1)
    one, other = (rng.normal(mean, 0.1, 100_000) for mean in (0.2, 0.5))
    # of two normal distributions of equal width: the difference of their means
    quantiles = [np.percentile(values, PERCENTILES) for values in (one, other)]
    assert distance(*quantiles) == pytest.approx(0.3, abs=0.005)
    assert distance(quantiles[0], quantiles[0]) == 0


def test_the_figures_of_a_box_are_those_of_its_closed_form():
    values = np.full((40, 40, 40), -1000.0, np.float32)
    # 24 x 60 x 48 mm, and through the upper end of the field of view
    values[4:12, 10:30, 24:40] = 40
    values[4:12, 10:15, 24:40] = 500
    values[4:12, 15:20, 24:40] = 2500
    scan = Volume(values, np.diag([3.0, 3, 3, 1]), "CT")
    settings = PreparationConfig(spacing_mm=(3, 3, 3), matrix=(48, 48), mask_margin_mm=6)
    figures = ScanFigures.of((prepare(scan, settings),))
    assert figures.extent_mm == pytest.approx((24, 60, 48))
    assert figures.cut == (0, 0, 0, 0, 0, 1)
    assert figures.spacing_mm == pytest.approx((3, 3, 3))
    assert (figures.air, figures.bone, figures.saturated) == pytest.approx((0, 0.5, 0.25))
    assert figures.distribution[0][0] == pytest.approx(1040 / 3000)


def test_the_gain_of_an_mr_does_not_matter_but_its_contrast_does(heads):
    head = heads[0].mr
    one = ScanFigures.of((prepare(head, SETTINGS),)).distribution[0]
    louder = ScanFigures.of((prepare(head.with_array(head.array * 7), SETTINGS),)).distribution[0]
    np.testing.assert_allclose(louder, one, atol=1e-5)
    bent = head.with_array((head.array / head.array.max()) ** 0.3)
    assert distance(ScanFigures.of((prepare(bent, SETTINGS),)).distribution[0], one) > 0.2


def test_another_head_of_the_same_kind_passes(heads, mr, ct):
    assert found_in(heads[2].mr, mr) == []
    assert found_in(heads[2].ct, ct) == []


def test_what_was_trained_on_passes_however_different_it_is(heads):
    bent = heads[0].mr.with_array((heads[0].mr.array / heads[0].mr.array.max()) ** 0.3)
    known = domain_statistics([(prepare(one, SETTINGS),) for one in (heads[1].mr, bent)])
    assert found_in(bent, known) == []


def test_thick_slices_are_found(heads, mr):
    for step, expected in ((2, False), (3, True)):
        slices = Volume(heads[2].mr.array[:, :, ::step], np.diag([6.0, 6, 6 * step, 1]), "MR")
        assert ("spacing" in found_in(slices, mr)) == expected


def test_a_head_of_another_size_is_found(heads, mr):
    for factor in (0.75, 1.35):
        scaled = Volume(heads[2].mr.array, np.diag([6 * factor] * 3 + [1]), "MR")
        assert "extent" in found_in(scaled, mr)


def test_a_head_without_its_vertex_is_found(heads, mr):
    whole = heads[2].mr
    below = Volume(whole.array[:, :, : whole.shape[2] * 3 // 5], whole.affine, "MR")
    found = check_input((prepare(below, SETTINGS),), mr)
    (finding,) = [one for one in found if one.name == "field_of_view"]
    assert "superior" in finding.measured
    assert "inferior" not in finding.measured


def test_every_contrast_is_judged_by_its_own(heads):
    bent = heads[0].mr.with_array((heads[0].mr.array / heads[0].mr.array.max()) ** 0.3)
    first, second = (prepare(one, SETTINGS) for one in (heads[0].mr, bent))
    known = domain_statistics([(first, second)])
    assert named(check_input((first, second), known)) == []
    found = check_input((second, first), known)
    assert named(found) == ["distribution", "distribution"]
    assert "contrast 1" in found[0].what and "contrast 2" in found[1].what


def test_phantoms_stand_in_where_there_are_no_scans(heads):
    known = phantom_statistics("CT", PhantomConfig(), SETTINGS)
    assert (known.origin, known.coarsest_mm, known.cut) == ("phantoms", None, None)
    assert found_in(heads[2].ct, known) == []
    air = heads[2].ct.with_array(np.where(heads[2].ct.array > -300, -200, -1000))
    assert found_in(air, known) == ["distribution"]


def test_statistics_of_nothing_are_refused():
    with pytest.raises(DataError, match="at least one scan"):
        domain_statistics([])


def test_statistics_survive_their_json(mr):
    assert type(mr).model_validate_json(mr.model_dump_json()) == mr


def judged(volume, source, statistics=None):
    figures = ResultFigures.of(VolumeTranslation(volume), (prepare(source, SETTINGS),), WINDOW)
    return named(check_result(figures, statistics))


def test_the_true_ct_is_a_sound_result(heads, ct):
    assert judged(heads[2].ct, heads[2].mr, ct) == []


def test_a_constant_result_is_an_error(heads, ct):
    flat = heads[2].ct.with_array(np.where(heads[2].ct.array > -300, np.float32(40), -1000))
    inside = np.full(heads[2].ct.shape, 40, np.float32)
    assert "constant" in judged(heads[2].ct.with_array(inside), heads[2].mr, ct)
    assert "bone" in judged(flat, heads[2].mr, ct)


def test_a_copy_of_the_source_is_found_however_it_is_scaled(heads, ct):
    source = heads[2].mr
    top = np.percentile(source.array, 99.9)
    copied = np.clip(source.array / top, 0, 1) * 1800 - 900
    assert "copy" in judged(source.with_array(copied, modality="CT"), source)


def test_values_outside_the_scale_are_found(heads, ct):
    values = heads[2].ct.array.copy()
    values[15, 20, 18] = 3000
    assert judged(heads[2].ct.with_array(values), heads[2].mr) == ["range"]
    assert judged(heads[2].ct.with_array(values.clip(-1000, 2000)), heads[2].mr) == []


def test_too_much_bone_air_and_saturation_are_found(heads, ct):
    body = heads[2].ct.array > -300
    middle = np.zeros_like(body)
    middle[:, 15:30] = True
    for value, name in ((2000, "saturated"), (400, "bone"), (-900, "air")):
        values = np.where(body & middle, np.float32(value), heads[2].ct.array)
        assert name in judged(heads[2].ct.with_array(values), heads[2].mr, ct)


def test_a_synthetic_mr_has_neither_bone_nor_air(heads, mr):
    scale = PercentileScale(float(np.percentile(heads[2].mr.array, 99.5)), 99.5)
    figures = ResultFigures.of(
        VolumeTranslation(heads[2].mr), (prepare(heads[2].ct, SETTINGS),), scale
    )
    assert (figures.air, figures.bone, figures.suffix) == (None, None, "")
    assert (mr.air, mr.bone) == (None, None)


def test_errors_are_refused_and_warnings_only_where_asked():
    (warning,) = check_modality("CT", "MR")
    assert check_modality("MR", "MR") == []
    require_sound([warning], where="scan.nii")
    with pytest.raises(
        DataError,
        match=r"^scan\.nii: modality: by its values .* reads \(measured CT, allowed MR\)\. ",
    ):
        require_sound([warning], where="scan.nii", strict=True)
    with pytest.raises(DataError, match="modality"):
        require_sound([dataclasses.replace(warning, severity="error")], where="scan.nii")


def test_names_of_findings_are_told_from_other_remarks():
    (warning,) = check_modality("CT", "MR")
    assert finding_names([str(warning), "the source has no frame: one was made"]) == ("modality",)


def test_a_range_holds_its_smallest_and_largest_value():
    assert Range.of([3.0, 1.0, 2.0]) == Range(low=1, high=3)


REAL = PreparationConfig(spacing_mm=(2, 2, 2), matrix=(104, 128))
T1 = {
    "chris_t1": "niivue_mr_heads/chris_t1.nii.gz",
    "uih_t1_1mm": "uih_t1_head/uih_t1_1mm.nii.gz",
    "MNI152": "mni_template_pair/mr_t1_mni152_head_2mm.nii.gz",
    "Colin": "mni_template_pair/mr_t1_ch2_colin_2mm.nii.gz",
}
UNLIKE_T1 = {
    "PD": "niivue_mr_heads/chris_PD.nii.gz",
    "T2": "niivue_mr_heads/T2w.nii.gz",
    "T1 with contrast agent, skull-stripped": "niivue_mr_heads/MR_Gd.nii.gz",
    "abdominal MR": "totalsegmentator_examples/example_mr_sm.nii.gz",
    "pelvis CT": "umcu_pelvis_ct/pelvis_ct_run.nii.gz",
    "head CT": "mni_template_pair/ct_scct_hu_2mm.nii.gz",
}
HEAD_CT = {
    "cranium": "invesalius_cranium_ct/cranium_ct_hu.nii.gz",
    "template": "mni_template_pair/ct_scct_hu_2mm.nii.gz",
}
UNLIKE_CT = {
    "pelvis": "umcu_pelvis_ct/pelvis_ct_run.nii.gz",
    "abdomen": "totalsegmentator_examples/example_ct.nii.gz",
    "chest": "lung_pet_ct_dx_A0002/ct_B40f.nii.gz",
}


FINDINGS = {
    "PD": ["extent", "field_of_view", "distribution"],
    "T2": ["extent", "field_of_view", "distribution"],
    "T1 with contrast agent, skull-stripped": ["extent", "distribution"],
    "abdominal MR": ["extent", "field_of_view", "distribution"],
    "head CT": ["distribution"],
    "pelvis CT": ["extent", "field_of_view", "distribution"],
    "pelvis": ["extent", "field_of_view", "distribution"],
    "abdomen": ["extent", "field_of_view", "distribution"],
    "chest": ["spacing", "extent", "field_of_view", "distribution"],
}
"""The table in docs/translate.md."""


def prepared(folder, names, modality):
    return {
        name: (prepare(read_volume(folder / path, modality=modality), REAL),)
        for name, path in names.items()
    }


def test_real_t1_heads_pass_and_unlike_volumes_do_not(medgan_data):
    heads, unlike = (prepared(medgan_data, names, "MR") for names in (T1, UNLIKE_T1))
    trainings = [["chris_t1", "uih_t1_1mm"], *([one for one in T1 if one != out] for out in T1)]
    for training in trainings:
        known = domain_statistics([heads[name] for name in training])
        for head in heads.values():
            assert check_input(head, known) == []
        for name, scan in unlike.items():
            found = named(check_input(scan, known))
            if training is trainings[0]:
                assert found == FINDINGS[name], name
            assert "distribution" in found, name
        for name in ("PD", "T2"):
            assert "field_of_view" in named(check_input(unlike[name], known))


def test_real_head_cts_pass_and_other_parts_of_the_body_do_not(medgan_data):
    heads, unlike = (prepared(medgan_data, names, "CT") for names in (HEAD_CT, UNLIKE_CT))
    for training in HEAD_CT:
        known = domain_statistics([heads[training]])
        for head in heads.values():
            assert check_input(head, known) == []
        for name, scan in unlike.items():
            found = named(check_input(scan, known))
            if training == "cranium":
                assert found == FINDINGS[name], name
            assert "extent" in found
        assert "distribution" in named(check_input(unlike["chest"], known))
