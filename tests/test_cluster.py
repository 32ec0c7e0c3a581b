"""Batches in workers of dask: the same files as without, whatever happens to a worker."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import dask
import pytest
from distributed import Client, LocalCluster

from medgan.errors import ConfigError, MedganError, OutputError
from medgan.inference.planning import Request, plan
from medgan.inference.translator import Translator
from medgan.io import write_volume
from medgan.io.batch import cluster as engine
from medgan.io.batch import sight as seeing
from medgan.io.batch.cluster import Cluster
from medgan.io.batch.sight import Sight
from medgan.io.dicom.write import write_series
from medgan.phantoms.dicom_slices import Uids, rescaled, stack, write_slices
from medgan.phantoms.scan import scan_head

ROOT = Path(__file__).parents[1]
EPOCH = "1800000000"
CREATED = datetime(2026, 11, 22, 15, 0, 1, tzinfo=UTC)
CLI = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def workers() -> Iterator[LocalCluster]:
    """Two workers of a scheduler that gives up an item with the first worker that it kills."""
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(
            n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address="127.0.0.1:0"
        ) as cluster,
    ):
        yield cluster


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Series to convert, one with a gap, two volumes and a broken file."""
    root = tmp_path_factory.mktemp("studies")
    for number in range(4):
        images = rescaled(stack(slices=5, shape=(32, 32), first=number), 1, -1024)
        if number == 2:
            del images[2]
        write_slices(images, root / f"{number}", "CT", Uids(f"series {number}", "study"))
    head = scan_head(4, spacing_mm=(8.0, 8.0, 16.0), supersample=1)
    write_volume(head.ct, root / "ct.nii.gz")
    write_volume(head.mr, root / "mr.mha")
    (root / "broken.nii.gz").write_bytes(b"not an image")
    return root


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_a_conversion_in_workers_that_are_started_for_it_makes_the_same_files(
    studies: Path, tmp_path: Path, medgan_cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    monkeypatch.chdir(tmp_path)
    convert = partial(medgan_cli, "convert", studies, "--to", "nifti")
    alone, _, _ = convert("alone")
    code, out, _ = convert("dask", "--dask", "local", "--jobs", 2)
    assert (alone, code) == (1, 1)
    assert out.count("converted") == 5 and out.count("refused") == 2
    assert contents(tmp_path / "alone") == contents(tmp_path / "dask")
    _, out, _ = convert("dask", "--dask", "local")
    assert out.count("converted") == 5, "what stands is kept"


def test_a_translation_loses_nothing_when_a_worker_is_killed(
    tiny_run: Path, workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
    source, translator = tmp_path / "in", Translator.load(tiny_run)
    head = replace(scan_head(4, spacing_mm=(6.0, 6.0, 12.0), supersample=1).mr, synthetic=False)
    for number in range(3):
        shifted = head.with_array(head.array + number)
        write_series(shifted, source / f"{number}" / "mr", created=CREATED, seed=f"{number}")
        write_volume(shifted, source / f"{number}.nii.gz")
    (source / "broken.nii.gz").write_bytes(b"not an image")
    alone = plan(Request(tiny_run, source, tmp_path / "alone"), translator)
    list(alone)

    address = workers.scheduler_address
    request = Request(tiny_run, source, tmp_path / "dask", dask=address)
    batch = plan(request, translator)
    assert len(batch) == 7
    rows = iter(batch)
    next(rows)
    with Client(address, set_as_default=False) as client:
        # a worker with something to do
        busy = [worker for worker, tasks in client.processing().items() if tasks]
        pids = client.run(os.getpid)
    assert busy, "the batch is not at its end"
    os.kill(pids[busy[0]], signal.SIGKILL)
    assert len(list(rows)) == 6
    assert contents(tmp_path / "dask") == contents(tmp_path / "alone")
    described = [(row.label, row.status, row.error, row.warnings) for row in batch.rows]
    assert described == [(row.label, row.status, row.error, row.warnings) for row in alone.rows]
    assert [status for _, status, _, _ in described].count("translated") == 6


def begin(folder: Path) -> None:
    with (folder / "begun").open("a") as file:
        file.write(f"{os.getpid()}\n")


def work(folder: Path, number: int) -> str:
    """Item 3 kills the first worker that tries it, item 5 every one."""
    tried = folder / f"tried {number}"
    if number == 5 or (number == 3 and not tried.exists()):
        tried.touch()
        # dask does not replace a worker that dies before it has been heard of
        time.sleep(2.0)
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{number} done"


def give_up(number: int, error: MedganError) -> str:
    return f"{number} lost: {type(error).__name__}"


def sight(folder: Path) -> Sight:
    (folder / "file").write_text("seen by all")
    return Sight.of(folder, [folder / "file"])


def test_every_item_has_one_result_and_only_what_kills_every_worker_is_lost(
    workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WITHOUT_WORKERS_S", 300.0)
    cluster = Cluster(workers.scheduler_address)
    mine = partial(work, tmp_path)
    found = list(cluster.map(mine, range(40), sight(tmp_path), give_up, begin, (tmp_path,)))
    assert sorted(found) == [
        (n, f"{n} lost: OutputError" if n == 5 else f"{n} done") for n in range(40)
    ]
    begun = (tmp_path / "begun").read_text().split()
    assert len(begun) == len(set(begun)) >= 2, "every worker begins once"


def test_workers_of_another_version_are_refused_before_any_work(
    workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "__version__", "9.9")
    cluster = Cluster(workers.scheduler_address)
    rows = cluster.map(partial(work, tmp_path), [5], sight(tmp_path), give_up)
    with pytest.raises(ConfigError, match=r"another medgan .*allowed 9\.9"):
        next(rows)
    assert not (tmp_path / "tried 5").exists()


def test_workers_with_several_threads_are_refused(tmp_path: Path) -> None:
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
    ) as threaded:
        cluster = Cluster(threaded.scheduler_address)
        with pytest.raises(ConfigError, match="--nthreads 1"):
            next(cluster.map(str, [1], sight(tmp_path), give_up))


def test_a_worker_that_sees_other_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeing, "SEEN_WITHIN_S", 0.0)
    seen = sight(tmp_path)
    seen.require()
    for spoil, culprit in (
        (lambda: seen.token.write_text("of another disk"), "token"),
        (seen.token.unlink, "token"),
        (lambda: (tmp_path / "file").write_text("another file"), "file"),
        ((tmp_path / "file").unlink, "file"),
    ):
        spoil()
        with pytest.raises(ConfigError, match=f"{culprit}: a worker does not see the same files"):
            seen.require()


def test_a_scheduler_that_does_not_answer_is_named(tmp_path: Path) -> None:
    cluster = Cluster("tcp://127.0.0.1:9")
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(ConfigError, match=r"tcp://127.0.0.1:9: no scheduler of dask answers"),
    ):
        next(cluster.map(str, [1], sight(tmp_path), give_up))


