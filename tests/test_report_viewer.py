"""What a report carries of its volumes, and the agreement of values beside them."""

import base64
import gzip
import importlib.metadata
import json
import re
import shutil

import nibabel as nib
import numpy as np
import pytest
import yaml

from medgan.errors import ConfigError, DataError, FileError, GeometryError
from medgan.io import read_volume, write_volume
from medgan.report import niivue as niivue_module
from medgan.report.agreement import RegionalMeans, limits_of_agreement, regional_means
from medgan.report.attention import attention_files, read_attention
from medgan.report.cases import VIEWED_CASES, case_sections
from medgan.report.html import Report, write_report
from medgan.report.images import CaseImages
from medgan.report.niivue import niivue
from medgan.report.viewer import VOXELS, viewer_case, viewer_grid
from medgan.report.windows import CT_WINDOWS_HU, error_limit, mr_window
from medgan.volumes.geometry import apply_affine, reorient
from medgan.volumes.masks import body_mask
from medgan.volumes.volume import Volume

AFFINE = np.array([[-3.0, 0, 0, 40], [0, 3, 0, -50], [0, 0, 4, 10], [0, 0, 0, 1]])


def unpacked(layer):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(layer.data)))


def layers_of(images):
    return {layer.kind: layer for layer in viewer_case(images, "a").layers}


@pytest.fixture
def case():
    """Random CT and MR on a grid whose first axis runs towards the patient's left."""
    rng = np.random.default_rng(0)
    result = Volume(rng.normal(0, 500, (12, 10, 9)).astype(np.float32), AFFINE, "CT",
                    synthetic=True)  # fmt: skip
    reference = result.with_array(rng.integers(-1024, 3000, result.shape), synthetic=False)
    source = Volume(rng.gamma(2, 400, result.shape), AFFINE, "MR")
    return CaseImages("a", result, source, reference, source.with_array(rng.random(result.shape)))


def test_coarse_images_arrive_as_they_were_but_for_rounding(case):
    layers = layers_of(case)
    low, high = mr_window(case.source)
    steps = {"source": (high - low) / 1000, "result": 1.0, "reference": 1.0, "attention": 1 / 255}
    for kind, step in steps.items():
        image, volume = unpacked(layers[kind]), reorient(getattr(case, kind), "RAS")
        np.testing.assert_allclose(image.affine, volume.affine, atol=1e-4)
        np.testing.assert_allclose(image.get_fdata(), volume.array, atol=0.51 * step)
    assert unpacked(layers["reference"]).get_data_dtype() == np.int16


def test_result_and_reference_share_their_steps_so_that_a_page_can_subtract_them(case):
    mr = CaseImages("a", case.source, None, case.source.with_array(case.source.array * 3))
    result, reference = (unpacked(layers_of(mr)[kind]) for kind in ("result", "reference"))
    # Unscaled headers hold the step; nibabel takes it out of the image it makes.
    assert result.dataobj.slope == reference.dataobj.slope
    assert error_limit(mr.reference) == pytest.approx(np.diff(mr_window(mr.reference))[0] / 2)


def test_the_synthetic_image_says_so_and_the_others_say_nothing(case):
    layers = layers_of(case)
    descriptions = {
        kind: unpacked(layer).header["descrip"].item() for kind, layer in layers.items()
    }
    assert descriptions.pop("result").startswith(b"SYNTHETIC CT medgan")
    assert set(descriptions.values()) == {b""}


def test_fine_images_are_made_coarser_where_they_lie():
    fine = Volume(np.zeros((300, 300, 300), np.uint8), np.diag([1.0, 1.0, 2.5, 1.0]), "CT")
    grid = viewer_grid(fine)
    assert np.prod(grid.shape) <= VOXELS
    assert min(grid.spacing_mm) >= 2
    centres = [apply_affine(g.affine, (np.array(g.shape) - 1) / 2) for g in (fine, grid)]
    np.testing.assert_allclose(*centres, atol=1e-6)
    coarse = Volume(np.zeros((50, 50, 20), np.uint8), np.diag([2.5, 2.5, 5.0, 1.0]), "CT")
    assert viewer_grid(coarse).spacing_mm == (2.5, 2.5, 5.0)


