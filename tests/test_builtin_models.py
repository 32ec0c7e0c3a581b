"""Models that come with medgan: found by name, made of a run in one way, and worth shipping."""

import json
from pathlib import Path

import pytest
from exports import saved_model

from medgan.errors import ConfigError, ModelError
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.metrics.floors import floors
from medgan.metrics.pairs import EvaluationMask, evaluate_pair
from medgan.models import catalogue, shipping
from medgan.models.model_file import Model, find_model
from medgan.models.shipping import read_terms, ship
from medgan.phantoms.scan import scan_head
from medgan.volumes.masks import body_mask

FIGURES_MISSING = "<!-- FIGURES -->"
"""Stands in a model card until its model is measured."""

HEAD = """\
---
licence: CC-BY-4.0
directions: [forward]
data:
  - {what: heads, source: example.org, licence: CC-BY-4.0}
---

# small-head
"""


@pytest.fixture
def card(tmp_path, monkeypatch) -> Path:
    """A model card in a folder of built-in models of the test's own."""
    folder = tmp_path / "builtin"
    folder.mkdir()
    monkeypatch.setattr(catalogue, "FOLDER", folder)
    (folder / "small-head.md").write_text(HEAD)
    return folder / "small-head.md"


@pytest.fixture
def trained(tmp_path) -> Path:
    """The model file of a training called small_head."""
    provenance = {"name": "small_head", "steps": 3}
    saved_model(tmp_path / "model.safetensors", provenance=provenance)
    return tmp_path / "model.safetensors"


def test_a_shipped_model_translates_by_its_name_as_the_run_does(
    card, trained, tmp_path, medgan_cli, monkeypatch
):
    ship(trained, card)
    scan = scan_head(3, spacing_mm=(6.0, 6.0, 6.0), supersample=1).mr
    write_volume(scan, tmp_path / "t1.nii.gz")
    monkeypatch.chdir(tmp_path)
    for model, out in (("small-head", "named.nii.gz"), (trained, "trained.nii.gz")):
        code, _, err = medgan_cli("translate", model, "t1.nii.gz", out)
        assert code == 0, err
    named, expected = (read_volume(tmp_path / f"{name}.nii.gz") for name in ("named", "trained"))
    assert (named.array == expected.array).all()
    record = json.loads((tmp_path / "named.nii.gz.qc.json").read_text())
    assert record["model"]["licence"] == "CC-BY-4.0"


def test_the_terms_of_the_card_travel_in_the_file_and_the_bytes_are_the_same_again(card, trained):
    path = ship(trained, card)
    first = path.read_bytes()
    shipped, original = Model.load("small-head").card, Model.load(trained).card
    assert shipped.licence == "CC-BY-4.0"
    assert shipped.directions == ("forward",)
    assert shipped.provenance == original.provenance | {
        "data": [{"what": "heads", "source": "example.org", "licence": "CC-BY-4.0"}]
    }
    same = {"licence", "directions", "provenance"}
    assert shipped.model_dump(exclude=same) == original.model_dump(exclude=same)
    assert ship(trained, card) == path
    assert path.read_bytes() == first


def test_a_file_or_folder_of_the_same_name_goes_before(card, trained, tmp_path, monkeypatch):
    ship(trained, card)
    monkeypatch.chdir(tmp_path)
    assert find_model("small-head").parent == card.parent
    own = tmp_path / "small-head" / "checkpoints" / "last" / "model.safetensors"
    own.parent.mkdir(parents=True)
    saved_model(own)
    assert find_model("small-head").resolve() == own


