"""The whole evaluation of detections beside plain loops over the rows of the files."""

import csv
import math

import numpy as np
import pytest

from medgan.errors import ConfigError, DataError
from medgan.metrics.luna16 import evaluate_detections
from medgan.metrics.scan_bootstrap import resample_scans

# The whole evaluation beside plain loops over the rows of the files.


def naive_entries(results, annotations, excluded, scans):
    """By scan: (score or None, diameter) of nodules, and scores of false positives."""
    nodules, false = {}, {}
    by_scan = [{scan: [] for scan in scans} for _ in range(3)]
    for rows, table in zip((results, annotations, excluded), by_scan, strict=True):
        for scan, *values in rows:
            if scan in table:
                table[scan].append(values)
    for scan in scans:
        made = by_scan[0][scan]
        if len(made) > 100:
            limit = sorted((mark[3] for mark in made), reverse=True)[100]
            made = [mark for mark in made if mark[3] > limit]
        left = list(range(len(made)))
        nodules[scan] = []
        for findings, counts in ((by_scan[1][scan], True), (by_scan[2][scan], False)):
            for x, y, z, diameter in findings:
                radius = (10.0 if diameter < 0 else diameter) / 2
                best = None
                for number, (x2, y2, z2, score) in enumerate(made):
                    if (x - x2) ** 2 + (y - y2) ** 2 + (z - z2) ** 2 < radius**2:
                        best = score if best is None else max(best, score)
                        if number in left:
                            left.remove(number)
                if counts:
                    nodules[scan].append((best, diameter))
        false[scan] = [made[number][3] for number in left]
    return nodules, false


def naive_sensitivities(scans, nodules, false, wanted=lambda diameter: True):
    """Sensitivity at the seven rates, in a list of scans in which some come repeatedly."""
    scores = [n[0] for scan in scans for n in nodules[scan] if wanted(n[1])]
    wrong = [score for scan in scans for score in false[scan]]
    entries = sorted([(-s, 1, 0) for s in scores if s is not None] + [(-s, 0, 1) for s in wrong])
    vertices, found, made = [(0.0, 0.0)], 0, 0
    for number, (score, right, mistaken) in enumerate(entries):
        found, made = found + right, made + mistaken
        if number + 1 == len(entries) or entries[number + 1][0] != score:
            vertices.append((made / len(scans), found / len(scores)))
    result = []
    for rate in (0.125, 0.25, 0.5, 1, 2, 4, 8):
        below = [v for v in vertices if v[0] <= rate][-1]
        above = [v for v in vertices if v[0] > rate]
        if above:
            share = (rate - below[0]) / (above[0][0] - below[0])
            result.append(below[1] + share * (above[0][1] - below[1]))
        else:
            result.append(below[1])
    return result


def naive_interval(values):
    ordered = sorted(values)
    tail = (1 - 0.95) / 2
    return [ordered[math.floor(p * len(ordered))] for p in (tail, 1 - tail)]


def rows_of(path):
    with path.open(newline="") as file:
        return [[row[0], *map(float, row[1:])] for row in list(csv.reader(file))[1:]]


def random_results(path, seed, annotations, excluded, scans, shift_mm=2.0):
    """Marks on nodules, on excluded findings and anywhere; some scans too full, many ties."""
    rng = np.random.default_rng(seed)
    rows = []
    for kind, table, share in (("hit", annotations, 0.85), ("near", excluded, 0.05)):
        for scan, x, y, z, _ in table:
            for _ in range(rng.poisson(share)):
                place = np.array([x, y, z]) + rng.normal(0, shift_mm, 3)
                score = rng.beta(5, 2) if kind == "hit" else rng.beta(2, 2)
                rows.append([scan, *place, round(score, 2)])
    for scan in scans:
        count = rng.integers(101, 125) if rng.random() < 0.05 else rng.poisson(12)
        rows += [[scan, *rng.uniform(-200, 200, 3), round(rng.beta(1, 6), 2)] for _ in range(count)]
    unique = {tuple(row): row for row in rows}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seriesuid", "coordX", "coordY", "coordZ", "probability"])
        writer.writerows(unique.values())
    return rows_of(path)


@pytest.fixture(scope="module")
def official(medgan_data, tmp_path_factory):
    """The official files, two detectors of random marks, and what plain loops make of them."""
    folder, made = medgan_data / "luna16_csv", tmp_path_factory.mktemp("results")
    files = {
        "annotations": folder / "annotations.csv",
        "excluded": folder / "annotations_excluded.csv",
        "seriesuids": folder / "seriesuids.csv",
    }
    scans = files["seriesuids"].read_text().split()
    truth = rows_of(files["annotations"]), rows_of(files["excluded"])
    results, naive = [], []
    for seed, shift_mm in ((1, 2.0), (2, 2.6)):
        path = made / f"results_{seed}.csv"
        rows = random_results(path, seed, *truth, scans, shift_mm)
        results.append(path)
        naive.append(naive_entries(rows, *truth, scans))
    document = evaluate_detections(
        results[0], **files, threshold=0.4, bootstrap=40, seed=3, against=results[1]
    )
    return files, results, scans, naive, document


def test_the_official_files_give_what_plain_loops_give(official):
    *_, scans, naive, document = official
    assert (document["scans"], document["nodules"]) == (888, 1186)
    for scored, entries in zip((document, document["against"]), naive, strict=True):
        expected = naive_sensitivities(scans, *entries)
        assert scored["sensitivities"] == pytest.approx(expected, abs=1e-12)
        assert scored["cpm"] == pytest.approx(sum(expected) / 7, abs=1e-12)
        assert 0.2 < scored["cpm"] < 0.95
        assert scored["marks"]["false_positives"] == sum(map(len, entries[1].values()))
        assert scored["marks"]["over_limit"] > 0
        assert scored["marks"]["on_excluded"] > 0
        assert scored["marks"]["repeated"] > 0


