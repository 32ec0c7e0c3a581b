"""Series in the queue: nothing that was acknowledged is lost, nothing is made of half a series."""

import json
import os
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from medgan.errors import FileError, OutputError
from medgan.node import queue as queue_module
from medgan.node.config import QueueConfig
from medgan.node.instance import Claim, OtherInstance
from medgan.node.queue import Queue, QueueFull
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices


@pytest.fixture
def config(tmp_path):
    return QueueConfig(folder=tmp_path / "queue", quiet_seconds=0.01, min_free_gb=0)


@pytest.fixture
def files(tmp_path):
    return instances(tmp_path / "sent", "MR", "one")


@pytest.fixture
def opened(config):
    """Open the queue; a second time as a new process would."""
    with ExitStack() as stack_of_queues:

        def reopen(**changes):
            stack_of_queues.close()
            changed = config.model_copy(update=changes)
            return stack_of_queues.enter_context(Queue.open(changed, "MR"))

        yield reopen


def instances(folder, modality, series):
    images = rescaled(stack(slices=4, shape=(8, 8)), 1, 0)
    write_slices(images, folder, modality, Uids(series, "study"))
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def receive(queue, files):
    for content in files:
        queue.receive(content)
    (item,) = queue.items()
    return item


def complete(queue):
    time.sleep(0.02)
    queue.close_complete()
    (item,) = queue.items()
    return item


def stored(queue, item):
    return sorted(path.read_bytes() for path in queue.source(item.name).iterdir())


def test_a_series_is_complete_when_nothing_new_came_for_a_while(opened, files):
    queue = opened(quiet_seconds=30.0)
    assert receive(queue, files).state == "receiving"
    assert complete(queue).state == "receiving"
    queue = opened()
    item = complete(queue)
    assert (item.state, item.instances) == ("complete", len(files))
    assert stored(queue, item) == sorted(files)


def test_a_series_with_a_known_number_of_instances_waits_for_the_last(opened, files):
    queue = opened()
    item = receive(queue, files[:-1])
    queue.expect(item.name, len(files))
    assert complete(queue).state == "receiving"
    queue = opened()
    assert complete(queue).state == "receiving"
    receive(queue, files[-1:])
    assert complete(queue).state == "complete"


def test_a_series_whose_instances_do_not_come_fails_in_the_end(opened, files):
    queue = opened(give_up_hours=1e-9)
    item = receive(queue, files[:-1])
    queue.expect(item.name, len(files))
    item = complete(queue)
    assert (item.state, item.error) == ("failed", "3 of 4 instances came")


def test_the_time_in_which_no_node_ran_is_no_silence(opened, files, config):
    item = receive(opened(), files[:2])
    for path in (config.folder / "series" / item.name / "source").iterdir():
        os.utime(path, (1, 1))
    queue = opened(quiet_seconds=30.0)
    assert complete(queue).state == "receiving"


def test_series_do_not_mix_and_names_say_nothing(opened, files, tmp_path):
    queue = opened()
    receive(queue, files)
    for content in instances(tmp_path / "other", "MR", "two"):
        queue.receive(content)
    assert [item.instances for item in queue.items()] == [4, 4]
    names = [path.name for path in queue.folder.rglob("*")]
    assert not any(word in name for name in names for word in ("1.2.", "2.25", "one", "two"))


def test_an_instance_that_comes_again_changes_nothing(opened, files):
    queue = opened()
    receive(queue, files)
    before = complete(queue)
    assert receive(queue, files) is before


def test_a_late_instance_makes_the_series_incomplete_and_a_running_translation_stale(opened, files):
    queue = opened()
    receive(queue, files[:-1])
    begun = queue.advance(complete(queue), "translating")
    receive(queue, files[-1:])
    assert queue.advance(begun, "sending") is None
    again = complete(queue)
    assert (again.state, again.instances) == ("complete", len(files))
    assert again.digest != begun.digest


def test_a_series_whose_images_are_gone_is_only_complete_with_all_of_them(opened, files):
    queue = opened(keep_hours=0.0)
    receive(queue, files)
    first = complete(queue)
    (queue.result(first.name) / "synthetic_ct").mkdir(parents=True)
    (queue.result(first.name) / "synthetic_ct" / "0001.dcm").touch()
    (queue.result(first.name) / "synthetic_ct.qc.json").touch()
    queue.advance(first, "done")
    queue.prune()
    queue = opened(keep_hours=0.0)
    assert list(queue.folder.rglob("*.dcm")) == []
    assert [path.name for path in queue.folder.rglob("*.qc.json")] == ["synthetic_ct.qc.json"]
    receive(queue, files[:1])
    assert complete(queue).state == "receiving"
    receive(queue, files[1:])
    again = complete(queue)
    assert again.state == "complete"
    # The same instances give the same time of creation, and so the same UIDs.
    assert (again.digest, again.created) == (first.digest, first.created)


def test_what_failed_is_tried_again_by_a_restart_or_by_an_instance_that_comes_again(opened, files):
    queue = opened()
    receive(queue, files)
    queue.advance(complete(queue), "failed", error="broken")
    queue = opened()
    assert complete(queue).state == "complete"
    (item,) = queue.items()
    queue.advance(item, "failed", error="broken")
    assert complete(queue).state == "failed"
    receive(queue, files[:1])
    again = complete(queue)
    assert (again.state, again.error, again.instances) == ("complete", "", len(files))


