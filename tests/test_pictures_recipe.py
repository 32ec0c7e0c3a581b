"""From folders of pictures to FID and KID, both ways, with one command."""

import hashlib
import json
import logging
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from stand_ins import SIDE, TEST, write_stand_ins
from torch import Tensor, nn

from medgan.config import load_config, parse_config
from medgan.errors import ConfigError, DataError, FileError, ModelError, TrainingError
from medgan.inference.pictures import PictureTranslator
from medgan.io.pictures import read_picture
from medgan.metrics.features import torchscript_extractor
from medgan.metrics.set_comparison import compare_features
from medgan.metrics.set_variants import attentiongan_distances
from medgan.models.model_file import Model
from medgan.recipes import picture_script, pictures
from medgan.recipes.picture_material import picture_material

ROOT = Path(__file__).parents[1]
TINY = {
    "network": {"channels": 3, "width": 4, "blocks": 1, "contents": 2, "discriminator_width": 4},
    "training": {
        "steps": 4, "batch": 2, "pool": 3, "log_every": 1, "validate_every": 2,
        "checkpoint_every": 2, "decay_from": 1.0,
    },
    "tracking": {"enabled": False},
}  # fmt: skip


class Grid(nn.Module):
    """Twelve features: the mean colours of the quarters of a picture."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).reshape(len(x), 12)


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    path = tmp_path_factory.mktemp("network") / "grid.pt"
    torch.jit.save(torch.jit.script(Grid()), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """trainA, trainB, testA and testB: plain and striped, PNG and JPEG."""
    return write_stand_ins(tmp_path_factory.mktemp("plain2striped"))


def document(folder, **changes):
    images = {"root": str(folder), "load_size": 36}
    whole = {
        "name": "tiny", "source": "IMAGE", "target": "IMAGE", "data": {"images": images},
        "preparation": {"matrix": [SIDE, SIDE]}, **TINY,
    }  # fmt: skip
    return whole | changes


@pytest.fixture(scope="module")
def finished(folder, network, tmp_path_factory):
    """A run folder with everything in it, its configuration and what was measured."""
    out = tmp_path_factory.mktemp("run") / "run"
    config = parse_config(document(folder))
    return out, config, pictures.run(config, out, features=str(network))


def pixels(path):
    with Image.open(path) as image:
        return np.moveaxis(np.asarray(image), -1, 0)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_command_goes_from_folders_to_distances(folder, network, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    overrides = [
        f"{section}.{key}={value}" for section, keys in TINY.items() for key, value in keys.items()
    ]
    size = [f"preparation.matrix=[{SIDE}, {SIDE}]", "data.images.load_size=36"]
    arguments = ["horse2zebra.py", folder, "--out", out, "--features", network, *overrides, *size]
    monkeypatch.setattr("sys.argv", list(map(str, arguments)))
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "pipelines" / "horse2zebra.py"), run_name="__main__")
    shown, errors = capsys.readouterr()
    assert stopped.value.code == 0, errors
    assert shown.count("KID (grid.pt)") == 2
    assert shown.count("KID x 100 as attentiongan2019 (grid.pt)") == 2
    assert f"Report: {out}/report.html" in shown

    found = json.loads((out / "distances.json").read_text())
    extractor = torchscript_extractor(network)
    for way, (source, target) in {"forward": "AB", "backward": "BA"}.items():
        made = sorted((out / "translations" / way).iterdir())
        assert [path.stem for path in made] == [f"{source}{index:02}" for index in range(TEST)]
        real = sorted((folder / f"test{target}").iterdir())
        features = [
            extractor.extract([np.moveaxis(read_picture(path, 3, (SIDE, SIDE)), 0, -1)])[0]
            for path in (*real, *made)
        ]
        reals, fakes = np.array(features[:TEST]), np.array(features[TEST:])
        expected = compare_features(reals, fakes, seed=0)
        assert found[way]["n_compared"] == TEST // 2
        assert found[way]["fid"] == pytest.approx(expected.distances.fid, rel=1e-3)
        assert found[way]["kid"] == pytest.approx(expected.distances.kid, rel=1e-3)
        assert found[way]["floor_kid"] == pytest.approx(expected.floor.kid, rel=1e-3, abs=1e-6)
        published = attentiongan_distances(reals, fakes, seed=0)
        assert found[way]["kid_attentiongan2019"] == pytest.approx(published.kid, rel=1e-3)
        assert found[way]["kid_variant"]["largest_block"] == 10
    page = (out / "report.html").read_text()
    assert "A to B" in page
    assert "B to A" in page
    assert str(folder) not in page
    warnings = [warning for way in found.values() for warning in way["warnings"]]
    for word in ("patient", "people"):
        assert not any(word in text.lower() for text in (page, shown, *warnings))


def test_results_are_what_the_network_makes_rounded_and_marked(finished, folder):
    out, _, _ = finished
    model = Model.load(out)
    assert model.card.source == model.card.target == "IMAGE"
    for way, source in (("forward", "A"), ("backward", "B")):
        network = model.generator(way)
        for path in sorted((folder / f"test{source}").iterdir())[:3]:
            given = read_picture(path, 3, (SIDE, SIDE)) * 2 - 1
            with torch.no_grad():
                made = network(torch.from_numpy(given)[None]).image[0].numpy()
            result = out / "translations" / way / f"{path.stem}.png"
            assert np.abs(pixels(result) - (made + 1) * 127.5).max() < 0.501
            with Image.open(result) as image:
                assert image.text["Synthetic"] == "YES"


def test_the_run_folder_holds_previews_and_no_best_model(finished):
    out = finished[0]
    assert [path.name for path in sorted((out / "previews").iterdir())] == [
        "step_0000002.png", "step_0000004.png",
    ]  # fmt: skip
    records = [json.loads(line) for line in (out / "metrics.jsonl").open()]
    scores = [record for record in records if "validation_cycle_l1_A" in record]
    assert [record["validation_score"] for record in scores] == [None, None]
    assert not list((out / "checkpoints" / "best").iterdir())
    assert Model.load(out).card.provenance["pictures"] == [10, 10]


def test_the_same_seed_gives_the_same_run_and_the_same_distances(finished, network, tmp_path):
    out, config, measured = finished
    again = pictures.run(config, tmp_path / "again", features=str(network))
    assert again == measured
    for name in ("metrics.jsonl", "distances.json", "translations/backward/B03.png"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_an_interrupted_run_ends_like_an_uninterrupted_one(finished, network, tmp_path):
    out, config, _ = finished

    def interrupt(step, losses):
        if step == 3:
            raise KeyboardInterrupt

    broken = tmp_path / "broken"
    with pytest.raises(KeyboardInterrupt):
        pictures.run(config, broken, features=str(network), on_step=interrupt)
    assert not (broken / "distances.json").exists()
    pictures.run(config, broken, features=str(network))
    for name in ("checkpoints/last/state.safetensors", "metrics.jsonl", "distances.json"):
        assert digest(broken / name) == digest(out / name), name


def test_a_finished_run_is_measured_again_without_results_of_other_pictures(
    finished, network, tmp_path
):
    out, config, measured = finished
    state = (out / "checkpoints/last/state.safetensors").stat().st_mtime_ns
    (out / "translations" / "forward" / "stale.png").write_bytes(b"of a picture that is gone")
    assert pictures.run(config, out, features=str(network)) == measured
    assert (out / "checkpoints/last/state.safetensors").stat().st_mtime_ns == state
    assert not (out / "translations" / "forward" / "stale.png").exists()


def test_a_folder_of_another_training_is_refused(finished, folder, network):
    out, _, _ = finished
    other = parse_config(document(folder, losses={"identity": 0.25}))
    with pytest.raises(TrainingError, match="other losses"):
        pictures.run(other, out, features=str(network))


def test_what_cannot_be_measured_is_refused_before_training(folder, network, tmp_path):
    config = parse_config(document(folder))
    with pytest.raises(ConfigError, match="unknown features"):
        pictures.run(config, tmp_path / "run", features="colours")
    few = tmp_path / "few"
    for part in ("trainA", "trainB", "testA", "testB"):
        (few / part).mkdir(parents=True)
        for path in sorted((folder / part).iterdir())[:19]:
            (few / part / path.name).write_bytes(path.read_bytes())
    config = parse_config(document(few))
    with pytest.raises(DataError, match=r"testA: too few.*measured 19, allowed at least 20"):
        pictures.run(config, tmp_path / "run", features=str(network))
    assert not (tmp_path / "run").exists()


def test_a_damaged_picture_and_a_missing_folder_are_named(folder, tmp_path):
    config = parse_config(document(tmp_path))
    with pytest.raises(FileError, match=r"trainA: no such folder"):
        picture_material(config)
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / part).mkdir()
        (tmp_path / part / "1.png").write_bytes((folder / "trainA" / "A01.png").read_bytes())
    (tmp_path / "testB" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\nand nothing more")
    with pytest.raises(FileError, match=r"testB/1\.png: the picture is damaged"):
        picture_material(config)


def test_test_pictures_that_are_trained_on_are_counted(folder, tmp_path, caplog):
    for part in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / part).mkdir()
        for path in sorted((folder / part).iterdir())[:4]:
            (tmp_path / part / path.name).write_bytes(path.read_bytes())
    (tmp_path / "testA" / "again.png").write_bytes((tmp_path / "trainA" / "A01.png").read_bytes())
    config = parse_config(document(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert picture_material(config).provenance["test_pictures_trained_on"] == 1
    assert "1 of the test pictures" in caplog.text


def test_grey_pictures_become_colours(folder, tmp_path, medgan_cli):
    network = TINY["network"] | {"channels": [1, 3]}
    path = tmp_path / "grey.yaml"
    path.write_text(yaml.safe_dump(document(folder, network=network)))
    code, _, errors = medgan_cli("train", path, "--out", tmp_path / "run")
    assert code == 0, errors
    one = sorted((folder / "testA").iterdir())[0]
    assert PictureTranslator.load(tmp_path / "run")(one).image.shape == (3, SIDE, SIDE)
    assert PictureTranslator.load(tmp_path / "run", "backward")(one).image.shape[0] == 1


def test_a_folder_of_pictures_is_translated_and_skipped_the_second_time(
    finished, folder, tmp_path, medgan_cli
):
    run, out = finished[0], tmp_path / "out"
    arguments = ("translate", run, folder / "testB", out, "--direction", "backward", "--json", "-")
    code, shown, errors = medgan_cli(*arguments, "--save-attention")
    assert code == 0, errors
    rows = json.loads(shown)["files"]
    assert [row["status"] for row in rows] == ["translated"] * TEST
    assert rows[0]["source"] == "B00.jpg"
    np.testing.assert_array_equal(
        pixels(out / "B00.png"), pixels(run / "translations" / "backward" / "B00.png")
    )
    expected = PictureTranslator.load(run, "backward")(folder / "testB" / "B00.jpg").attention
    with Image.open(out / "B00_attention.png") as image:
        assert np.abs(np.asarray(image) / 255 - expected[0]).max() < 0.501 / 255
    code, shown, _ = medgan_cli(*arguments)
    assert {row["status"] for row in json.loads(shown)["files"]} == {"skipped"}


def test_a_damaged_picture_in_a_folder_fails_alone(finished, folder, tmp_path, medgan_cli):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"not a picture")
    (tmp_path / "in" / "b.jpg").write_bytes((folder / "testA" / "A00.jpg").read_bytes())
    code, _, errors = medgan_cli("translate", finished[0], tmp_path / "in", tmp_path / "out")
    assert code == 1
    assert "medgan: a.png: the picture is damaged" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{in}", "{in}"], "would replace a source"),
        (["{in}", "{in}/a.png"], "is a file"),
        (["{in}/a.png", "{in}/x.jpg"], "no format ends like this"),
        (["{twins}", "{out}"], "a.jpg and a.png would become the same file"),
        (["{in}", "{out}", "--to", "nifti"], "no use for one of these options"),
        (["{empty}", "{out}"], "no picture in this folder"),
    ],
)
def test_a_result_without_a_place_is_refused(
    finished, folder, tmp_path, medgan_cli, arguments, message
):
    places = {name: tmp_path / name for name in ("in", "twins", "empty", "out")}
    for name in ("in", "twins", "empty"):
        places[name].mkdir()
    for path in (places["in"] / "a.png", places["twins"] / "a.png", places["twins"] / "a.jpg"):
        path.write_bytes((folder / "trainA" / "A01.png").read_bytes())
    code, _, errors = medgan_cli("translate", finished[0], *(a.format(**places) for a in arguments))
    assert code == 2
    assert message in errors
    assert not places["out"].exists()


def test_a_model_of_scans_is_refused(tiny_run):
    with pytest.raises(ModelError, match="a model of scans"):
        PictureTranslator.load(tiny_run)


@pytest.mark.parametrize("name", ["horse2zebra", "apple2orange"])
def test_the_configurations_hold_the_published_training(name):
    path = ROOT / "configs" / f"{name}.yaml"
    config = load_config(path)
    assert config.name == name
    network, training, losses = config.network, config.training, config.losses
    assert (network.width, network.blocks, network.contents) == (64, 9, 9)
    assert (losses.adversarial, losses.cycle, losses.identity) == (1, 10, 5)
    assert (training.batch, training.learning_rate, training.pool) == (4, 2e-4, 50)
    assert (training.decay_from, training.average_decay, training.warmup_steps) == (1, 0, 0)
    assert (config.data.images.load_size, config.preparation.matrix) == (286, (256, 256))
    text = path.read_text(encoding="utf-8")
    largest = max(map(int, text.partition("max(")[2].partition(")")[0].split(",")))
    assert training.steps == 60 * largest // 4


def test_the_script_ends_with_one_message_and_code_two(tmp_path, capsys):
    config = ROOT / "configs" / "horse2zebra.yaml"
    absent = tmp_path / 'a "quoted": folder'
    assert picture_script.main("Translate.", config, [str(absent), "training.steps=1"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith(f"medgan: {absent}/testA: no such folder")


def test_the_script_explains_itself(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["horse2zebra.py", "--help"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / "pipelines" / "horse2zebra.py"), run_name="__main__")
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert "python pipelines/horse2zebra.py datasets/horse2zebra" in shown
    assert "efficientnet-lite0 by default" in " ".join(shown.split())