def test_groups_of_size_give_what_plain_loops_give(official):
    *_, scans, (entries, _), document = official
    for group in document["by_size"]:
        low, high = map(float, group["diameter_mm"])
        expected = naive_sensitivities(
            scans, *entries, lambda d, low=low, high=high: low <= d < high
        )
        assert group["sensitivities"] == pytest.approx(expected, abs=1e-12)
    assert sum(group["nodules"] for group in document["by_size"]) == 1186


def test_a_threshold_gives_what_plain_loops_give(official):
    *_, (entries, _), document = official
    nodules = [n for scan in entries[0].values() for n in scan]
    found = sum(score is not None and score >= 0.4 for score, _ in nodules)
    wrong = sum(score >= 0.4 for scores in entries[1].values() for score in scores)
    point = document["operating_point"]
    assert (point["true_positives"], point["false_positives"]) == (found, wrong)
    assert point["missed"] == 1186 - found
    assert point["precision"] == pytest.approx(found / (found + wrong))
    assert point["recall"] == pytest.approx(found / 1186)
    assert point["f1"] == pytest.approx(
        2 * point["precision"] * point["recall"] / (point["precision"] + point["recall"])
    )
    assert point["fppi"] == pytest.approx(wrong / 888)


def test_the_intervals_are_those_of_copied_scans_and_paired_between_detectors(official):
    *_, scans, naive, document = official
    replicates = []
    for weights in resample_scans(len(scans), 40, 3):
        drawn = [scan for scan, times in zip(scans, weights, strict=True) for _ in range(times)]
        replicates.append([naive_sensitivities(drawn, *entries) for entries in naive])
    mine, other = np.array(replicates).transpose(1, 0, 2)
    assert document["cpm_ci"] == pytest.approx(naive_interval(mine.mean(1)), abs=1e-12)
    assert document["against"]["cpm_ci"] == pytest.approx(naive_interval(other.mean(1)), abs=1e-12)
    for rate in range(7):
        assert document["sensitivities_ci"][rate] == pytest.approx(
            naive_interval(mine[:, rate]), abs=1e-12
        )
    difference = document["against"]["difference"]
    delta = (mine - other).mean(1)
    assert difference["cpm"] == pytest.approx(document["cpm"] - document["against"]["cpm"])
    assert difference["cpm_ci"] == pytest.approx(naive_interval(delta), abs=1e-12)
    assert difference["cpm_p"] == pytest.approx(
        min(1, 2 * (min((delta <= 0).sum(), (delta >= 0).sum()) + 1) / 41)
    )


def test_the_order_of_the_rows_changes_nothing(official, tmp_path):
    files, (first, _), *_ = official
    heading, *lines = first.read_text().splitlines()
    np.random.default_rng(0).shuffle(lines)
    shuffled = tmp_path / "shuffled.csv"
    shuffled.write_text("\n".join([heading, *lines]))
    kept = evaluate_detections(first, **files, bootstrap=5, threshold=0.4)
    assert evaluate_detections(shuffled, **files, bootstrap=5, threshold=0.4) == kept


def test_a_fold_is_scored_with_the_official_files(official, tmp_path):
    files, (first, _), scans, (entries, _), _ = official
    fold = scans[::10]
    listed = tmp_path / "fold.csv"
    listed.write_text("\n".join(fold))
    mine = tmp_path / "results.csv"
    heading, *lines = first.read_text().splitlines()
    mine.write_text("\n".join([heading, *(row for row in lines if row.split(",")[0] in fold)]))
    document = evaluate_detections(mine, **files | {"seriesuids": listed}, bootstrap=0)
    assert document["scans"] == len(fold)
    assert document["sensitivities"] == pytest.approx(
        naive_sensitivities(fold, *entries), abs=1e-12
    )
    assert document["cpm_ci"] is None


@pytest.fixture
def small(tmp_path):
    contents = {
        "annotations": "seriesuid,coordX,coordY,coordZ,diameter_mm\n1.1,0,0,0,6\n1.2,0,0,0,12\n",
        "excluded": "seriesuid,coordX,coordY,coordZ,diameter_mm\n",
        "seriesuids": "1.1\n1.2\n1.3\n",
        "results": "seriesuid,coordX,coordY,coordZ,probability\n1.1,0,0,0,0.9\n",
    }
    for name, text in contents.items():
        (tmp_path / f"{name}.csv").write_text(text)
    return {name: tmp_path / f"{name}.csv" for name in contents}


def test_a_detector_does_not_differ_from_itself(small):
    document = evaluate_detections(**small, against=small["results"], bootstrap=50)
    difference = document["against"]["difference"]
    assert (difference["cpm"], difference["cpm_ci"], difference["cpm_p"]) == (0, [0, 0], 1)


def test_resamples_without_a_nodule_are_left_out(small):
    # Three scans, two with a nodule: one resample in 27 has none, and its CPM is undefined.
    document = evaluate_detections(**small, bootstrap=200)
    assert document["cpm"] == 0.5
    assert document["cpm_ci"] == [0, 1]
    assert [group["cpm"] for group in document["by_size"]] == [None, 1, 0]


def test_scans_without_any_annotation_are_refused(small):
    small["seriesuids"].write_text("1.3\n")
    with pytest.raises(DataError, match="no nodule in the scans listed"):
        evaluate_detections(**small)


@pytest.mark.parametrize("option", [{"threshold": math.nan}, {"bootstrap": -1}, {"seed": -1}])
def test_options_out_of_range_are_refused(small, option):
    with pytest.raises(ConfigError, match=next(iter(option))):
        evaluate_detections(**small, **option)
