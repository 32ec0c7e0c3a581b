"""The history pool: fills first, then half of the fakes are exchanged for older ones."""

import numpy as np
import torch

from medgan.training.history_pool import HistoryPool


def fakes(*values):
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1)


def test_a_pool_without_room_passes_everything_through():
    given = fakes(1, 2, 3)
    assert HistoryPool(0).exchange(given, np.random.default_rng(0)) is given


def test_a_pool_fills_before_it_exchanges():
    pool, rng = HistoryPool(5), np.random.default_rng(0)
    for batch in (fakes(1, 2), fakes(3, 4), fakes(5)):
        torch.testing.assert_close(pool.exchange(batch, rng), batch)
    assert [image.item() for image in pool.images] == [1, 2, 3, 4, 5]


def test_what_is_seen_and_kept_is_always_what_was_given_before():
    """Oracle: seen and kept together are, as a multiset, the given and the kept before."""
    pool, rng = HistoryPool(4), np.random.default_rng(1)
    for step in range(50):
        given = fakes(3 * step, 3 * step + 1, 3 * step + 2)
        before = [image.item() for image in pool.images]
        seen = pool.exchange(given, rng).flatten().tolist()
        after = [image.item() for image in pool.images]
        expected = sorted(before + given.flatten().tolist())
        if len(before) == 4:
            assert sorted(seen + after) == expected
        assert set(seen) | set(after) == set(expected)


def test_half_of_the_fakes_are_exchanged_and_every_place_is_used():
    pool, rng = HistoryPool(10), np.random.default_rng(2)
    pool.exchange(fakes(*range(10)), rng)
    older, ages = 0, []
    for number in range(10, 4010):
        seen = pool.exchange(fakes(number), rng).item()
        older += seen != number
        ages.append(number - seen)
    # four standard deviations of a fair coin
    assert abs(older / 4000 - 0.5) < 4 * 0.5 / 4000**0.5
    # an image stays until one of 10 places is drawn in half of the steps: 20 steps on average
    waits = [age for age in ages if age]
    assert abs(np.mean(waits) - 20) < 4 * 20 / len(waits) ** 0.5


def test_later_changes_of_a_fake_do_not_reach_the_pool():
    pool, given = HistoryPool(2), fakes(1, 2)
    pool.exchange(given, np.random.default_rng(0))
    given.zero_()
    assert [image.item() for image in pool.images] == [1, 2]


def test_a_restored_pool_goes_on_as_the_old_one_would():
    pool, rng = HistoryPool(3), np.random.default_rng(0)
    pool.exchange(fakes(1, 2, 3, 4), rng)
    copy = HistoryPool(3)
    copy.restore(pool.state())
    for step in range(20):
        batch = fakes(10 + step)
        torch.testing.assert_close(
            copy.exchange(batch, np.random.default_rng(step)),
            pool.exchange(batch, np.random.default_rng(step)),
        )


def test_an_empty_pool_restores_empty():
    copy = HistoryPool(3)
    copy.restore(HistoryPool(3).state())
    assert copy.images == []
