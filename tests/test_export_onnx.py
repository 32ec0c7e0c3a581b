"""``medgan export --to onnx``: ONNX Runtime gives what torch gives, at sizes never seen before."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from exports import PREPARATION, saved_model

from medgan.errors import ConfigError, ModelError, OutputError
from medgan.inference.translator import Translator
from medgan.io import write_volume
from medgan.models.export import onnx_check, onnx_file, to_onnx
from medgan.models.export.onnx_check import compare
from medgan.models.export.probe import probes
from medgan.networks import Context
from medgan.networks.tensor_generator import TensorGenerator
from medgan.phantoms.scan import scan_head

DOCS = Path(__file__).parents[1] / "docs"
TOLERANCE = 1e-4

KINDS = {
    "2.5-D, two contrasts": {"neighbours": 2, "channels": (2, 1)},
    # instance norm takes a constant plane out of every feature map, batch norm does not
    "mask with position": {"generator": "mask", "norm": "batch", "position": True},
    "resnet, nothing copied": {"generator": "resnet"},
    "nodules in 3-D": {"spatial_dims": 3, "conditions": 2, "copy_input": False},
}


@pytest.fixture(scope="module", autouse=True)
def no_traces():
    """Torch describes all that it traces to whoever listens, as pytest does, which takes long."""
    trace = logging.getLogger("torch.__trace")
    trace.propagate = False
    yield
    trace.propagate = True


@pytest.fixture(scope="module")
def head():
    return scan_head(1, spacing_mm=PREPARATION.spacing_mm, supersample=1)


def session_of(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_gives_what_the_network_gives_at_sizes_of_any_multiple_of_4(kind, head, tmp_path):
    model = saved_model(tmp_path / "model.safetensors", **KINDS[kind])
    config = model.card.network
    made = to_onnx(model, tmp_path / "net.onnx", volume=head.mr)
    assert made.comparison.max_difference <= TOLERANCE
    assert len(set(made.comparison.sizes)) == 2
    session, rng = session_of(tmp_path / "net.onnx"), np.random.default_rng(0)
    for batch, size in ((1, (8, 20, 12)), (3, (36, 16, 24))):
        space = size[: config.spatial_dims]
        shapes = {
            "image": (batch, config.channels[0], *space),
            "neighbours": (batch, config.channels[0] * config.neighbours, *space),
            "depth": (batch,),
            "condition": (batch, config.conditions, *space),
        }
        wanted = {value.name for value in session.get_inputs()}
        inputs = {
            name: rng.uniform(-1, 1, shape).astype(np.float32)
            for name, shape in shapes.items()
            if name in wanted
        }
        told = {name: torch.from_numpy(array) for name, array in inputs.items()}
        with torch.no_grad():
            expected = model.forward(told.pop("image"), Context(**told))
        found = dict(
            zip((o.name for o in session.get_outputs()), session.run(None, inputs), strict=True)
        )
        np.testing.assert_allclose(found["translated"], expected.image.numpy(), atol=TOLERANCE)
        assert ("attention" in found) == config.has_attention
        if config.has_attention:
            background = expected.background.numpy()
            np.testing.assert_allclose(found["attention"], background, atol=TOLERANCE)
    # each thing that the network is told matters, so that none was left out of the file
    for name in wanted - {"image"}:
        changed = inputs | {name: -100 * inputs[name]}
        assert np.abs(session.run(None, changed)[0] - found["translated"]).max() > 1e-3, name


@pytest.fixture(scope="module")
def exported(head, tmp_path_factory):
    """A model, and its network as a file."""
    folder = tmp_path_factory.mktemp("onnx")
    model = saved_model(folder / "model.safetensors")
    to_onnx(model, folder / "mr_to_ct.onnx", volume=head.mr)
    return model, folder / "mr_to_ct.onnx"


def test_the_file_says_how_it_is_to_be_used_and_nothing_of_the_machine(exported):
    model, path = exported
    facts = session_of(path).get_modelmeta().custom_metadata_map
    assert facts["medgan.notice"].startswith("Synthetic CT. Research use only.")
    assert (facts["medgan.source"], facts["medgan.target"]) == ("MR", "CT")
    assert json.loads(facts["medgan.preparation"]) == PREPARATION.model_dump(mode="json")
    assert json.loads(facts["medgan.window_hu"]) == [-1000, 2000]
    assert facts["medgan.licence"] == "Apache-2.0"
    assert facts["medgan.model_sha256"] == model.sha256
    content = path.read_bytes()
    for trace in (b".py", b"site-packages", str(Path.home()).encode(), b"/medgan/"):
        assert trace not in content


def test_another_networks_file_is_refused_and_the_difference_named(exported, head):
    model, path = exported
    other = TensorGenerator(model.backward, attention=True)
    tried = list(probes(model.card, 1, head.mr))
    with pytest.raises(ModelError, match=r"a difference of .*allowed 0\.0003"):
        compare(path, other, tried)
    same = TensorGenerator(model.forward, attention=True)
    assert compare(path, same, tried).max_difference <= TOLERANCE


def test_a_result_that_is_not_finite_is_refused(exported, head):
    model, path = exported
    network = TensorGenerator(model.forward, attention=True)
    broken = {"image": np.full((1, 1, 8, 8), np.nan, np.float32)}
    with pytest.raises(ModelError, match="nan"):
        compare(path, network, [broken, *probes(model.card, 1, head.mr)])


def test_what_differs_by_too_much_is_not_written(tiny_run, tmp_path, monkeypatch, medgan_cli):
    monkeypatch.setattr(onnx_file, "compare", lambda *given: onnx_check.compare(*given, limit=-1.0))
    code, _, err = medgan_cli("export", tiny_run, tmp_path / "net.onnx", "--to", "onnx")
    assert code == 2
    assert "ONNX Runtime does not give what the network gives" in err
    assert list(tmp_path.iterdir()) == []


def test_the_verb_reports_the_difference_on_a_real_volume(
    tiny_run, medgan_data, tmp_path, medgan_cli
):
    scan = medgan_data / "mni_template_pair" / "ct_scct_hu_2mm.nii.gz"
    out = tmp_path / "net.onnx"
    arguments = ("export", tiny_run, out, "--to", "onnx", "--direction", "backward")
    arguments += ("--check", scan, "--json")
    code, shown, err = medgan_cli(*arguments, tmp_path / "facts.json")
    assert code == 0, err
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["compared_on"] == "a volume"
    assert 0 <= facts["max_difference"] <= TOLERANCE < facts["limit"]
    assert f"differ by {facts['max_difference']:.2g} at most" in shown
    assert facts["opset"] >= 18
    assert facts["inputs"] == {"image": ["batch", 1, "4*x", "4*y"]}
    metadata = session_of(out).get_modelmeta().custom_metadata_map
    assert (metadata["medgan.source"], metadata["medgan.target"]) == ("CT", "MR")
    code, _, err = medgan_cli(*arguments, "-")
    assert code == 2
    assert "is there already" in err and "--overwrite" in err


def test_the_snippet_of_the_documentation_gives_what_medgan_gives(exported, head, tmp_path):
    """On the model's own grid, where nothing but float rounding is in between."""
    text = (DOCS / "export.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?onnxruntime.*?)```", text, re.S)
    model, path = exported
    write_volume(head.mr, tmp_path / "t1.nii.gz")
    (tmp_path / path.name).symlink_to(path)
    code = f"{snippet}\nnp.save('hu.npy', hu)\nnp.save('affine.npy', prepared.volume.affine)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(DOCS.parent)},
    )
    assert run.returncode == 0, run.stderr
    hu, affine = np.load(tmp_path / "hu.npy"), np.load(tmp_path / "affine.npy")
    expected = Translator(model)(head.mr).image
    corner = np.rint(np.linalg.solve(expected.affine, affine[:, 3])[:3]).astype(int)
    window = tuple(slice(s, s + n) for s, n in zip(corner, hu.shape, strict=True))
    np.testing.assert_allclose(hu, expected.array[window], atol=0.2)


def test_what_cannot_be_exported_is_refused(tmp_path, monkeypatch, medgan_cli):
    model = saved_model(tmp_path / "model.safetensors")
    with pytest.raises(OutputError, match=r"no ONNX file ends like this .*allowed \.onnx"):
        to_onnx(model, tmp_path / "net.bin")
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=re.escape("pip install 'medgan[onnx]'")):
        to_onnx(model, tmp_path / "net.onnx")
    place = tmp_path / "model.safetensors"
    code, _, err = medgan_cli("export", place, tmp_path / "x", "--to", "tensorrt")
    assert code == 2 and "tensorrt" in err
    for form, option, value in (
        ("onnx", "--register", "name"),
        ("monai-bundle", "--check", "t1.nii.gz"),
        ("mlflow", "--direction", "forward"),
        ("mlflow", "--track", "sqlite:///x.db"),
    ):
        code, _, err = medgan_cli("export", place, tmp_path / "x", "--to", form, option, value)
        assert code == 2 and f"{option} would do nothing" in err.replace(" without --register", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors"]
