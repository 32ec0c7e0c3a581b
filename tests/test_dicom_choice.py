from pathlib import Path

import pydicom
import pytest
from dicom_tools import DERIVATION, source, synthetic, write_source

from medgan.errors import ConfigError, FileError
from medgan.io.dicom import SeriesRule, choose, index_folder
from medgan.io.dicom.errors import AmbiguousSeries, NoSeries, VariableSpacing
from medgan.io.dicom.index import SeriesEntry
from medgan.io.dicom.write import write_derived
from medgan.phantoms.dicom_cases import write_case


def entry(**changes):
    facts = {
        "study_uid": "1.2",
        "series_uid": "1.2.3",
        "part": "",
        "modality": "MR",
        "paths": (Path("a.dcm"),),
        "shape": (10, 12, 100),
        "spacing_mm": (1.0, 1.0, 1.0),
        "description": "Sag MPRAGE Marker^Name",
        "contrast": "T1",
        "problem": None,
        **changes,
    }
    return SeriesEntry(**facts)


T1 = entry()
T2 = entry(contrast="T2", description="ax t2 tse", shape=(10, 12, 24))
CT = entry(modality="CT", contrast="", description="Head", shape=(512, 512, 200))
SCOUT = entry(part="localizer", contrast="", description="loc", shape=(10, 12, 3))
ALL = [T1, T2, CT, SCOUT]


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [
        ("modality=CT", CT),
        ("modality=mr, contrast=t2", T2),
        ("modality=MR,description~mprage", T1),
        ("modality=MR,min_slices=50", T1),
        ("part~localizer", SCOUT),
        (SeriesRule(contrast="T1"), T1),
    ],
)
def test_a_rule_picks_the_one_series_that_fits(rule, chosen):
    assert choose(ALL, rule) is chosen


def test_an_ambiguous_choice_lists_its_candidates_but_no_descriptions():
    with pytest.raises(AmbiguousSeries) as caught:
        choose(ALL, None)
    text = str(caught.value)
    assert "MR T1 100 slices" in text and "MR T2 24 slices" in text and "CT 200 slices" in text
    assert "localizer" not in text
    assert "Marker" not in text and "1.2.3" not in text


def test_nothing_that_fits_is_an_error_that_lists_what_there_is():
    with pytest.raises(NoSeries, match="CT 200 slices"):
        choose(ALL, "contrast=FLAIR")
    with pytest.raises(NoSeries, match="no CT or MR series"):
        choose([], None)


def test_synthetic_series_are_told_apart_and_marked_in_the_list():
    made = entry(synthetic=True)
    assert choose([T1, made], "synthetic=no") is T1
    assert choose([T1, made], "synthetic=yes") is made
    with pytest.raises(AmbiguousSeries, match="synthetic MR T1 100 slices"):
        choose([T1, made], "modality=MR")
    with pytest.raises(NoSeries, match=r"every series that fits is synthetic.*synthetic=yes"):
        choose([made, CT], "modality=MR,synthetic=no")


@pytest.mark.parametrize(
    ("tags", "made"),
    [({}, False), ({"SyntheticData": "YES"}, True), ({"SyntheticData": "NO"}, False)],
)
def test_the_index_tells_synthetic_series_by_their_headers(tmp_path, tags, made):
    (found,) = index_folder(write_source("regular", tmp_path / "mr", **tags)).entries
    assert found.synthetic is made


def test_the_index_tells_synthetic_series_by_the_equipment_alone(tmp_path):
    series = source("regular", tmp_path / "mr")
    for path in write_derived(synthetic(series), series, tmp_path / "ct", DERIVATION):
        header = pydicom.dcmread(path)
        del header.SyntheticData
        header.save_as(path)
    assert [found.synthetic for found in index_folder(tmp_path / "ct").entries] == [True]


def test_a_localizer_alone_is_chosen():
    assert choose([SCOUT], None) is SCOUT


def test_a_series_with_a_problem_is_not_passed_over_for_another():
    broken = entry(problem=VariableSpacing("slice distances vary"))
    with pytest.raises(AmbiguousSeries, match=r"problem \(VariableSpacing\)"):
        choose([broken, T2], "modality=MR")
    assert choose([broken, CT], "modality=MR") is broken


@pytest.mark.parametrize(
    "rule",
    [
        "colour=red",
        "modality",
        "modality=",
        "min_slices=few",
        "description=x~y,nonsense",
        "synthetic=maybe",
    ],
)
def test_a_rule_that_is_not_understood_is_refused(rule):
    with pytest.raises(ConfigError):
        choose(ALL, rule)


def test_time_points_of_one_series_are_told_apart_by_part(tmp_path):
    write_case("two_time_points", tmp_path, "MR")
    entries = index_folder(tmp_path).entries
    assert choose(entries, "part~time 2").part == "time 2"


def test_a_damaged_file_beside_the_chosen_ones_is_not_passed_over(tmp_path):
    write_case("regular", tmp_path / "good")
    write_case("regular", tmp_path / "bad", "MR")
    path = tmp_path / "bad" / "a_007.dcm"
    path.write_bytes(path.read_bytes()[:420])
    entries = index_folder(tmp_path).entries
    assert choose(entries, "modality=CT").modality == "CT"
    with pytest.raises(FileError, match=r"bad/a_007\.dcm"):
        choose(entries, "modality=MR")