def test_an_unknown_name_is_told_which_there_are(card, trained, medgan_cli, tmp_path):
    with pytest.raises(ModelError, match=r"no built-in model of this name.*\(none\)"):
        find_model("small-heat")
    ship(trained, card)
    with pytest.raises(ModelError, match=r"small-heat: .*built-in model \(small-head\)"):
        find_model("small-heat")
    code, _, err = medgan_cli("translate", "small-heat", tmp_path, tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "(small-head)" in err


@pytest.mark.parametrize("name", ["../model", "small-head.md", "", "*"])
def test_no_name_leads_out_of_the_folder(card, trained, name, tmp_path, monkeypatch):
    ship(trained, card)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert catalogue.builtin_file(name) is None


def test_info_lists_the_models_with_size_and_licence(card, trained, medgan_cli):
    code, text, _ = medgan_cli("info")
    assert code == 0
    assert (
        next(line for line in text.splitlines() if line.startswith("models")).split()[1] == "none"
    )
    path = ship(trained, card)
    _, text, _ = medgan_cli("info")
    assert "small-head: MR to CT, forward, 0." in text
    assert "licence CC-BY-4.0" in text
    _, text, _ = medgan_cli("info", "--json", "-")
    (found,) = json.loads(text)["models"]
    assert found["size_bytes"] == path.stat().st_size
    assert (found["name"], found["path"]) == ("small-head", str(path))


def test_a_damaged_model_is_named(card, medgan_cli):
    card.with_suffix(".safetensors").write_bytes(b"no tensors")
    code, _, err = medgan_cli("info")
    assert code == 2
    assert "small-head.safetensors" in err
    assert "Install medgan again" in err


@pytest.mark.parametrize(
    "text",
    ["# no head", HEAD.replace("licence: CC-BY-4.0\n", ""), HEAD + "---", HEAD.replace("{", "")],
)
def test_a_card_says_licence_directions_and_data(card, text):
    card.write_text(text)
    if text.endswith("---"):
        assert read_terms(card).licence == "CC-BY-4.0"
        return
    with pytest.raises(ConfigError, match=r"small-head\.md: the head of the model card"):
        read_terms(card)


def test_what_must_not_be_shipped_is_refused(card, trained, tmp_path, monkeypatch):
    other = tmp_path / "other.safetensors"
    saved_model(other, provenance={"name": "another"})
    with pytest.raises(ModelError, match=r"of another training \(measured another, allowed small"):
        ship(other, card)
    monkeypatch.setattr(shipping, "LIMIT_BYTES", 1000)
    with pytest.raises(ModelError, match="too large to come with medgan"):
        ship(trained, card)
    assert not card.with_suffix(".safetensors").exists()


CARDS = sorted(catalogue.FOLDER.glob("*.md"))


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_every_model_card_names_its_data_and_their_licences(path):
    terms = read_terms(path)
    assert terms.licence == "Apache-2.0"
    assert not [entry for entry in terms.data if "GPL" in entry.licence]
    config = Path(__file__).parents[1] / "configs" / f"{path.stem.replace('-', '_')}.yaml"
    assert f"configs/{config.name}" in path.read_text()
    assert config.exists()


@pytest.mark.parametrize("name", catalogue.builtin_names())
def test_a_model_that_is_shipped_is_small_documented_and_measured(name):
    path = catalogue.FOLDER / f"{name}.safetensors"
    card = path.with_suffix(".md")
    assert path.stat().st_size < shipping.LIMIT_BYTES
    terms, shipped = read_terms(card), Model.load(name).card
    assert (shipped.licence, shipped.directions) == (terms.licence, terms.directions)
    assert shipped.provenance["data"] == [entry.model_dump() for entry in terms.data]
    assert FIGURES_MISSING not in card.read_text()


@pytest.mark.parametrize("name", catalogue.builtin_names())
def test_a_model_that_is_shipped_beats_a_constant_on_a_head_it_has_not_seen(name):
    head = scan_head(990, spacing_mm=(4.0, 4.0, 4.0), supersample=1)
    mask = EvaluationMask(body_mask(head.mr) & body_mask(head.ct), "both")
    made = Translator.load(name)(head.mr).image
    result = evaluate_pair(made, head.ct, mask=mask, protocol="synthrad2023").values
    assert result["bone_dice"] > 0.4
    floor = floors(head.mr, head.ct, mask, "synthrad2023")["constant"].values
    assert result["correlation"] > 0.5
    assert result["mae_bone"] < floor["mae_bone"]
