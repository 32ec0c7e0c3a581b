"""``medgan export --to monai-bundle``: MONAI's own program runs it and finds it complete."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from exports import saved_model

from medgan.errors import ModelError, OutputError
from medgan.inference.bundle import load_translator, translate_folder
from medgan.inference.translator import Translator
from medgan.io import read_volume, write_volume
from medgan.models.export import to_monai_bundle
from medgan.networks.tensor_generator import tensor_generator
from medgan.phantoms.scan import scan_head

ROOT = Path(__file__).parents[1]
REQUIRED = {
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
}
"""Source: MONAI bundle specification, and its schema of 2024-07-25."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    # what MONAI would run, if it stood in a configuration
    provenance = {"name": "$__import__('os').abort()", "chosen": {"score": 3.5, "reason": "@x"}}
    return saved_model(folder / "model.safetensors", provenance=provenance, position=True)


@pytest.fixture(scope="module")
def bundle(model, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundles") / "small"
    to_monai_bundle(model, out)
    return out


def monai(bundle, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "monai.bundle", *map(str, arguments)],
        cwd=bundle,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_monai_runs_it_and_the_result_is_the_translators(bundle, model, tmp_path):
    scans = tmp_path / "scans"
    scans.mkdir()
    # not the model's grid, so that all of the preparation counts
    mr = scan_head(4, spacing_mm=(5.0, 5.5, 7.0), supersample=1).mr
    write_volume(mr, scans / "t1.nii.gz")
    out = tmp_path / "results"
    run = monai(
        bundle, "run", "--config_file", "configs/inference.json",
        "--dataset_dir", scans, "--output_dir", out,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    source = read_volume(scans / "t1.nii.gz", modality="MR")
    expected = Translator(model)(source).image
    made = read_volume(out / "t1.nii.gz", modality="CT")
    np.testing.assert_array_equal(made.array, expected.array)
    np.testing.assert_allclose(made.affine, source.affine, atol=1e-6)
    assert made.synthetic
    record = json.loads((out / "t1.nii.gz.qc.json").read_text())
    assert record["model"]["sha256"] == model.sha256
    assert expected.array.std() > 10


def test_monai_finds_the_network_as_the_metadata_say(bundle):
    from monai.bundle import verify_net_in_out

    config = bundle / "configs/inference.json"
    described = {"meta_file": str(bundle / "configs/metadata.json"), "config_file": str(config)}
    verify_net_in_out("network_def", **described)
    # the check sees a difference
    wrong = {"_meta_#network_data_format#outputs#pred#num_channels": 2}
    with pytest.raises(ValueError, match="channel number"):
        verify_net_in_out("network_def", **described, **wrong)
    metadata = json.loads((bundle / "configs/metadata.json").read_text())
    assert metadata.keys() >= REQUIRED
    formats = metadata["network_data_format"]
    assert formats["inputs"]["image"]["modality"] == "MR"
    assert formats["outputs"]["pred"]["modality"] == "CT"
    assert metadata["eval_metrics"] == {"selection score": 3.5}
    assert "Research use only" in metadata["intended_use"]


def strings(value):
    if isinstance(value, dict):
        yield from (text for item in value.values() for text in strings(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in strings(item))
    elif isinstance(value, str):
        yield value


def test_no_text_of_the_configuration_is_an_expression(bundle):
    for name in ("metadata", "inference"):
        document = json.loads((bundle / f"configs/{name}.json").read_text())
        assert not [text for text in strings(document) if text[:1] in ("$", "%")]


def test_monais_loader_gives_the_network_with_its_weights(bundle, model):
    from monai.bundle import load

    network = load(bundle.name, bundle_dir=bundle.parent, device="cpu", workflow_type="inference")
    image = torch.rand(1, 1, 16, 24) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(image), model.forward(image).image)


def test_the_folder_holds_what_a_bundle_has_and_no_more(bundle, model):
    files = {str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()}
    assert files == {
        "LICENSE", "configs/inference.json", "configs/metadata.json", "docs/README.md",
        "models/card.json", "models/model.pt",
    }  # fmt: skip
    assert "Apache-2.0" in (bundle / "LICENSE").read_text()
    readme = (bundle / "docs/README.md").read_text()
    assert model.sha256 in readme and "Research use only" in readme
    # tensors alone
    assert torch.load(bundle / "models/model.pt", weights_only=True).keys()


def test_damaged_bundles_and_failed_sources_are_typed_errors(bundle, model, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    network = tensor_generator(model.card.network.model_dump())
    (broken / "models/model.pt").write_bytes(b"no weights")
    with pytest.raises(ModelError, match="not a bundle of medgan"):
        load_translator(network, broken)
    (broken / "models/card.json").unlink()
    with pytest.raises(ModelError, match="not a bundle of medgan"):
        load_translator(network, broken)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.nii.gz").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"broken\.nii\.gz.*1 of 1 failed"):
        translate_folder(load_translator(network, bundle), tmp_path / "in", tmp_path / "out")


def test_what_is_there_is_replaced_on_request_and_foreign_folders_never(model, tmp_path):
    out = tmp_path / "bundle"
    out.mkdir()
    to_monai_bundle(model, out, "backward")
    assert (
        json.loads((out / "configs/inference.json").read_text())["network_def"]["direction"]
        == "backward"
    )
    with pytest.raises(OutputError, match=r"is there already.*--overwrite"):
        to_monai_bundle(model, out)
    to_monai_bundle(model, out, overwrite=True)
    assert '"forward"' in (out / "configs/inference.json").read_text()
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="nothing that medgan would replace"):
        to_monai_bundle(model, tmp_path / "letters", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "letters"]
    assert (tmp_path / "letters" / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("pictures", {"source": "IMAGE", "target": "IMAGE"}),
        ("nodules", {"source": "CT", "target": "CT", "spatial_dims": 3, "conditions": 2}),
    ],
)
@pytest.mark.parametrize("form", ["monai-bundle", "mlflow"])
def test_models_that_do_not_translate_volumes_are_refused(
    kind, network, form, tmp_path, medgan_cli
):
    saved_model(tmp_path / "model.safetensors", **network)
    code, _, err = medgan_cli(
        "export", tmp_path / "model.safetensors", tmp_path / "out", "--to", form
    )
    assert code == 2
    assert f"a model of {kind} cannot become" in err and "--to onnx" in err
    assert not (tmp_path / "out").exists()
