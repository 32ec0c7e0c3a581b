"""Summaries of cases agree with pandas; documents are valid JSON."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from medgan.metrics.aggregates import aggregate, counted, jsonable


def test_summary_equals_pandas_describe():
    rng = np.random.default_rng(0)
    cases = [{"mae": float(rng.normal()), "psnr": float(rng.gamma(2))} for _ in range(7)]
    found = aggregate(cases)
    described = pd.DataFrame(cases).describe()
    for measure in ("mae", "psnr"):
        for ours, theirs in (
            ("mean", "mean"), ("std", "std"), ("min", "min"), ("25pc", "25%"),
            ("50pc", "50%"), ("75pc", "75%"), ("max", "max"), ("count", "count"),
        ):  # fmt: skip
            assert found[measure][ours] == pytest.approx(described[measure][theirs], rel=1e-12)


def test_undefined_cases_are_left_out_and_the_count_says_so():
    found = aggregate([{"mae_bone": 3.0}, {"mae_bone": math.nan}, {"mae_bone": 5.0}])["mae_bone"]
    assert (found["mean"], found["count"]) == (4.0, 2)


def test_one_case_has_no_standard_deviation():
    found = aggregate([{"mae": 2.0}])["mae"]
    assert math.isnan(found["std"])
    assert found["25pc"] == found["max"] == 2.0


def test_a_measure_defined_nowhere_is_counted_zero_times():
    found = aggregate([{"bone_dice": math.nan}])["bone_dice"]
    assert found["count"] == 0
    assert math.isnan(found["mean"])


def test_identical_images_keep_infinite_quartiles():
    found = aggregate([{"psnr": math.inf}, {"psnr": math.inf}, {"psnr": 30.0}])["psnr"]
    assert (found["min"], found["50pc"], found["75pc"]) == (30.0, math.inf, math.inf)
    assert found["25pc"] == math.inf
    assert math.isnan(found["std"])


def test_one_is_singular_and_everything_else_plural():
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]


def test_documents_hold_only_valid_json_numbers():
    document = {"a": math.nan, "b": [math.inf, (-math.inf, 1)], "c": {"d": 1.5, "e": None}}
    text = json.dumps(jsonable(document), allow_nan=False)
    assert json.loads(text) == {"a": None, "b": ["inf", ["-inf", 1]], "c": {"d": 1.5, "e": None}}
    assert float(json.loads(text)["b"][0]) == math.inf
