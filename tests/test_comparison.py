"""A comparison of methods on paper: who trains on what, and what the table says."""

import statistics
from pathlib import Path

import numpy as np
import pytest
import yaml
from comparisons import STRANGE, TINY, configured, held_out, member, write_result
from scipy import stats

from medgan.config import dump_config, parse_config
from medgan.data.phantom_library import training_seeds, validation_seeds
from medgan.errors import ConfigError, TrainingError
from medgan.recipes import comparison, comparison_cost, comparison_run
from medgan.recipes.comparison_config import variants
from medgan.recipes.comparison_document import Failure, document
from medgan.recipes.comparison_plan import load_comparison, require_same_trainings, runs, with_steps
from medgan.recipes.comparison_scans import heads

ROOT = Path(__file__).parents[1]

# What is planned


def test_every_member_is_trained_for_every_seed_without_and_with_the_anchor(tmp_path):
    config = configured(
        seeds=[3, 5],
        members=[
            member("published"),
            member("never", anchor="never"),
            member("only", anchor="only"),
        ],
    )
    names = [variant.name for variant in variants(config)]
    assert names == ["published", "published_anchored", "never", "only_anchored"]
    planned = list(runs(config, tmp_path))
    assert [(run.seed, run.variant.name) for run in planned] == [
        (seed, name) for seed in (3, 5) for name in names
    ]
    assert planned[-1].folder == tmp_path / "runs" / "only_anchored" / "seed_5"
    for run in planned:
        assert run.config.training.seed == run.seed
        assert run.config.name == run.variant.name
        assert run.config.uses_phantoms == run.variant.anchored
        assert not run.config.tracking.enabled


def test_settings_of_a_member_come_after_those_of_the_anchor(tmp_path):
    alone = list(runs(configured(), tmp_path))[1].config
    assert alone.losses.phantom == 10
    assert alone.training.warmup_steps == 8
    assert not alone.uses_scans


def test_people_are_trained_on_or_tested_on_by_one_seed_and_never_both(tmp_path):
    config = configured(
        seeds=[7, 8, 9], **held_out(source_heads=4, target_heads=5, test_heads=2)
    )  # fmt: skip
    people = list(heads(config))
    seeds = [head.seed for head in people]
    assert len(seeds) == len(set(seeds)) == 4 + 5 + 3 * 2
    assert not set(seeds) & {*training_seeds(1000), *validation_seeds(1000)}
    published = [run for run in runs(config, tmp_path) if run.variant.name == "published"]
    tested = [pair.name for run in published for pair in run.config.evaluation]
    assert tested == [f"head_{number:02d}" for number in range(6)]
    needed = {
        path.name
        for run in published
        for scan in (
            *run.config.data.source,
            *run.config.data.target,
            *(end for pair in run.config.evaluation for end in (pair.source, pair.target)),
        )
        for path in (scan.path, *scan.also)
    }
    made = {f"{head.group}_{head.number:02d}_{kind}.nii.gz" for head in people
            for kind in head.kinds}  # fmt: skip
    assert needed == made


