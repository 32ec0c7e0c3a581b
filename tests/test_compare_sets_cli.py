import json
from collections.abc import Callable
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from medgan.io import write_volume
from medgan.metrics.distribution import fid, squared_mmd
from medgan.metrics.features import extractor_named, torchscript_extractor
from medgan.metrics.set_evaluation import SetOptions, compare_sets
from medgan.volumes import Volume

Cli = Callable[..., tuple[int, str, str]]

KEYS = (
    "fid", "kid", "kid_std", "n_real", "n_fake", "n_compared", "floor_fid", "floor_kid",
    "precision", "recall", "splits", "seed", "region",
)  # fmt: skip
WORLD = np.diag([3.0, 3.0, 3.0, 1.0])


class Grid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x[:, :1], 3).reshape(len(x), 9)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine features: the means of the ninths of a picture."""
    path = tmp_path_factory.mktemp("network") / "grid.pt"
    torch.jit.save(torch.jit.script(Grid()), path)
    return path


def pictures(folder: Path, count: int, seed: int, brightness: float = 0.5) -> Path:
    """Smooth random pictures of four patients."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        patient = folder / f"p{seed}{index % 4}"
        patient.mkdir(parents=True, exist_ok=True)
        blocks = rng.uniform(brightness - 0.3, brightness + 0.3, (3, 3))
        np.save(patient / f"{index}.npy", np.kron(blocks, np.ones((8, 8))).astype(np.float32))
    return folder


def scan(seed: int) -> Volume:
    rng = np.random.default_rng(seed)
    values = np.full((16, 16, 12), -1000.0)
    values[3:13, 3:13, 2:10] = rng.normal(40, 100, (10, 10, 8))
    return Volume(values.astype(np.int16), WORLD, "CT")


def scans(folder: Path, seeds: range) -> Path:
    folder.mkdir()
    for seed in seeds:
        write_volume(scan(seed), folder / f"{seed}.nii.gz")
    return folder


def result(cli: Cli, *arguments: object) -> dict[str, Any]:
    code, out, err = cli("compare-sets", *arguments, "--json", "-")
    assert code == 0, err
    document: dict[str, Any] = json.loads(out)
    return document


