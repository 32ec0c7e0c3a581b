"""Tables and figures of evaluations: definitions apart, spread, floors, cases, models."""

import pytest
from report_pages import evaluation

from medgan.report.cases import case_sections
from medgan.report.compare import comparison_tables, side_by_side
from medgan.report.evaluation import case_table, summary_tables, worst_first
from medgan.report.plots import distribution_plot


def test_numbers_of_two_definitions_never_share_a_table():
    same = summary_tables({"a": evaluation(1.0), "b": evaluation(2.0)})
    (table,) = same
    assert table.columns == ["measure", "a", "b"]
    assert table.rows[:2] == [["cases (n)", 1, 1], ["mae [HU]", 1.0, 2.0]]
    apart = summary_tables({"a": evaluation(1.0), "b": evaluation(2.0, "body mask")})
    assert len(apart) == 2
    assert "mask: body mask" in apart[1].caption


def test_means_of_several_cases_come_with_their_spread_and_interval():
    document = evaluation(1.0)
    document["cases"] = document["cases"] * 7
    document["aggregates"] = {
        "mae": {"mean": 61.23456, "std": 4.5678, "count": 7},
        "ssim": {"mean": 0.912345, "std": 0.00004, "count": 5},
        "psnr": {"mean": "inf", "std": None, "count": 7},
    }
    found = {"confidence": 0.95, "method": "some method", "missing": None}
    document["intervals"] = {
        "mae": {"low": 57.0063, "high": 65.4628, **found},
        "ssim": {"low": None, "high": None, **found, "missing": "fewer than 6 cases"},
    }
    (table,) = summary_tables({"result": document})
    # PSNR before SSIM, as the protocol has it.
    assert table.rows == [
        ["cases (n)", 7],
        ["mae [HU]", "61.23 ± 4.57\n[57.01, 65.46]"],
        ["psnr [dB]", "inf"],
        ["ssim", "0.9123 ± 0.0000\nn = 5"],
    ]
    assert "standard deviation" in table.caption
    assert "[95% confidence interval of the mean, some method]" in table.caption
    del document["intervals"]["mae"]
    (table,) = summary_tables({"result": document})
    assert "no confidence intervals: fewer than 6 cases" in table.caption


def test_floors_stand_beside_what_must_beat_them():
    (table,) = summary_tables({"result": evaluation(1.0, floors=("constant", "lookup_table"))})
    assert table.columns == [
        "measure", "result", "floor: best constant", "floor: best intensity look-up table",
    ]  # fmt: skip


def test_case_names_are_only_shown_when_asked_for():
    assert case_table(evaluation(1.0)).rows[0][0] == "DOE"
    assert case_table(evaluation(1.0), names=False).rows[0][0] == 1


def several(*errors):
    """An evaluation of several cases; None where the error is undefined."""
    document = evaluation(1.0)
    (case,) = document["cases"]
    document["cases"] = [{**case, "case": f"c{i}", "mae": mae} for i, mae in enumerate(errors)]
    return document


def test_the_worst_case_comes_first_and_an_undefined_one_last():
    document = several(5.0, None, 9.0, 7.0)
    assert worst_first(document) == [2, 3, 0, 1]
    rows = case_table(document, names=False, worst_by="mae").rows
    assert [row[:2] for row in rows] == [[3, 9.0], [4, 7.0], [1, 5.0], [2, None]]
    assert "largest mae first" in case_table(document, worst_by="mae").caption


def test_every_case_is_drawn_and_infinity_is_not():
    document = several(5.0, None, 9.0)
    assert distribution_plot({"a": document, "b": document}, document, ["mae", "psnr", "absent"])
    (section,) = case_sections(document)
    assert section.figures[0].png.startswith(b"\x89PNG")
    assert section.figures[0].plot


def test_the_spread_shows_the_other_model_beside_the_floors():
    document = {**several(5.0, 9.0), "floors": {"constant": several(50.0, 90.0)}}
    document["floors"]["constant"]["aggregates"]["mae"]["mean"] = 70.0
    other = several(6.0, 7.0)
    other["aggregates"]["mae"]["mean"] = 6.5
    figure = case_sections(document, name="mine", others={"theirs": other})[0].figures[0]
    for text in ("mine: mean", "theirs: mean mae [HU] 6.500", "best constant: mean mae [HU] 70.00"):
        assert text in figure.alt


def test_two_models_are_compared_case_by_case():
    first, second = several(1.0, 2.0, 3.0, 4.0, 5.0, 6.0), several(2.0, 4.0, 4.0, 6.0, 6.0, 5.0)
    (table,) = comparison_tables({"one": first, "two": second})
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["measure"] == "mae (lower is better)"
    assert row["mean difference"] == pytest.approx(-1.0)
    assert (row["one better"], row["two better"], row["cases (n)"]) == (5, 1, 6)
    (beside,) = side_by_side({"one": first, "two": second})
    assert beside.columns == ["case", "one", "two"]
    assert beside.rows[0] == [4, 4.0, 6.0]


def test_what_measured_other_cases_is_not_compared():
    documents = {"one": several(1.0, 2.0), "two": several(1.0, 2.0, 3.0)}
    assert comparison_tables(documents) == side_by_side(documents) == []
    documents["two"] = {**several(1.0, 2.0), "mask_rule": "another"}
    assert comparison_tables(documents) == side_by_side(documents) == []
