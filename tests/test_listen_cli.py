"""The command and its configuration: what is wrong is said before anything starts."""

import sys

import pytest
import yaml
from listening import PEERS, settings, write_model
from ports import free_port
from test_configs import NODE, keys

from medgan.config import load_as
from medgan.models import registry
from medgan.node.config import FetchConfig, ListenConfig
from medgan.node.node import load


@pytest.fixture
def config(tmp_path):
    document = settings(
        write_model(tmp_path),
        tmp_path,
        free_port(),
        receive={"port": free_port(), "peers": PEERS},
        send={"store": {"ae_title": "PACS", "address": "127.0.0.1", "port": free_port()}},
    )

    def write(**changes):
        path = tmp_path / "listen.yaml"
        path.write_text(yaml.safe_dump(document | changes))
        return path

    return write


def test_the_example_names_and_explains_every_key():
    text = NODE.read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    effective = load_as(ListenConfig, NODE).model_dump(mode="json")
    assert set(keys(document)) == set(keys(effective))
    for name in FetchConfig.model_fields:
        assert f"#   {name}: " in text
    for line in text.splitlines():
        assert ":" not in line or "#" in line, f"no explanation: {line}"


def test_the_model_may_be_one_of_a_registry(config, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        registry, "fetch", lambda uri: asked.append(uri) or tmp_path / "model.safetensors"
    )
    settings = load_as(ListenConfig, config(model="models:/heads@champion"))
    assert load(settings).model.card.provenance["name"] == "untrained"
    assert asked == ["models:/heads@champion"]


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"models": "x"}, "models: unknown key"),
        ({"receive": None}, "nothing would come in"),
        ({"send": {}}, "results would go nowhere"),
        ({"series": "slices=3"}, "not understood"),
        ({"ae_title": "LONGER THAN SIXTEEN"}, "ae_title"),
        ({"receive": {"peers": []}}, "receive.peers"),
        ({"receive": {"peers": [{"ae_title": "A", "address": "nowhere"}]}}, "address"),
        ({"fetch": {"url": "ftp://x"}}, "must be http"),
        ({"fetch": {"url": "http://x", "user": "me"}}, "go together"),
    ],
)
def test_a_wrong_configuration_is_one_message(config, medgan_cli, changes, fault):
    code, _, err = medgan_cli("listen", config(**changes))
    assert (code, err.count("\n")) == (2, 1)
    assert fault in err


def test_a_check_tries_everything_and_starts_nothing(config, medgan_cli, tmp_path):
    code, out, err = medgan_cli("listen", config(), "--check")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["ok", "ok", "ok", "ok", "fail"]
    assert "cannot be reached" in err
    assert [path for path in (tmp_path / "queue").rglob("*") if path.is_file()] == []


def test_a_check_goes_on_without_a_model(config, medgan_cli, tmp_path):
    code, out, err = medgan_cli("listen", config(model=str(tmp_path / "absent")), "--check")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["fail", "ok", "ok", "ok", "fail"]
    assert "absent" in err


def test_without_the_extra_its_name_is_said(config, medgan_cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    code, _, err = medgan_cli("listen", config())
    assert code == 2
    assert "medgan[dicom-net]" in err