def test_a_batch_whose_workers_have_gone_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_LOOK_EVERY_S", 0.1)
    monkeypatch.setattr(engine, "WITHOUT_WORKERS_S", 0.3)
    with LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as empty:
        cluster = Cluster(empty.scheduler_address)
        with pytest.raises(OutputError, match="no worker is left"):
            next(cluster.map(str, [1], sight(tmp_path), give_up))


def test_options_that_contradict_each_other_are_refused(
    studies: Path, tiny_run: Path, tmp_path: Path, medgan_cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = partial(medgan_cli, "convert", studies, tmp_path / "out", "--to", "nifti")
    code, _, error = convert("--dask", "tcp://127.0.0.1:9", "--jobs", 2)
    assert code == 2 and "--jobs" in error
    one = tmp_path / "one.nii.gz"
    shutil.copy(studies / "ct.nii.gz", one)
    code, _, error = medgan_cli("translate", tiny_run, one, tmp_path / "x.mha", "--dask", "local")
    assert code == 2 and "--dask: is for folders" in error
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    code, _, error = convert("--dask", "local")
    assert code == 2 and "pip install medgan[cluster]" in error
    assert not (tmp_path / "out").exists()


def slow(number: int) -> int:
    time.sleep(0.2)
    return number


def test_a_lost_scheduler_ends_the_batch_with_advice(tmp_path: Path) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        LocalCluster(
            n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
        ) as doomed,
    ):
        rows = Cluster(doomed.scheduler_address).map(slow, range(40), sight(tmp_path), give_up)
        next(rows)
        doomed.close()
        with pytest.raises(
            OutputError, match=r"the connection .* is lost.*what is finished is kept"
        ):
            list(rows)


SBATCH = """#!/bin/sh
cp "$1" "$FAKE_SLURM/job"
sh "$FAKE_SLURM/job" > "$FAKE_SLURM/log" 2>&1 &
echo "Submitted batch job $!"
"""


def test_the_example_for_slurm_converts_in_the_jobs_that_it_asks_for(
    studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sbatch`` is replaced by one that runs the script of the job here."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "FAKE_SLURM": str(tmp_path),
        "SOURCE_DATE_EPOCH": EPOCH,
        "PYTHONPATH": str(ROOT),
    }
    script = ROOT / "pipelines" / "cluster" / "slurm_workers.py"
    command = [sys.executable, script, "1", "convert", studies, tmp_path / "out", "--to", "nifti"]
    run = subprocess.run(
        [*map(str, command), "--json", str(tmp_path / "rows.json")],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["series"]
    assert sorted(row["status"] for row in rows) == ["converted"] * 5 + ["refused"] * 2, run.stderr
    job = (tmp_path / "job").read_text()
    assert "#SBATCH --cpus-per-task=1" in job and "--nthreads 1" in job


def test_the_example_for_torchrun_begins_a_run_and_then_resumes_it(tmp_path: Path) -> None:
    """``srun`` is replaced by one that runs its command here, ``torchrun`` by one that tells it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (
        ("srun", 'shift; exec "$@"'),
        ("scontrol", "echo first; echo second"),
        ("torchrun", 'echo "$OMP_NUM_THREADS $*"'),
    ):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    job = {"SLURM_NNODES": "2", "SLURM_JOB_ID": "7", "SLURM_JOB_NODELIST": "both",
           "SLURM_CPUS_PER_TASK": "32", "PATH": f"{programs}:{os.environ['PATH']}"}  # fmt: skip

    def told(*arguments: object, **slurm: str) -> str:
        script = ROOT / "pipelines" / "cluster" / "train.sbatch"
        command = ["bash", script, *arguments]
        return subprocess.run(
            [*map(str, command)], env=job | slurm, check=True, capture_output=True, text=True
        ).stdout.strip()

    launched = "--nnodes 2 --nproc-per-node {} --rdzv-backend c10d --rdzv-id 7 "
    launched += "--rdzv-endpoint first:29500 -m medgan train {}"
    run = tmp_path / "run"
    assert told("c.yaml", run, "a=1", "b=2") == "32 " + launched.format(
        1, f"c.yaml a=1 b=2 --out {run}"
    )
    run.mkdir()
    (run / "config.yaml").touch()
    assert told("c.yaml", run, SLURM_GPUS_ON_NODE="4") == "8 " + launched.format(
        4, f"--resume {run}"
    )
