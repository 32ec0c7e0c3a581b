"""A training takes its scans from DICOM studies as it does from files."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from medgan.config import parse_config
from medgan.errors import ConfigError, DataError
from medgan.io import read_volume
from medgan.io.dicom.write import write_series
from medgan.recipes.scans import prepared_scans, read_pair
from medgan.recipes.training import train

CREATED = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def from_studies(tiny_document, tiny_scans, tmp_path):
    """The tiny training with every head a study of an MR and a CT series in one folder."""
    for head in (1, 2, 3, 4):
        for kind in ("mr", "ct"):
            scan = replace(read_volume(tiny_scans / f"{kind}_{head}.nii.gz"), synthetic=False)
            folder = tmp_path / "studies" / str(head) / kind
            write_series(scan, folder, created=CREATED, seed=f"{kind}{head}")

    def scan(kind, head):
        return {"path": f"studies/{head}", "series": f"modality={kind}"}

    tiny_document["data"] |= {
        "root": str(tmp_path), "source": [scan("MR", 1)], "target": [scan("CT", 2), scan("CT", 3)],
    }  # fmt: skip
    tiny_document["evaluation"] = [
        {"name": "head", "source": scan("MR", 4), "target": scan("CT", 4)}
    ]
    return tiny_document


def test_a_scan_is_prepared_from_its_series_as_from_its_file(
    from_studies, tiny_scans, tiny_document
):
    config = parse_config(from_studies)
    ((prepared,),) = prepared_scans(config, config.data.source, "MR")
    files = tiny_document["data"] | {"root": str(tiny_scans), "source": ["mr_1.nii.gz"]}
    from_file = parse_config(tiny_document | {"data": files})
    ((expected,),) = prepared_scans(from_file, from_file.data.source, "MR")
    inside = prepared.mask & expected.mask
    assert inside.sum() / expected.mask.sum() > 0.99
    # MR is stored in DICOM as integers
    np.testing.assert_allclose(prepared.scaled()[inside], expected.scaled()[inside], atol=2e-3)
    ((again,),) = prepared_scans(config, config.data.source, "MR")
    np.testing.assert_array_equal(again.volume.array, prepared.volume.array)


def test_a_training_on_studies_runs_and_its_pairs_are_read(from_studies, tmp_path):
    config = parse_config(from_studies)
    run = train(config, tmp_path / "run")
    assert run.config().data.source[0].series == "modality=MR"
    ends = read_pair(config, config.evaluation[0])
    assert (ends["MR"].modality, ends["CT"].modality) == ("MR", "CT")
    assert ends["MR"].shape == ends["CT"].shape


def test_a_folder_of_several_series_needs_a_rule_that_can_be_understood(from_studies):
    for rule, error in ((None, DataError), ("modalty=MR", ConfigError)):
        from_studies["data"]["source"][0]["series"] = rule
        config = parse_config(from_studies)
        with pytest.raises(error):
            prepared_scans(config, config.data.source, "MR")
