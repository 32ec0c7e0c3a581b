"""What is computed from the marks of an experiment: against ``medgan froc`` and planted effects."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from augmentations import TINY, configured

from medgan.config import load_as
from medgan.data.luna16_scan import Luna16Scan, Nodule
from medgan.errors import ConfigError, MedganError
from medgan.io.files import write_json
from medgan.io.luna16 import Row, write_rows, write_uids
from medgan.metrics.luna16 import evaluate_detections
from medgan.recipes import augmentation
from medgan.recipes.augmentation_config import AugmentationExperiment
from medgan.recipes.augmentation_document import Failure, document
from medgan.recipes.augmentation_material import Material, Truth
from medgan.recipes.augmentation_plan import runs
from medgan.recipes.augmentation_verdict import control_check, effect_of, verdict
from medgan.report.augmentation import write_augmentation_report

SCANS = 24
SKILL = {"real": 0.45, "good": 0.85, "same": 0.45, "bad": 0.1}
ARMS = [
    {"name": "real", "label": "Real"},
    {"name": "good", "label": "Good", "source": "oracle"},
    {"name": "same", "label": "Same", "source": "noise"},
    {"name": "bad", "label": "Bad", "real": False, "source": "noise"},
]


@pytest.fixture(scope="module")
def config():
    return configured(arms=ARMS, seeds=[0, 1, 2], bootstrap=200)


def scans_of(group, rng):
    for number in range(SCANS):
        places = rng.uniform(-100, 100, (rng.integers(1, 4), 3)).round(3)
        nodules = tuple(Nodule(tuple(p.tolist()), float(rng.uniform(4, 16))) for p in places)
        uid = f"1.2.{len(group)}.{number}"
        yield Luna16Scan(uid, f"{uid}.mhd", 0, nodules, (), None)


def write_truth(out, group, scans):
    truth = Truth.of(out, group)
    truth.slices.parent.mkdir(parents=True)
    rows = [Row(s.uid, n.position_mm, n.diameter_mm) for s in scans for n in s.nodules]
    write_rows(truth.annotations, rows, "diameter_mm")
    write_rows(truth.excluded, [], "diameter_mm")
    write_uids(truth.seriesuids, [s.uid for s in scans])
    lines = [f"{scan.uid},-120,2.5,97" for scan in scans]
    truth.slices.write_text("\n".join(["seriesuid,first_mm,spacing_mm,count", *lines]) + "\n")


def write_marks(run, group, scans, rng):
    """A detector that finds as many nodules as it has skill, surer of them than of nothing."""
    rows, sizes = [], []
    for scan in scans:
        for nodule in scan.nodules:
            if rng.random() < SKILL[run.arm.name]:
                place = tuple(np.add(nodule.position_mm, rng.normal(0, 0.3, 3)).tolist())
                rows.append(Row(scan.uid, place, float(rng.uniform(0.3, 1))))
                sizes.append(Row(scan.uid, place, nodule.diameter_mm))
        for _ in range(rng.poisson(2)):
            place = tuple(rng.uniform(200, 300, 3).tolist())
            rows.append(Row(scan.uid, place, float(rng.uniform(0, 0.7))))
            sizes.append(Row(scan.uid, place, 6.0))
    write_rows(run.files.marks(group), rows, "probability")
    write_rows(run.files.diameters(group), sizes, "diameter_mm")


@pytest.fixture(scope="module")
def experiment(config, tmp_path_factory):
    """Folder, material and planned runs of an experiment whose detectors are made up."""
    out = tmp_path_factory.mktemp("experiment")
    rng = np.random.default_rng(5)
    groups = {group: tuple(scans_of(group, rng)) for group in ("train", "validation", "test")}
    for group in ("validation", "test"):
        write_truth(out, group, groups[group])
    planned = list(runs(config, out))
    for run in planned:
        if run.share < 1:
            continue
        run.files.folder.mkdir(parents=True)
        for group in ("validation", "test"):
            write_marks(run, group, groups[group], rng)
        facts = {"steps": 8, "scans": 2, "nodules": 4, "training_seconds": 1.0, "problems": []}
        write_json(run.files.result, facts)
    return out, Material(groups, ()), planned


@pytest.fixture(scope="module")
def found(config, experiment):
    out, material, planned = experiment
    return document(config, out, planned, material)


def froc(out, run, **more):
    truth = Truth.of(out, "test")
    return evaluate_detections(
        out / run["marks"],
        annotations=truth.annotations,
        excluded=truth.excluded,
        seriesuids=truth.seriesuids,
        bootstrap=200,
        **more,
    )


def test_the_numbers_of_a_run_are_those_of_medgan_froc_on_its_files(found, experiment, medgan_cli):
    out, *_ = experiment
    run = found["runs"][4]
    truth = Truth.of(out, "test")
    code, text, _ = medgan_cli(
        "froc", "--annotations", truth.annotations, "--excluded", truth.excluded,
        "--seriesuids", truth.seriesuids, "--threshold", repr(run["threshold"]),
        "--bootstrap", 200, "--json", "-", out / run["marks"],
    )  # fmt: skip
    assert code == 0
    by_hand = json.loads(text)
    for name in ("cpm", "cpm_ci", "sensitivities", "sensitivities_ci"):
        assert run[name] == pytest.approx(np.array(by_hand[name]), abs=1e-12), name
    for name in ("precision", "precision_ci", "recall", "f1", "fppi", "fppi_ci"):
        assert run[name] == pytest.approx(np.array(by_hand["operating_point"][name])), name


def test_the_difference_at_one_seed_is_that_of_medgan_froc_against(config, experiment):
    out, material, planned = experiment
    one = [run for run in planned if run.seed == 1]
    found = document(config, out, one, material)
    rows = {row["arm"]: row for row in found["rows"]}
    marks = {run["arm"]: run for run in found["runs"]}
    by_hand = froc(out, marks["good"], against=out / marks["real"]["marks"])["against"][
        "difference"
    ]
    difference = rows["good"]["difference"]
    assert difference["cpm"] == pytest.approx(by_hand["cpm"])
    assert difference["cpm_ci"] == pytest.approx(by_hand["cpm_ci"])
    assert difference["cpm_p"] == pytest.approx(by_hand["cpm_p"])


def test_pooled_figures_are_means_over_seeds_of_what_froc_gives(found, experiment):
    out, *_ = experiment
    for row in found["rows"]:
        mine = [froc(out, run) for run in found["runs"] if run["arm"] == row["arm"]]
        assert row["cpm"] == pytest.approx(np.mean([one["cpm"] for one in mine]))
        sizes = np.mean([[g["cpm"] for g in one["by_size"]] for one in mine], axis=0)
        assert row["by_size"] == pytest.approx(sizes)


def test_the_pooled_interval_is_that_of_resampling_scans_and_averaging_seeds(found, experiment):
    """Each replicate by the official rules on a list in which scans stand as often as drawn."""
    out, material, _ = experiment
    test = material.groups["test"]
    marks = [run["marks"] for run in found["runs"] if run["arm"] == "good"]
    values = []
    for number in range(200):
        drawn = np.random.default_rng([0, number]).integers(SCANS, size=SCANS)
        again = [(i, test[scan]) for i, scan in enumerate(drawn)]
        values.append(np.mean([naive_cpm(out / path, again) for path in marks]))
    low, high = np.sort(values)[[5, 195]]
    row = next(row for row in found["rows"] if row["arm"] == "good")
    assert row["cpm_ci"] == pytest.approx([low, high])


def naive_cpm(path, drawn):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    marks = {}
    for row in rows:
        place = [float(row[name]) for name in ("coordX", "coordY", "coordZ")]
        marks.setdefault(row["seriesuid"], []).append((float(row["probability"]), place))
    scores, false, nodules = [], [], 0
    for _, scan in drawn:
        hit = set()
        for nodule in scan.nodules:
            nodules += 1
            found = [
                (p, i) for i, (p, place) in enumerate(marks.get(scan.uid, []))
                if np.linalg.norm(np.subtract(place, nodule.position_mm)) < nodule.diameter_mm / 2
            ]  # fmt: skip
            hit |= {i for _, i in found}
            if found:
                scores.append(max(found)[0])
        false += [p for i, (p, _) in enumerate(marks.get(scan.uid, [])) if i not in hit]
    points = sorted({*scores, *false}, reverse=True)
    x = [0.0] + [sum(f >= t for f in false) / len(drawn) for t in points]
    y = [0.0] + [sum(s >= t for s in scores) / nodules for t in points]
    return np.mean(np.interp([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], x, y))


def test_planted_effects_are_found_and_none_where_there_is_none(found):
    rows = {row["arm"]: row for row in found["rows"]}
    assert rows["real"]["difference"] is None
    assert rows["good"]["effect"] == "helped"
    assert rows["good"]["difference"]["cpm_ci"][0] > 0
    assert "3 of 3 seeds in that direction; clear" in rows["good"]["verdict"]
    low, high = rows["same"]["difference"]["cpm_ci"]
    assert low <= 0 <= high
    assert "made no difference that could be shown" in rows["same"]["verdict"]
    assert rows["bad"]["effect"] == "hurt"
    assert found["controls"].endswith("the experiment can tell such things apart.")


def test_the_threshold_comes_from_validation_scans_alone(config, experiment, found):
    out, material, planned = experiment
    run = next(r for r in planned if r.files.marks("test").exists())
    kept = run.files.marks("test").read_bytes()
    header = kept.split(b"\n", 1)[0] + b"\n"
    sizes = run.files.diameters("test").read_bytes()
    try:
        run.files.marks("test").write_bytes(header)
        run.files.diameters("test").write_bytes(sizes.split(b"\n", 1)[0] + b"\n")
        again = document(config, out, planned, material)
    finally:
        run.files.marks("test").write_bytes(kept)
        run.files.diameters("test").write_bytes(sizes)
    assert again["runs"][0]["threshold"] == found["runs"][0]["threshold"]
    assert again["runs"][0]["cpm"] == 0


def test_the_page_says_the_verdict_first_and_what_is_missing(config, experiment, tmp_path):
    out, material, planned = experiment
    failures = [Failure(planned[-1], "diverged")]
    found = document(config, out, planned[:-1], material, failures)
    write_augmentation_report(tmp_path / "report.html", found)
    page = (tmp_path / "report.html").read_text()
    sentences = [row["verdict"] for row in found["rows"] if row["verdict"]]
    assert page.index(sentences[0][:20]) < page.index("<table")
    assert "diverged" in page
    assert "2-D form: boxes on axial slices at IoU 0.5" in page
    assert "1.2.4." not in page


def row(effect_ci, seeds, scans=40):
    difference = {
        "cpm": float(np.mean(seeds)), "cpm_ci": effect_ci, "cpm_p": 0.004, "cpm_by_seed": seeds,
        "scans": scans,
    }  # fmt: skip
    return {"label": "Arm", "share": 0.25, "difference": difference}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (row([0.01, 0.2], [0.1, 0.1, 0.2]), "3 of 3 seeds in that direction; clear."),
        (row([0.01, 0.2], [0.3, -0.1, 0.2]), "2 of 3 seeds in that direction; not sure, because"),
        (row([0.01, 0.2], [0.1]), "1 of 1 seed in that direction; not sure, because 1 seed cannot"),
        (row([0.0, 0.0], [0.0, 0.0, 0.0], 2), "not sure, because 2 test scans cannot stand"),
        (row([-0.2, -0.1], [-0.1, -0.1, -0.2]), "hurt: CPM -0.133 against Real"),
        (row([-0.05, 0.02], [0.0, 0.0, 0.0]), "a gain above 0.020 or a loss above 0.050"),
        (row(None, [0.1, 0.1]), "no interval, nothing is sure."),
    ],
)
def test_a_verdict_says_what_happened_and_how_sure_that_is(given, expected):
    assert expected in verdict(given, "Real")


def test_an_experiment_that_misses_the_oracle_or_trusts_noise_says_so():
    gain, nothing = ([0.01, 0.2], [0.1, 0.1, 0.2]), ([-0.1, 0.1], [0.1, -0.1, 0.0])
    split = ([0.01, 0.2], [0.3, -0.1, 0.2])
    kinds = {"o": "oracle", "n": "noise"}

    def check(oracle, noise):
        rows = [{**row(*given), "source": name, "real": True} for name, given in
                (("o", oracle), ("n", noise))]  # fmt: skip
        for one in rows:
            one["effect"] = effect_of(one["difference"])
        return control_check(rows, kinds)

    assert "say little" in check(nothing, nothing)
    assert "say little" in check(gain, gain)
    assert "say little" in check(split, nothing)
    assert "tell such things apart" in check(gain, nothing)
    assert control_check([], kinds) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reference": "absent"}, "reference must name an arm"),
        ({"seeds": [0, 0]}, "seeds must differ"),
        ({"shares": [0.0]}, "shares must lie above 0"),
        (
            {"luna16": {"root": ".", "train": [0], "validation": [1], "test": [2]}},
            "one of phantoms",
        ),
        ({"detector": {"training": {"seed": 3}}}, "detector must not hold name or training.seed"),
        ({"arms": [{"name": "real", "label": "", "source": "absent"}]}, "no source of that name"),
        ({"arms": [{"name": "real", "label": "", "real": False}]}, "needs a source"),
        ({"sources": [{"name": "f", "label": "F", "kind": "folder"}]}, "a folder has a path"),
    ],
)
def test_contradictions_in_a_configuration_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        configured(**change)


def test_a_subset_in_two_groups_is_refused():
    folds = {"root": ".", "train": [0, 1], "validation": [1], "test": [2]}
    with pytest.raises(ValueError, match="one of them"):
        configured(phantoms=None, luna16=folds, sources=[], arms=TINY["arms"][:1])


def test_settings_of_an_arm_that_do_not_exist_are_refused(tmp_path):
    arms = [{"name": "real", "label": "Real", "settings": ["network.depth=3"]}]
    with pytest.raises(ConfigError, match=r"arm real: .*network.depth: unknown key"):
        list(runs(configured(arms=arms), tmp_path))


def test_an_unknown_arm_and_no_job_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(MedganError, match="no such arm"):
        augmentation.run_experiment(configured(), tmp_path / "out", only=["absent"])
    with pytest.raises(MedganError, match="someone has to do the work"):
        augmentation.run_experiment(configured(), tmp_path / "out", 0)
    assert not (tmp_path / "out").exists()


def test_the_configuration_that_comes_with_medgan_is_a_whole_experiment(tmp_path):
    path = Path(__file__).parents[1] / "configs" / "luna16_phantom.yaml"
    config = load_as(AugmentationExperiment, path)
    assert config.name == path.stem
    assert len(config.seeds) >= 3
    assert config.phantoms.test.scans >= 40
    assert config.phantoms.test.scans * config.phantoms.test.nodules >= 100
    assert {source.kind for source in config.sources} == {"generator", "oracle", "noise"}
    planned = list(runs(config, tmp_path))
    assert len({run.files.folder for run in planned}) == len(planned)
    assert len({run.config.training.steps for run in planned}) == 1