def test_a_case_is_cut_to_the_patient_with_some_air(case):
    mask = np.zeros(case.result.shape, bool)
    mask[5:7, 4:6, 4:5] = True
    part = case.cropped(mask)
    # 8 mm are three voxels of 3 mm and two of 4 mm.
    np.testing.assert_array_equal(part.result.array, case.result.array[2:10, 1:9, 2:7])
    np.testing.assert_array_equal(part.attention.array, case.attention.array[2:10, 1:9, 2:7])


def test_images_on_different_grids_are_refused(case):
    with pytest.raises(GeometryError):
        CaseImages("a", case.result, Volume(case.source.array, np.eye(4), "MR"))


def test_every_window_is_centre_and_width_of_radiology():
    spans = {
        name: (sum(limits) / 2, limits[1] - limits[0]) for name, limits in CT_WINDOWS_HU.items()
    }
    assert spans == {"Soft tissue": (40, 400), "Brain": (40, 80), "Bone": (500, 2000),
                     "Lung": (-600, 1500)}  # fmt: skip


def test_the_viewer_is_a_module_with_its_licence():
    program = niivue()
    code = gzip.decompress(program.module).decode()
    assert re.search(r"\nexport \{ [\w$]+ as Niivue \};\n$", code)
    assert "BSD" in program.licence
    assert program.version == importlib.metadata.version("ipyniivue")


def test_a_viewer_packed_in_another_way_is_refused_and_the_report_does_without(
    case, monkeypatch, caplog
):
    niivue.cache_clear()
    monkeypatch.setattr(niivue_module, "_CLASS", re.compile("never found in there"))
    try:
        with pytest.raises(ConfigError, match="packed in another way"):
            niivue()
        section = case_sections(document(case.name), [case])[-1]
    finally:
        niivue.cache_clear()
    assert section.viewer is None
    assert section.figures
    assert "no interactive viewer" in caplog.text


def test_a_viewer_that_is_not_installed_is_named(monkeypatch):
    niivue.cache_clear()
    monkeypatch.setattr(niivue_module, "PACKAGE", "not-installed-anywhere")
    with pytest.raises(ConfigError, match="pip install ipyniivue"):
        niivue()
    niivue.cache_clear()


def document(*names):
    row = {"protocol": "synthrad2023", "range": [-1024, 3000], "unit": "HU", "mask_rule": "m",
           "averaging": "3-D", "voxels": 5}  # fmt: skip
    return {
        **row,
        "cases": [{"case": name, "mae": float(i), **row} for i, name in enumerate(names)],
        "aggregates": {"mae": {"mean": 1.0, "std": None}},
    }


def test_the_worst_cases_are_shown_first_and_no_name_of_a_file(case, tmp_path):
    names = [f"DOE_{i}" for i in range(VIEWED_CASES + 2)]
    images = [CaseImages(name, case.result, reference=case.reference) for name in names]
    *_, section = case_sections(document(*names), images, names=False)
    assert [shown.label for shown in section.viewer.cases] == [
        "Case 5, MAE 4.000 HU", "Case 4, MAE 3.000 HU", "Case 3, MAE 2.000 HU",
    ]  # fmt: skip
    assert list(section.viewer.panels) == ["result", "reference", "error"]
    write_report(tmp_path / "r.html", Report("T", [], [section]))
    text = (tmp_path / "r.html").read_text()
    assert "DOE_" not in text
    assert "Voxels shown here: 3 x 3 x 4 mm; voxels of the images: 3 x 3 x 4 mm" in text


@pytest.fixture
def evaluated(tiny_run, tiny_scans, tmp_path):
    """A run that predicted the truth, but whose reference was scanned 12 mm away."""
    run, scans = tmp_path / "run", tmp_path / "scans"
    shutil.copytree(tiny_run, run)
    shutil.copytree(tiny_scans, scans)
    truth = read_volume(scans / "ct_4.nii.gz")
    (run / "predictions").mkdir()
    write_volume(truth, run / "predictions" / "head.nii.gz")
    away = truth.affine.copy()
    away[0, 3] += 12
    write_volume(Volume(truth.array, away, "CT"), scans / "ct_4.nii.gz")
    (run / "evaluation.json").write_text(json.dumps(document("head")))
    return run, scans


