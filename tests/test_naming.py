from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgan.errors import ConfigError, OutputError
from medgan.io.batch.naming import (
    FIELDS,
    IDENTIFYING,
    LONGEST,
    check_template,
    confined,
    fill,
    pseudonym,
    sanitised,
)


@given(st.text())
def test_any_value_becomes_one_part_of_a_path(value: str) -> None:
    part = sanitised(value)
    assert PurePosixPath(part).parts == (part,)
    assert not part.startswith((".", "-"))
    assert 1 <= len(part.encode()) <= LONGEST


@given(st.dictionaries(st.sampled_from([*FIELDS, *IDENTIFYING]), st.text()))
def test_no_value_leads_out_of_the_folder(values: dict[str, str]) -> None:
    template = "out/{patient_id}/{folder}/{series}{part}"
    name = fill(template, values)
    assert not name.is_absolute()
    assert ".." not in name.parts
    assert name.parts[0] == "out"
    assert confined(Path("/results"), name).is_relative_to("/results/out")


def test_a_template_is_filled_in() -> None:
    values = {"study": "a1", "series": "b2", "modality": "MR", "part": "echo 2", "folder": "x/y"}
    assert fill("{study}/{series}_{modality}{part}", values) == PurePosixPath("a1/b2_MR_echo_2")
    assert fill("{folder}/{series}", values) == PurePosixPath("x/y/b2")
    assert fill("{folder}/{series}", {**values, "folder": ""}) == PurePosixPath("b2")
    assert fill("{series}{part}", {**values, "part": ""}) == PurePosixPath("b2")
    assert fill("{series}/{patient_id}", values) == PurePosixPath("b2/unknown")


def test_letters_of_any_script_stay() -> None:
    assert sanitised("Kopf für 頭部/1") == "Kopf_für_頭部_1"


@pytest.mark.parametrize(
    "template",
    [
        "name",
        "",
        "{nobody}",
        "{series!r}",
        "{series:>99}",
        "{series.__class__}",
        "{series[0]}",
        "{}",
        "{series",
        "/tmp/{series}",
        "../{series}",
        "a/../../{series}",
    ],
)
def test_a_template_that_cannot_name_results_is_refused(template: str) -> None:
    with pytest.raises(ConfigError):
        check_template(template)


@pytest.mark.parametrize("field", [*FIELDS, *IDENTIFYING])
def test_every_field_may_be_used(field: str) -> None:
    check_template(f"scans/{{{field}}}")


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    with pytest.raises(OutputError, match="leave the output folder"):
        confined(root, PurePosixPath("link/scan.nii.gz"))
    assert confined(root, PurePosixPath("scan.nii.gz")) == root / "scan.nii.gz"


def test_a_pseudonym_depends_on_the_key_and_shows_nothing() -> None:
    plain, keyed = pseudonym("1.2.3"), pseudonym("1.2.3", b"secret")
    # Fixed, so that names stay the same from version to version.
    assert plain == "c47f5b18b8a4"
    assert len(plain) == len(keyed) == 12
    assert plain != keyed
    assert keyed == pseudonym("1.2.3", b"secret") != pseudonym("1.2.3", b"other")