def test_a_member_may_read_other_contrasts_and_more_of_them(tmp_path):
    channels = ("network.channels=[2, 1]", "data.phantoms.contrasts=[t1, t1]")
    two = member("two", *channels, anchor="never", contrasts=["t2", "t1"])
    config = configured(members=[*TINY["members"], two])
    run = list(runs(config, tmp_path))[-1]
    scan = run.config.data.source[0]
    assert [scan.path.name, *(path.name for path in scan.also)] == [
        "source_00_t2.nii.gz",
        "source_00_t1.nii.gz",
    ]
    assert {kind for head in heads(config) for kind in head.kinds} == {"t1", "t2", "ct"}
    assert {kind for head in heads(configured()) for kind in head.kinds} == {"t2", "ct"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": "absent"}, "reference must name a member without the anchor"),
        ({"reference": "phantoms_alone"}, "reference must name a member without the anchor"),
        ({"seeds": [1, 1]}, "seeds must differ"),
        ({"members": [member("published"), member("published")]}, "different names"),
        ({"members": [member("published"), member("published_anchored")]}, "different names"),
        ({"base": {"name": "x"}}, "base must not hold name"),
        ({"base": {"training": {"seed": 1}}}, "base must not hold training.seed"),
        ({"base": {"data": {"source": []}}}, "base must not hold data.source"),
        ({"seeds": list(range(101))}, "test_heads times seeds"),
        ({"held_out": None, "members": [member("published", contrasts=["t1"])]}, "need held_out"),
        ({"minutes": 0}, "greater than 0"),
        ({"epochs": 1}, "epochs: unknown key"),
    ],
)
def test_a_comparison_that_contradicts_itself_is_refused(tmp_path, changes, message):
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump(TINY | changes))
    with pytest.raises(ConfigError, match=message):
        load_comparison(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": [member("published", "losses.cyle=1")]}, "member published: .*losses.cyle"),
        ({"held_out": None}, "nothing to test on"),
        ({"members": [member("published", "source=CT", "target=MR")]}, "CT to MR"),
    ],
)
def test_a_member_that_cannot_be_trained_is_named_before_anything_is_made(
    tmp_path, changes, message
):
    with pytest.raises(ConfigError, match=message):
        comparison.compare(configured(**changes), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_unknown_members_and_no_jobs_are_refused_before_anything_is_made(tmp_path):
    with pytest.raises(ConfigError, match=r"no such member.*cut.*published, phantoms_alone"):
        comparison.compare(configured(), tmp_path / "out", only=["cut"])
    with pytest.raises(ConfigError, match=r"jobs.*measured 0"):
        comparison.compare(configured(), tmp_path / "out", jobs=0)
    assert not (tmp_path / "out").exists()


def test_the_keys_of_every_method_in_the_documentation_are_accepted():
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    members = text.partition("| method | keys |")[2].partition("\n\n")[0].splitlines()[2:]
    for line in members:
        keys = line.split("|")[2].replace("`", "").partition(" (")[0].split()
        parse_config({"name": "documented"}, [key for key in keys if key != "none"])
    assert len(members) == 7


def test_steps_change_with_the_warm_up_in_proportion(tmp_path):
    config = list(runs(configured(), tmp_path))[1].config
    changed = with_steps(with_steps(config, 200), 50)
    assert (changed.training.steps, changed.training.warmup_steps) == (50, 50)
    half = config.model_copy(
        update={"training": config.training.model_copy(update={"warmup_steps": 4})}
    )
    assert with_steps(half, 51).training.warmup_steps == pytest.approx(25.5, abs=0.5)
    assert with_steps(half, 51).training.validate_every == 51


class Clockwork:
    """A trainer whose steps take a second of the warm-up, three after it, and ten at first."""

    def __init__(self, config):
        self.warmup, self.step, self.updates, self.now = config.training.warmup_steps, 0, 0, 0.0
        self.batches = self

    def at(self, step):
        return step

    def update(self, batch):
        self.updates += 1
        self.now += 10 if self.updates == 1 else 1 if batch <= self.warmup else 3


@pytest.mark.parametrize(("warmup", "seconds"), [(0, 3.0), (6, 1.5), (8, 1.0)])
def test_steps_fill_the_minutes_that_were_given(tmp_path, monkeypatch, warmup, seconds):
    config = list(runs(configured(), tmp_path))[1].config
    training = config.training.model_copy(update={"warmup_steps": warmup})
    clock = Clockwork(config.model_copy(update={"training": training}))
    monkeypatch.setattr(comparison_cost, "_trainer", lambda *_: clock)
    monkeypatch.setattr(comparison_cost.time, "perf_counter", lambda: clock.now)
    found = comparison_cost.steps_that_fill(config.model_copy(update={"training": training}), 2.0)
    assert found == 120 / seconds


def test_a_timed_training_goes_on_with_the_steps_it_was_begun_with(tmp_path, monkeypatch):
    monkeypatch.setattr(comparison_run, "steps_that_fill", lambda *_: 40)
    run = list(runs(configured(minutes=1.0), tmp_path))[1]
    begun = comparison_run._effective(run)
    assert (begun.training.steps, begun.training.warmup_steps) == (40, 40)
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text(dump_config(begun))
    monkeypatch.setattr(comparison_run, "steps_that_fill", lambda *_: 77)
    assert comparison_run._effective(run) == begun
    require_same_trainings([run])


def test_a_folder_of_other_trainings_is_refused_one_that_was_moved_is_not(tmp_path):
    for run in runs(configured(), tmp_path / "here"):
        run.folder.mkdir(parents=True)
        (run.folder / "config.yaml").write_text(dump_config(run.config))
    (tmp_path / "here").rename(tmp_path / "there")
    require_same_trainings(list(runs(configured(), tmp_path / "there")))
    other = configured(anchor=["losses.phantom=9", "training.warmup_steps=4"])
    with pytest.raises(TrainingError, match=r"phantoms_alone_anchored.*other losses\b"):
        comparison.compare(other, tmp_path / "there")


# What the table says


@pytest.fixture
def made_up(tmp_path):
    """Two members, three seeds of four heads; the second member lacks its last seed."""
    config = configured(seeds=[0, 1, 2], **held_out(test_heads=4))
    planned = list(runs(config, tmp_path))
    rng = np.random.default_rng(0)
    maes = {(run.variant.name, run.seed): rng.uniform(80, 200, 4).tolist() for run in planned}
    del maes["phantoms_alone_anchored", 2]
    for run in planned:
        if (run.variant.name, run.seed) in maes:
            write_result(run, maes[run.variant.name, run.seed], **STRANGE)
    return config, planned, maes


def test_values_are_means_over_all_heads_with_students_interval(made_up):
    config, planned, maes = made_up
    (row, other) = document(config, planned)["rows"]
    own = np.concatenate([maes["published", seed] for seed in range(3)])
    half = stats.t.ppf(0.975, 11) * own.std(ddof=1) / np.sqrt(12)
    assert row["values"]["mae"] == pytest.approx(
        {"mean": own.mean(), "low": own.mean() - half, "high": own.mean() + half, "n": 12}
    )
    assert (row["seeds"], row["steps"], other["seeds"]) == ([0, 1, 2], [8], [0, 1])
    assert row["values"]["psnr"]["mean"] == "inf"
    assert row["values"]["bone_dice"] == {"mean": None, "low": None, "high": None, "n": 0}


def test_differences_are_taken_head_by_head_of_the_seeds_that_both_have(made_up):
    config, planned, maes = made_up
    (row, other) = document(config, planned)["rows"]
    assert row["difference"] is None
    pairs = [pair for seed in (0, 1)
             for pair in zip(maes["phantoms_alone_anchored", seed], maes["published", seed],
                             strict=True)]  # fmt: skip
    differences = [own - reference for own, reference in pairs]
    half = stats.t.ppf(0.975, 7) * statistics.stdev(differences) / np.sqrt(8)
    mean = statistics.mean(differences)
    assert other["difference"] == pytest.approx(
        {
            "mean": mean,
            "low": mean - half,
            "high": mean + half,
            "share": mean / statistics.mean(reference for _, reference in pairs),
        }
    )


def test_a_part_of_a_comparison_says_so(made_up):
    config, planned, _ = made_up
    failed = planned[-1]
    found = document(config, planned, [Failure(failed, "diverged")])
    assert found["trainings"] == {"planned": 6, "finished": 5}
    assert found["failures"] == [
        {"member": "phantoms_alone", "anchored": True, "seed": 2, "reason": "diverged"}
    ]
    # of the member with most heads
    assert found["floors"]["constant"]["mae"]["n"] == 12
    assert found["floors"]["constant"]["mae"]["mean"] == pytest.approx(51.0)
    assert document(config, planned[:0])["rows"] == []