def configured(run, scans, *, register):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["root"] = str(scans)
    config["evaluation"][0]["register_by"] = register
    (run / "config.yaml").write_text(yaml.safe_dump(config))


def test_the_attention_map_that_a_run_kept_is_shown(evaluated, medgan_cli, tmp_path):
    run, scans = evaluated
    configured(run, scans, register="none")
    result = read_volume(run / "predictions" / "head.nii.gz")
    share = np.random.default_rng(5).random(result.shape).astype(np.float32)
    (run / "attention").mkdir()
    write_volume(Volume(share, result.affine, "MR"), run / "attention" / "head.nii.gz")
    code, _, err = medgan_cli("report", run, "--out", tmp_path / "p.html")
    assert code == 0, err
    page = (tmp_path / "p.html").read_text()
    assert 'id="viewer-0-attention"' in page
    assert 'id="viewer-opacity"' in page


def test_evaluate_shows_the_attention_map_it_is_given(case, medgan_cli, tmp_path):
    for name in ("result", "reference"):
        values = getattr(case, name).array.astype(np.float32)
        write_volume(Volume(values, AFFINE, "CT"), tmp_path / f"{name}.nii.gz")
    given = tmp_path / "result_attention.nii.gz"
    write_volume(Volume(case.attention.array.astype(np.float32), AFFINE, "MR"), given)
    mask = Volume(np.ones(case.result.shape, np.uint8), AFFINE, "LABEL")
    write_volume(mask, tmp_path / "mask.nii.gz")
    files = [tmp_path / f"{name}.nii.gz" for name in ("result", "reference")]
    arguments = ("evaluate", *files, "--mask", tmp_path / "mask.nii.gz", "--attention", given)
    code, _, err = medgan_cli(*arguments)
    assert code == 2
    assert "--html" in err
    code, _, err = medgan_cli(*arguments, "--html", tmp_path / "p.html")
    assert code == 0, err
    content = re.search(r'id="viewer-0-attention">([^<]+)<', (tmp_path / "p.html").read_text())[1]
    shown = nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(content)))
    wanted = reorient(case.attention, "RAS")
    np.testing.assert_allclose(shown.get_fdata(), wanted.array, atol=0.51 / 255)


def test_attention_maps_are_found_by_the_names_of_cases(case, tmp_path):
    for name in ("a_attention", "a", "b", "a_content_1"):
        write_volume(case.attention, tmp_path / f"{name}.nii.gz")
    assert attention_files(tmp_path, ["a", "b"]) == {
        "a": tmp_path / "a_attention.nii.gz", "b": tmp_path / "b.nii.gz",
    }  # fmt: skip
    with pytest.raises(DataError, match="1 case: c"):
        attention_files(tmp_path, ["a", "c"])
    with pytest.raises(FileError, match="several cases"):
        attention_files(tmp_path / "a.nii.gz", ["a", "b"])
    with pytest.raises(FileError, match="no such"):
        attention_files(tmp_path / "absent", ["a"])
    write_volume(case.source, tmp_path / "mr.nii.gz")
    with pytest.raises(DataError, match="not an attention map"):
        read_attention(tmp_path / "mr.nii.gz")


def test_the_images_of_a_run_are_placed_as_they_were_for_the_evaluation(
    evaluated, medgan_cli, tmp_path
):
    run, scans = evaluated
    differences = {}
    for register in ("none", "rigid"):
        configured(run, scans, register=register)
        assert medgan_cli("report", run, "--out", tmp_path / "p.html")[0] == 0
        page = (tmp_path / "p.html").read_text()
        made, truth = (
            nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(
                re.search(f'id="viewer-0-{kind}">([^<]+)<', page)[1]))).get_fdata()
            for kind in ("result", "reference")
        )  # fmt: skip
        differences[register] = np.abs(made - truth).mean()
    assert differences["rigid"] < 0.3 * differences["none"]