def test_the_document_holds_all_that_the_numbers_depend_on(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = pictures(tmp_path / "real", 48, 1), pictures(tmp_path / "fake", 30, 2)
    found = result(medgan_cli, real, fake, "--features", network)
    assert set(KEYS) <= set(found)
    assert (found["n_real"], found["n_fake"], found["n_compared"]) == (48, 30, 24)
    assert (found["split_by"], found["n_patients"], found["splits"]) == ("patient", 4, 10)
    digest = sha256(network.read_bytes()).hexdigest()
    assert (found["features"]["name"], found["features"]["hash"]) == ("grid.pt", digest)
    assert found["fid"] == pytest.approx(found["floor_fid"], rel=0.5)
    assert found["warnings"] == []


def test_brighter_pictures_are_farther_than_the_floor_by_the_closed_form(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real = pictures(tmp_path / "real", 80, 1, 0.4)
    fake = pictures(tmp_path / "fake", 40, 2, 0.6)
    found = result(medgan_cli, real, fake, "--features", network)
    assert found["fid"] - found["floor_fid"] == pytest.approx(9 * 0.2**2, rel=0.2)
    assert found["kid"] > 5 * found["kid_std"] / np.sqrt(10)


def test_the_features_are_those_of_the_pictures_and_identical_folders_are_noted(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    """With 24 reals, halves of 12 and 12 fakes, each distance is that of 12 rows to 12 rows."""
    real, fake = pictures(tmp_path / "real", 24, 1), pictures(tmp_path / "fake", 12, 2)
    found = result(medgan_cli, real, fake, "--features", network)
    extractor = torchscript_extractor(network)
    rows, others = (
        extractor.extract([np.load(path) for path in sorted(folder.rglob("*.npy"))])
        for folder in (real, fake)
    )
    # Six rows of each patient follow each other in the order of the files.
    halves = [[6 * who + row for who in pair for row in range(6)]
              for pair in combinations(range(4), 2)]  # fmt: skip
    possible = [fid(rows[half], others) for half in halves]
    assert min(possible) <= found["fid"] <= max(possible)
    same = result(medgan_cli, real, real, "--features", network)
    assert any("both sets show 4 patients" in warning for warning in same["warnings"])


def test_a_run_repeats_and_another_seed_draws_otherwise(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = pictures(tmp_path / "real", 40, 1), pictures(tmp_path / "fake", 12, 2)
    runs = [
        result(medgan_cli, real, fake, "--features", network, "--seed", seed) for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0]["fid"] != runs[2]["fid"]


def test_three_planes_are_measured_each_and_averaged(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = scans(tmp_path / "real", range(4)), scans(tmp_path / "fake", range(4, 6))
    found = result(medgan_cli, real, fake, "--features", network, "--region", "planes")
    planes = found["planes"]
    assert set(planes) == {"axial", "coronal", "sagittal"}
    assert found["fid"] == pytest.approx(np.mean([plane["fid"] for plane in planes.values()]))
    assert [plane["n_compared"] for plane in planes.values()] == [16, 20, 20]
    assert found["n_compared"] == 16
    assert found["features"]["window"] == [-1000, 2000]
    assert found["n_patients"] == 4


def test_crops_around_masks_and_around_annotations_of_the_same_places_are_the_same(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    """Ten scans with two findings each: twenty crops against twelve."""
    real, fake = scans(tmp_path / "real", range(10)), scans(tmp_path / "fake", range(10, 16))
    mask = np.zeros((16, 16, 12), np.uint8)
    mask[5, 5, 5] = mask[10, 10, 7] = 1
    rows = ["seriesuid,coordX,coordY,coordZ"]
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in range(16):
        write_volume(Volume(mask, WORLD, "LABEL"), masks / f"{name}.nii.gz")
        rows += [f"{name},-15,-15,15", f"{name},-30,-30,21"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    by_mask, by_row = (
        result(
            medgan_cli, real, fake, "--features", network, "--region", "masked", "--crop-mm", 12,
            "--window", -500, 500, *given,
        )
        for given in (
            ("--real-masks", masks, "--fake-masks", masks),
            ("--annotations", tmp_path / "a.csv"),
        )
    )  # fmt: skip
    assert by_mask == by_row
    assert (by_mask["n_real"], by_mask["n_fake"], by_mask["n_compared"]) == (20, 12, 10)
    assert (by_mask["crop_mm"], by_mask["features"]["window"]) == (12, [-500, 500])


def test_the_table_names_the_features_in_every_row_and_shows_the_floor(
    tmp_path: Path, medgan_cli: Cli
) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    real, fake = pictures(tmp_path / "real", 20, 1), pictures(tmp_path / "fake", 12, 2)
    code, out, _ = medgan_cli("compare-sets", real, fake)
    assert code == 0
    for measure in ("FID", "KID", "precision", "recall"):
        assert f"{measure} (efficientnet-lite0)" in out
    assert "floor: real against real" in out
    shown = " ".join(out.split())
    assert "10 images at a time of 20 real and 12 others; 4 patients in the real set" in shown
    assert "Note: 10 images are compared at a time and each has 1280 features" in out


def test_the_published_variant_stands_beside_the_standard_numbers_and_says_what_it_is(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = pictures(tmp_path / "real", 44, 1), pictures(tmp_path / "fake", 31, 2, 0.6)
    given = (real, fake, "--features", network)
    standard = result(medgan_cli, *given)
    both = result(medgan_cli, *given, "--kid-variant", "attentiongan2019")
    assert not any("attentiongan" in key or key == "kid_variant" for key in standard)
    assert standard.items() <= {**both, "warnings": standard["warnings"]}.items()
    assert both["kid_variant"] == {
        "name": "attentiongan2019",
        "largest_block": 10,
        "kid_scale": 100,
        "fid_scale": 0.01,
        "images": "all of both sets, in random order",
        "kid_error": "standard error over the blocks",
    }
    assert both["blocks_attentiongan2019"] == 5
    extractor = torchscript_extractor(network)
    rows, others = (
        extractor.extract([np.load(path) for path in sorted(folder.rglob("*.npy"))])
        for folder in (real, fake)
    )
    assert both["fid_attentiongan2019"] == pytest.approx(fid(rows, others) / 100, rel=1e-4)
    assert both["kid_attentiongan2019"] == pytest.approx(
        100 * squared_mmd(rows, others), abs=4 * both["kid_attentiongan2019_error"]
    )
    assert "published with inception features: with grid.pt" in both["warnings"][-1]


def test_the_table_says_which_numbers_are_the_published_variant(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = pictures(tmp_path / "real", 44, 1), pictures(tmp_path / "fake", 31, 2)
    code, out, _ = medgan_cli(
        "compare-sets", real, fake, "--features", network, "--kid-variant", "attentiongan2019"
    )
    assert code == 0
    shown = " ".join(out.split())
    assert "FID x 0.01 as attentiongan2019 (grid.pt)" in shown
    assert "KID x 100 as attentiongan2019 (grid.pt)" in shown
    assert "44 real and 31 others in 5 blocks of at most 10 images, not comparable" in shown


def natural_pictures(folder: Path, count: int, seed: int, ending: str) -> Path:
    """Smooth colour pictures, each of another size and shape, in one flat folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    for index in range(count):
        size = (int(rng.integers(40, 120)), int(rng.integers(40, 120)))
        colours = Image.fromarray(rng.integers(0, 256, (3, 4, 3), dtype=np.uint8))
        colours.resize(size, Image.Resampling.BICUBIC).save(folder / f"{index}{ending}")
    return folder


def test_folders_of_png_and_jpeg_of_any_size_are_compared_with_a_features_file(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real = natural_pictures(tmp_path / "testB", 24, 1, ".png")
    fake = natural_pictures(tmp_path / "fakes", 15, 2, ".jpg")
    found = result(medgan_cli, real, fake, "--features", network)
    assert (found["n_real"], found["n_fake"], found["n_compared"]) == (24, 15, 12)
    assert (found["split_by"], found["n_patients"]) == ("image", None)
    assert found["features"]["window"] == "0 to the largest value of the file's type"
    assert found["fid"] == pytest.approx(found["floor_fid"], rel=0.7)


def test_the_same_from_python_with_features_that_need_no_connection(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    real = natural_pictures(tmp_path / "testB", 20, 1, ".png")
    fake = natural_pictures(tmp_path / "fakes", 12, 2, ".jpg")
    found = compare_sets(
        real,
        fake,
        extractor_named("efficientnet-lite0"),
        SetOptions(kid_variant="attentiongan2019"),
    )
    assert found["features"]["name"] == "efficientnet-lite0"
    assert (found["n_compared"], found["blocks_attentiongan2019"]) == (10, 2)
    assert all(np.isfinite(found[key]) for key in ("fid", "kid", "floor_fid", "floor_kid"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--features", "resnet"], "unknown features"),
        (["--kid-subset", "500"], "subsets of 500, allowed 2 to"),
        (["--kid-subset", "9"], "too few images in a KID subset (measured 9, allowed at least 10)"),
        (["--splits", "3"], "too few splits"),
        (["--region", "masked"], "masks or annotations belong to the region masked"),
        (["--crop-mm", "20"], "the size of crops belongs to the region masked"),
        (["--window", "0", "100"], "only CT has a window"),
        (["--region", "planes"], "a picture has no planes"),
        (["--patients", "^q"], "does not match"),
    ],
)
def test_what_cannot_be_done_ends_with_one_message(
    tmp_path: Path, network: Path, medgan_cli: Cli, options: list[str], message: str
) -> None:
    real, fake = pictures(tmp_path / "real", 24, 1), pictures(tmp_path / "fake", 12, 2)
    code, out, err = medgan_cli("compare-sets", real, fake, "--features", network, *options)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("n_real", "n_fake"), [(12, 30), (40, 9)])
def test_too_few_images_are_refused_rather_than_given_a_number(
    tmp_path: Path, network: Path, medgan_cli: Cli, n_real: int, n_fake: int
) -> None:
    real, fake = pictures(tmp_path / "real", n_real, 1), pictures(tmp_path / "fake", n_fake, 2)
    code, out, err = medgan_cli("compare-sets", real, fake, "--features", network)
    assert (code, out) == (2, "")
    assert "too few images to compare sets" in err
    assert "at least 10" in err


def test_a_target_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path, medgan_cli: Cli
) -> None:
    absent = tmp_path / "absent"
    code, _, err = medgan_cli("compare-sets", absent, absent, "--json", absent / "q.json")
    assert code == 2
    assert "Create the folder first" in err


def test_a_label_map_as_mask_is_refused_by_its_name(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = scans(tmp_path / "real", range(10)), scans(tmp_path / "fake", range(10, 20))
    organs = np.zeros((16, 16, 12), np.uint8)
    organs[5, 5, 5], organs[6, 5, 5] = 1, 2
    masks = tmp_path / "masks"
    masks.mkdir()
    for name in range(20):
        write_volume(Volume(organs, WORLD, "LABEL"), masks / f"{name}.nii.gz")
    code, _, err = medgan_cli(
        "compare-sets", real, fake, "--features", network, "--region", "masked",
        "--real-masks", masks, "--fake-masks", masks,
    )  # fmt: skip
    assert code == 2
    assert "0.nii.gz: a mask has one value besides 0" in err
    assert "2 values besides 0" in err


def test_ct_and_mr_in_one_comparison_are_refused(
    tmp_path: Path, network: Path, medgan_cli: Cli
) -> None:
    real, fake = scans(tmp_path / "real", range(4)), scans(tmp_path / "fake", range(4, 6))
    for path in fake.iterdir():
        values = np.abs(scan(9).array)
        write_volume(Volume(values, WORLD, "MR"), path)
    code, _, err = medgan_cli("compare-sets", real, fake, "--features", network)
    assert code == 2
    assert "images of several kinds are compared (measured CT and MR" in err
    assert "--modality" in err


def test_the_report_holds_every_measure_its_floor_and_its_definition(
    network: Path, tmp_path: Path, medgan_cli: Cli
) -> None:
    real = pictures(tmp_path / "real", 40, seed=1)
    fake = pictures(tmp_path / "fake", 20, seed=2, brightness=0.6)
    page = tmp_path / "sets.html"
    code, out, err = medgan_cli(
        "compare-sets", real, fake, "--features", network, "--html", page, "--json", "-"
    )
    assert code == 0, err
    document, text = json.loads(out), page.read_text(encoding="utf-8")
    for key in ("fid", "floor_fid", "precision", "floor_recall"):
        assert f"{document[key]:.4g}" in text
    for part in ("full region", "20 images at a time of 40 real and 20 others", "4 patients"):
        assert part in text
    assert str(tmp_path) not in text
    assert text.count("data:image/png") == 1