def test_a_series_that_ends_the_node_three_times_fails(opened, files):
    queue = opened()
    receive(queue, files)
    complete(queue)
    for attempt in (1, 2, 3):
        (item,) = queue.items("complete")
        queue.advance(item, "translating", attempts=item.attempts + 1)
        queue = opened()
        (item,) = queue.items()
        assert item.state == ("failed" if attempt == 3 else "complete")
    queue = opened()
    assert queue.items()[0].state == "failed"
    receive(queue, files[:1])
    assert (complete(queue).state, complete(queue).attempts) == ("complete", 0)


def test_a_full_queue_takes_nothing_more(opened, files):
    room = sum(map(len, files[:2])) / 1e9
    queue = opened(max_gb=room)
    receive(queue, files[:2])
    with pytest.raises(QueueFull, match="queue is full"):
        queue.receive(files[2])
    with pytest.raises(QueueFull, match="nearly full"):
        opened(min_free_gb=1e6).receive(files[2])
    assert opened().items()[0].instances == 2


@pytest.mark.parametrize(
    "claim", [Claim(uid="1.2.3"), Claim(sop_class="1.2.3"), Claim(series="another")]
)
def test_an_instance_that_is_another_one_than_claimed_is_refused(opened, files, claim):
    with pytest.raises(OtherInstance, match="another one"):
        opened().receive(files[0], claim)


def test_what_is_no_image_of_the_modality_is_refused_and_leaves_nothing(opened, tmp_path):
    queue = opened()
    for content in (instances(tmp_path / "ct", "CT", "ct")[0], b"no DICOM" * 100, b""):
        with pytest.raises(FileError):
            queue.receive(content)
    assert queue.items() == []
    assert [path for path in queue.folder.rglob("*") if path.is_file()] == []


def test_one_folder_serves_one_node(opened, config):
    opened()
    with pytest.raises(OutputError, match="another node"), Queue.open(config, "MR"):
        pass


def test_a_damaged_record_is_named_with_its_remedy(opened, config, files):
    item = receive(opened(), files)
    record = config.folder / "series" / item.name / "item.json"
    for text in ("{", "[]", json.dumps({"name": item.name, "state": "lost"})):
        record.write_text(text)
        with pytest.raises(FileError, match="no record of a series"):
            opened()
    record.unlink()
    assert complete(opened()).state == "complete"


def test_many_senders_at_once_lose_nothing(opened, files):
    queue = opened()
    threads = [
        threading.Thread(target=receive, args=(queue, files[k % 4 :] + files)) for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    item = complete(queue)
    assert (item.state, item.instances) == ("complete", len(files))
    assert stored(queue, item) == sorted(files)


class Crash(BaseException):
    """The end of the process, as far as a test can play it."""


class Crashing:
    """Renames, of which one is the last: everything that counts in the queue is a rename."""

    def __init__(self, monkeypatch):
        self.count, self.last, self.before = 0, None, False
        rename = Path.replace

        def replace(path, target):
            self.count += 1
            if self.count == self.last and self.before:
                raise Crash
            made = rename(path, target)
            if self.count == self.last:
                raise Crash
            return made

        monkeypatch.setattr(Path, "replace", replace)

    def at(self, last, *, before):
        self.count, self.last, self.before = 0, last, before


def go_on(queue, files, acknowledged, archive):
    """Send what was not acknowledged, late ones last; translate and store like a node."""
    for part in (files[:-1], files[-1:]):
        for content in part:
            if content not in acknowledged:
                queue.receive(content)
                acknowledged.add(content)
        while queue.items()[0].state != "done":
            work(queue, archive)


def work(queue, archive):
    time.sleep(0.011)
    queue.close_complete()
    (item,) = queue.items()
    if item.state == "complete":
        begun = queue.advance(item, "translating")
        content = b"".join(stored(queue, begun))
        queue.advance(begun, "sending", note=f"{begun.created} {len(content)}")
    elif item.state == "sending":
        archive.add(item.note)
        queue.advance(item, "done")


@pytest.mark.parametrize("before", [True, False])
def test_a_crash_at_any_rename_loses_nothing_and_makes_nothing_twice(
    opened, files, monkeypatch, before, tmp_path
):
    clock = iter(range(10**6))
    monkeypatch.setattr(queue_module, "now", lambda: f"time {next(clock)}")
    crashing = Crashing(monkeypatch)
    go_on(opened(folder=tmp_path / "whole"), files, set(), set())
    renames = crashing.count
    assert renames > 10
    for last in range(1, renames + 1):
        acknowledged, archive = set(), set()
        folder = tmp_path / f"{last}"
        crashing.at(last, before=before)
        with pytest.raises(Crash):
            go_on(opened(folder=folder), files, acknowledged, archive)
        crashing.at(None, before=False)
        queue = opened(folder=folder)
        found = set(stored(queue, queue.items()[0])) if queue.items() else set()
        assert acknowledged <= found
        go_on(queue, files, acknowledged, archive)
        (item,) = queue.items()
        assert stored(queue, item) == sorted(files)
        # One result of the first three instances, one of all four: never two of the same.
        assert len(archive) == 2
        assert {note.split()[-1] for note in archive} == {
            str(sum(map(len, part))) for part in (files[:-1], files)
        }