def test_a_run_whose_scans_are_gone_is_reported_without_their_names(
    evaluated, medgan_cli, tmp_path
):
    run, scans = evaluated
    configured(run, scans, register="none")
    (scans / "ct_4.nii.gz").unlink()
    code, _, err = medgan_cli("report", run)
    assert code == 0
    assert "run: the scans of case 1 cannot be read" in err
    assert "ct_4" not in err
    page = (run / "report.html").read_text()
    assert 'id="viewer"' not in page
    assert "Each case, the largest mae first" in page


def test_regional_means_are_those_of_a_loop_over_blocks(case):
    spacing = np.array(case.result.spacing_mm)
    mask = np.random.default_rng(1).random(case.result.shape) < 0.9
    truth, made = case.reference.array, case.result.array
    tissues = {
        "air": truth < -300, "soft": (truth >= -300) & (truth <= 150), "bone": truth > 150,
    }  # fmt: skip
    found = {each.tissue: each for each in regional_means(case.result, case.reference, mask)}
    for tissue, where in tissues.items():
        blocks = {}
        for index in np.argwhere(where & mask):
            blocks.setdefault(tuple(index * spacing // 16), []).append(tuple(index))
        kept = [voxels for _, voxels in sorted(blocks.items()) if len(voxels) * 36 >= 500]
        expected = [[np.mean([image[v] for v in voxels]) for voxels in kept]
                    for image in (made, truth)]  # fmt: skip
        np.testing.assert_allclose(found[tissue].result, expected[0], rtol=1e-5)
        np.testing.assert_allclose(found[tissue].reference, expected[1], rtol=1e-12)
        assert found[tissue].overall == pytest.approx(
            (made[where & mask].mean(), truth[where & mask].mean()), rel=1e-4
        )


def test_limits_of_agreement_hold_what_they_say():
    truth = np.random.default_rng(2).normal(0, 300, 20_000)
    result = truth + np.random.default_rng(3).normal(25, 10, truth.shape)
    limits = limits_of_agreement([RegionalMeans("soft", result, truth, (0.0, 0.0))])
    assert limits.bias == pytest.approx(25, abs=0.3)
    assert (limits.low, limits.high) == pytest.approx((25 - 19.6, 25 + 19.6), abs=0.5)
    inside = (result - truth > limits.low) & (result - truth < limits.high)
    assert inside.mean() == pytest.approx(0.95, abs=0.005)
    alone = limits_of_agreement([RegionalMeans("soft", result[:1], truth[:1], (0.0, 0.0))])
    assert np.isnan(alone.low)


def test_the_agreement_says_in_words_what_it_shows(case):
    (figure,) = case_sections(document("a"), [case])[-2].figures
    found = regional_means(case.result, case.reference, case.body())
    for each in found:
        limits = limits_of_agreement([each])
        assert f"{len(each.result)} of {each.tissue} in 1 case" in figure.caption
        text = rf"{each.tissue}: bias ([-\d.,]+) HU, limits ([-\d.,]+) to ([-\d.,]+) HU"
        said = [float(number.replace(",", "")) for number in re.search(text, figure.alt).groups()]
        assert said == pytest.approx([limits.bias, limits.low, limits.high], rel=1e-3)
    assert "air below -300 HU, bone above 150 HU" in figure.caption


def test_the_report_of_one_real_head_is_small_enough_to_send(medgan_data, tmp_path):
    head = read_volume(medgan_data / "uih_t1_head" / "uih_t1_1mm.nii.gz", modality="MR")
    rng = np.random.default_rng(4)
    tissue = np.where(body_mask(head), 40, -1000)
    # Noise, of which CT has some everywhere, is what compresses worst.
    made, truth = (Volume(tissue + rng.normal(0, 60, head.shape), head.affine, "CT")
                   for _ in range(2))  # fmt: skip
    attention = head.with_array(rng.random(head.shape))
    images = CaseImages("head", made, head, truth, attention)
    sections = case_sections(document("head"), [images])
    (shown,) = sections[-1].viewer.cases
    assert min(shown.extent_mm) > 120
    write_report(tmp_path / "r.html", Report("T", [], sections))
    assert (tmp_path / "r.html").stat().st_size < 15e6
