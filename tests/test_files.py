import errno
import json
import os
import stat

import pytest

from medgan.errors import DataError, OutputError
from medgan.io.files import require_writable, write_json, write_text, writing


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_the_file_appears_only_when_complete(tmp_path):
    target = tmp_path / "1.2.840.nii.gz"
    target.write_text("old")
    with writing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
        assert temporary.name.endswith(".2.840.nii.gz")
        assert temporary.parent == tmp_path
    assert target.read_text() == "new"
    assert names(tmp_path) == [target.name]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    target = tmp_path / "a.json"
    target.write_text("old")
    with pytest.raises(failure), writing(target) as temporary:
        temporary.write_text("half")
        raise failure
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.json"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_what_the_system_refuses_is_the_users_to_mend(tmp_path, code):
    with pytest.raises(OutputError) as caught, writing(tmp_path / "a.txt"):
        raise OSError(code, os.strerror(code))
    assert caught.value.remedy
    assert names(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(OutputError, match="Create the folder"):
        write_text(tmp_path / "none" / "a.txt", "x")
    with pytest.raises(OutputError, match=r"parent is a folder|Create the folder"):
        (tmp_path / "file").write_text("")
        write_text(tmp_path / "file" / "a.txt", "x")


def test_a_pipe_is_written_into_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    require_writable(pipe)
    write_json(pipe, {"mae": 1})
    assert json.loads(os.read(reader, 1000)) == {"mae": 1}
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_folder_is_not_replaced_by_a_file(tmp_path):
    (tmp_path / "results").mkdir()
    with pytest.raises(OutputError, match="folder"):
        write_text(tmp_path / "results", "x")
    assert names(tmp_path) == ["results"]


def test_other_faults_are_not_disguised(tmp_path):
    with pytest.raises(OSError, match="odd"), writing(tmp_path / "a.txt"):
        raise OSError(errno.EIO, "odd")


def test_json_keeps_order_and_refuses_nan(tmp_path):
    target = tmp_path / "m.json"
    write_json(target, {"b": 1, "a": [0.1, "µ"]})
    assert list(json.loads(target.read_text(encoding="utf-8"))) == ["b", "a"]
    with pytest.raises(DataError, match="finite"):
        write_json(target, {"mae": float("nan")})
    assert json.loads(target.read_text(encoding="utf-8"))["b"] == 1


def test_a_target_is_tried_without_touching_anything(tmp_path):
    kept = tmp_path / "kept.json"
    kept.write_text("old")
    require_writable(kept)
    require_writable(tmp_path / "new.json")
    assert names(tmp_path) == ["kept.json"]
    assert kept.read_text() == "old"
    for target, remedy in (
        (tmp_path / "none" / "a.json", "Create the folder"),
        (kept / "a.json", "parent is a folder"),
        (tmp_path, "name of a file"),
    ):
        with pytest.raises(OutputError, match=remedy):
            require_writable(target)
