"""``medgan import-checkpoint``: from published files to a model that translates."""

import json

import numpy as np
import pytest
import torch
from published import attention_state, mask_state, resnet_state

from medgan.cli.main import main
from medgan.errors import ModelError
from medgan.inference.translator import Translator
from medgan.models.model_file import Model
from medgan.volumes import Volume


def exit_code(*arguments) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    return int(caught.value.code or 0)


@pytest.fixture
def files(tmp_path):
    states = (attention_state(1, seed, contents=9, maps=10, blocks=1) for seed in (1, 2))
    paths = [tmp_path / f"latest_net_G_{name}.pth" for name in "AB"]
    for path, state in zip(paths, states, strict=True):
        torch.save(state, path)
    return paths


@pytest.fixture
def preparation(tmp_path):
    path = tmp_path / "preparation.yaml"
    path.write_text(
        "preparation: {spacing_mm: [4, 4, 4], matrix: [32, 32], window_hu: [-900, 1500]}"
    )
    return path


MR_TO_CT = ("--source", "MR", "--target", "CT")
PICTURES = ("--source", "IMAGE", "--target", "IMAGE")


def test_two_files_become_a_model_that_translates_both_ways(files, preparation, tmp_path, capsys):
    run = tmp_path / "run"
    options = ("--out", run, *MR_TO_CT, "--preparation", preparation, "--json", "-")
    assert exit_code("import-checkpoint", *reversed(files), *options) == 0
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert summary["family"] == "AttentionGAN"
    assert summary["directions"] == ["forward", "backward"]
    assert "AttentionGAN, MR to CT, forward and backward; licence: CC BY-NC-SA" in err
    card = Model.load(run).card
    assert "NC" in card.licence
    assert card.preparation.window_hu == (-900, 1500)
    assert str(tmp_path) not in card.model_dump_json(), "file names may hold names of people"
    head = np.zeros((32, 32, 12), np.float32)
    head[6:26, 6:26] = 500
    scan = Volume(head, np.diag([4.0, 4.0, 4.0, 1.0]), "MR")
    result = Translator.load(run, "forward")(scan).image
    assert (result.modality, result.shape) == ("CT", scan.shape)
    weights = Model.load(run).forward.state_dict()["encoder.1.weight"]
    assert torch.equal(weights, torch.load(files[0])["conv1.weight"])


def test_one_file_makes_one_direction_and_the_other_is_refused(files, tmp_path, capsys):
    options = ("--out", tmp_path / "run", *PICTURES)
    assert exit_code("import-checkpoint", files[1], *options) == 0
    assert "backward; licence" in capsys.readouterr().out
    model = Model.load(tmp_path / "run")
    assert model.card.directions == ("backward",)
    assert model.generator("backward") is not None
    with pytest.raises(ModelError, match="one direction"):
        model.generator("forward")


def test_volumes_need_a_preparation_and_pictures_do_not(files, tmp_path, capsys):
    run = tmp_path / "run"
    assert exit_code("import-checkpoint", *files, "--out", run, *MR_TO_CT) == 2
    assert "--preparation" in capsys.readouterr().err
    empty = tmp_path / "empty.yaml"
    empty.write_text("network: {width: 8}")
    options = ("--out", run, *MR_TO_CT, "--preparation", empty)
    assert exit_code("import-checkpoint", *files, *options) == 2
    assert "preparation:" in capsys.readouterr().err
    assert not run.exists()
    assert exit_code("import-checkpoint", *files, "--out", run, *PICTURES) == 0


def test_a_licence_that_is_given_takes_the_place_of_the_codes(files, tmp_path):
    options = ("--out", tmp_path / "run", *PICTURES, "--licence", "CC BY 4.0")
    assert exit_code("import-checkpoint", *files, *options) == 0
    assert Model.load(tmp_path / "run").card.licence == "CC BY 4.0"


def test_a_folder_with_something_in_it_is_left_alone(files, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("name: x")
    assert exit_code("import-checkpoint", *files, "--out", tmp_path / "run", *PICTURES) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("state", "domains", "message"),
    [
        (mask_state(3, blocks=1), ("MR", "CT"), "CT has one channel"),
        (resnet_state(1, blocks=1), ("MR", "MR"), "between MR and CT"),
        (resnet_state(1, blocks=1), ("MR", "IMAGE"), "between MR and CT"),
        ({"weight": torch.zeros(1)}, ("IMAGE", "IMAGE"), "no generator that is known"),
    ],
)
def test_what_cannot_be_is_one_message_and_code_2(
    state, domains, message, preparation, tmp_path, capsys
):
    torch.save(state, tmp_path / "x.pth")
    source, target = domains
    options = ("--source", source, "--target", target, "--preparation", preparation)
    assert (
        exit_code("import-checkpoint", tmp_path / "x.pth", "--out", tmp_path / "r", *options) == 2
    )
    err = capsys.readouterr().err
    assert err.startswith("medgan: ") and message in err and err.count("\n") == 1
    assert not (tmp_path / "r").exists()
