"""Rules of LUNA16 one by one, by hand; files that cannot be used; precision and recall."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from medgan.errors import DataError, FileError
from medgan.metrics.detection import MAX_MARKS, judge_marks, within_limit
from medgan.metrics.findings import (
    Annotations,
    Marks,
    read_annotations,
    read_marks,
    read_scans,
)
from medgan.metrics.operating_point import operating_point

NONE = ()
SCANS = ("1.2.1", "1.2.2")


def marks(*rows):
    """Scan, x, probability; y and z are 0."""
    table = np.array(rows, np.float64).reshape(-1, 3)
    position = np.pad(table[:, 1:2], ((0, 0), (0, 2)))
    return Marks(table[:, 0].astype(np.int64), position, table[:, 2])


def findings(*rows):
    """Scan, x, diameter; y and z are 0."""
    found = marks(*rows)
    return Annotations(found.scan, found.position_mm, found.probability)


def judged(made, nodules, excluded=NONE, n_scans=2):
    return judge_marks(marks(*made), findings(*nodules), findings(*excluded), n_scans)


def test_a_mark_hits_inside_the_radius_and_not_on_it():
    nodules = [(0, 0.0, 6.0)]
    assert judged([(0, 2.999, 0.5)], nodules).nodule_score.tolist() == [0.5]
    on_the_rim = judged([(0, 3.0, 0.5)], nodules)
    assert on_the_rim.nodule_score.tolist() == [-np.inf]
    assert on_the_rim.false_score.tolist() == [0.5]


def test_the_distance_is_that_in_three_dimensions():
    nodule = findings((0, 0.0, 10.0))
    for offset, hit in (((3, 3, 2), True), ((3, 3, 3), False)):
        mark = Marks(np.zeros(1, np.int64), np.array([offset], float), np.ones(1))
        result = judge_marks(mark, nodule, findings(), 1)
        assert np.isfinite(result.nodule_score[0]) == hit


def test_a_mark_in_another_scan_is_no_hit():
    result = judged([(1, 0.0, 0.5)], [(0, 0.0, 6.0)])
    assert result.nodule_score.tolist() == [-np.inf]
    assert result.false_scan.tolist() == [1]


def test_the_surest_of_several_marks_on_a_nodule_counts_and_the_others_are_ignored():
    result = judged([(0, 0.0, 0.3), (0, 1.0, 0.8), (0, -1.0, 0.5)], [(0, 0.0, 6.0)])
    assert result.nodule_score.tolist() == [0.8]
    assert len(result.false_score) == 0
    assert result.counts.repeated == 2


def test_a_mark_inside_two_nodules_finds_both():
    result = judged([(0, 2.0, 0.7)], [(0, 0.0, 6.0), (0, 4.0, 6.0)])
    assert result.nodule_score.tolist() == [0.7, 0.7]
    assert (result.counts.on_several_nodules, result.counts.repeated) == (1, 0)


def test_a_mark_on_an_excluded_finding_is_neither_right_nor_wrong():
    result = judged([(0, 50.0, 0.9)], [(0, 0.0, 6.0)], [(0, 50.0, 6.0)])
    assert len(result.false_score) == 0
    assert result.nodule_score.tolist() == [-np.inf]
    assert result.counts.on_excluded == 1


def test_a_nodule_goes_before_an_excluded_finding_at_the_same_place():
    result = judged([(0, 0.0, 0.9)], [(0, 0.0, 6.0)], [(0, 0.0, 6.0)])
    assert result.nodule_score.tolist() == [0.9]
    assert result.counts.on_excluded == 0


def test_all_other_marks_are_false_positives():
    result = judged([(0, 90.0, 0.2), (1, 90.0, 0.4)], [(0, 0.0, 6.0)])
    assert result.false_scan.tolist() == [0, 1]
    assert result.false_score.tolist() == [0.2, 0.4]
    assert result.counts.false_positives == 2


def test_only_the_surest_hundred_marks_of_a_scan_count():
    crowd = [(0, 90.0, 0.1 + k / 1000) for k in range(MAX_MARKS)]
    nodules = [(0, 0.0, 6.0), (1, 0.0, 6.0)]
    result = judged([(0, 0.0, 0.05), *crowd, (1, 0.0, 0.01)], nodules)
    assert result.counts.over_limit == 1
    assert result.nodule_score.tolist() == [-np.inf, 0.01]
    assert len(result.false_score) == MAX_MARKS


def test_repeated_marks_take_up_room_among_the_hundred():
    made = [(0, 0.0, 0.9 - k / 1000) for k in range(MAX_MARKS)] + [(0, 90.0, 0.1)]
    result = judged(made, [(0, 0.0, 6.0)])
    assert (result.counts.over_limit, result.counts.repeated) == (1, MAX_MARKS - 1)


@pytest.mark.parametrize(("tied", "kept"), [(2, 99), (101, 0)])
def test_marks_as_sure_as_the_hundred_and_first_are_all_dropped(tied, kept):
    score = np.array([1.0 + k for k in range(101 - tied)] + [0.5] * tied)
    scan = np.zeros(len(score), np.int64)
    result = within_limit(scan, score, 1)
    assert result.sum() == kept
    assert result.tolist() == (score > 0.5).tolist()


def test_what_became_of_the_marks_adds_up():
    made = [(0, 0.0, 0.9), (0, 1.0, 0.8), (0, 50.0, 0.7), (1, 9.0, 0.6)]
    result = judged(made, [(0, 0.0, 6.0)], [(0, 50.0, 6.0)])
    counts = result.counts
    found = np.isfinite(result.nodule_score).sum()
    assert counts.given == 4
    assert found + counts.repeated + counts.on_excluded + counts.false_positives == 4


def test_a_detector_that_marks_nothing_finds_nothing():
    result = judged([], [(0, 0.0, 6.0)])
    assert result.nodule_score.tolist() == [-np.inf]
    assert result.counts.given == 0


def test_precision_and_recall_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    truth = rng.random(60) < 0.4
    score = np.round(rng.random(60), 1)
    nodules = [(k % 2, 10.0 * k, 4.0) for k in np.flatnonzero(truth)]
    result = judged([(k % 2, 10.0 * k, score[k]) for k in range(60)], nodules)
    point = operating_point(result, 0.5, np.ones((1, 2), np.int64))
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, score >= 0.5, average="binary"
    )
    assert point.precision[0] == pytest.approx(precision)
    assert point.recall[0] == pytest.approx(recall)
    assert point.f1[0] == pytest.approx(f1)
    assert point.fppi[0] == (~truth & (score >= 0.5)).sum() / 2


def test_weights_count_a_scan_as_if_it_were_there_several_times():
    result = judged([(0, 0.0, 0.9), (1, 9.0, 0.9)], [(0, 0.0, 6.0), (1, 0.0, 6.0)])
    point = operating_point(result, 0.5, np.array([[3, 1]]))
    assert (point.true_positives[0], point.false_positives[0], point.nodules[0]) == (3, 1, 4)
    assert point.precision[0] == 0.75


def test_precision_without_marks_is_undefined_and_recall_is_zero():
    point = operating_point(judged([], [(0, 0.0, 6.0)]), 0.5, np.ones((1, 2), np.int64))
    assert np.isnan(point.precision[0])
    assert (point.recall[0], point.f1[0]) == (0, 0)


HEADING = "seriesuid,coordX,coordY,coordZ,probability"


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_files_are_read_whatever_the_order_of_columns_and_line_ends(tmp_path):
    scans = tmp_path / "scans.csv"
    scans.write_bytes(b"\xef\xbb\xbfseriesuid\r\n1.2.1\r\n1.2.2\r\n\r\n")
    assert read_scans(scans) == SCANS
    results = tmp_path / "results.csv"
    results.write_bytes(
        b"probability,note,coordZ,coordY,coordX,seriesuid\r\n"
        b'0.5,"a, b",3,2,1,1.2.2\r\n\r\n-7e1,,6,5,4,1.2.1\r\n'
    )
    read = read_marks(results, SCANS)
    assert read.scan.tolist() == [1, 0]
    assert read.position_mm.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert read.probability.tolist() == [0.5, -70]


def test_a_file_of_no_marks_is_a_result(tmp_path):
    assert len(read_marks(write(tmp_path / "r.csv", HEADING), SCANS).scan) == 0


def test_an_unknown_diameter_is_ten_millimetres_and_other_scans_are_passed_over(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "seriesuid,coordX,coordY,coordZ,diameter_mm",
        "9.9,0,0,0,4", "1.2.2,1,0,0,-1", "1.2.1,1,0,0,7.5",
    )  # fmt: skip
    read = read_annotations(path, SCANS)
    assert read.scan.tolist() == [1, 0]
    assert read.diameter_mm.tolist() == [10, 7.5]


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (["seriesuid,coordX,coordY,probability"], FileError, "no column coordZ"),
        ([], FileError, "no column seriesuid"),
        ([HEADING, "1.2.1,1,2,3"], FileError, r"line 2: a row is not as long.*4 columns"),
        ([HEADING, "", "1.2.1,1,2,x,0.5"], FileError, "line 3: not a number"),
        ([HEADING, "1.2.1,1,2,,0.5"], FileError, "line 2: not a number"),
        ([HEADING, "1.2.1,1,2,3,0.5", "1.2.1,1,nan,3,0.5"], DataError, "line 3: coordY is not a"),
        ([HEADING, "1.2.1,1,2,3,inf"], DataError, "line 2: probability is not a finite"),
        ([HEADING, "1.2.1,1,2,3,0.5", "9.9,1,2,3,0.5"], DataError, "line 3: .*not in the list"),
        (
            [HEADING, "1.2.1,1,2,3,0.5", "1.2.2,1,2,3,0.5", "1.2.1,1.0,2,3,0.50"],
            DataError,
            "line 4: a mark is there twice .*also in line 2, 1 such",
        ),
        ([HEADING, '1.2.1,"1,2,3,0.5'], FileError, "not a CSV file"),
    ],
)
def test_results_that_cannot_be_used_are_refused_with_file_and_line(
    tmp_path, lines, error, message
):
    path = write(tmp_path / "results.csv", *lines)
    with pytest.raises(error, match=message) as caught:
        read_marks(path, SCANS)
    assert "results.csv" in str(caught.value)
    assert "1.2.1" not in str(caught.value)


def test_two_marks_at_one_place_with_different_scores_are_two_marks(tmp_path):
    path = write(tmp_path / "r.csv", HEADING, "1.2.1,1,2,3,0.5", "1.2.1,1,2,3,0.6")
    assert len(read_marks(path, SCANS).scan) == 2


def test_a_nodule_annotated_twice_is_refused_but_an_excluded_finding_is_not(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "seriesuid,coordX,coordY,coordZ,diameter_mm", "1.2.1,1,2,3,4", "1.2.1,1,2,3,5",
    )  # fmt: skip
    with pytest.raises(DataError, match="line 3: a nodule is annotated twice"):
        read_annotations(path, SCANS)
    assert len(read_annotations(path, SCANS, unique=False).scan) == 2


@pytest.mark.parametrize(
    ("lines", "error", "message"),
    [
        (["1.2.1", "1.2.2", "1.2.1"], DataError, "line 3: a scan is listed twice.*line 1"),
        ([""], FileError, "lists no scan"),
        (["seriesuid"], FileError, "lists no scan"),
        (["1.2.1,1,2,3,4"], FileError, "one column.*5 columns"),
    ],
)
def test_a_list_of_scans_that_cannot_be_used_is_refused(tmp_path, lines, error, message):
    with pytest.raises(error, match=message):
        read_scans(write(tmp_path / "scans.csv", *lines))


def test_a_file_that_is_missing_or_no_text_is_refused(tmp_path):
    with pytest.raises(FileError, match="cannot be read: no such file"):
        read_scans(tmp_path / "absent.csv")
    with pytest.raises(FileError, match="cannot be read: is a directory"):
        read_scans(tmp_path)
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(FileError, match="not a CSV file in UTF-8"):
        read_marks(tmp_path / "image.csv", SCANS)


def test_the_official_files_are_read_in_full(medgan_data):
    folder = medgan_data / "luna16_csv"
    scans = read_scans(folder / "seriesuids.csv")
    nodules = read_annotations(folder / "annotations.csv", scans)
    excluded = read_annotations(folder / "annotations_excluded.csv", scans, unique=False)
    assert (len(scans), len(nodules.scan), len(excluded.scan)) == (888, 1186, 35192)
    assert len(np.unique(nodules.scan)) == 601
    # 30513 rows of the official file say -1.
    assert (excluded.diameter_mm == 10.0).sum() >= 30513
