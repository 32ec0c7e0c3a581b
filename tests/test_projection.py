import torch

from medgan.networks.projection import Projection


def test_each_place_is_projected_by_itself_and_has_length_one():
    torch.manual_seed(0)
    features = [torch.rand(2, 3, 4, 5), torch.rand(2, 6, 2, 3, 2)]
    positions = [torch.tensor([0, 7, 19]), torch.tensor([11, 4])]
    network = Projection([3, 6], width=8)
    results = network(features, positions)
    for head, values, chosen, result in zip(
        network.heads, features, positions, results, strict=True
    ):
        first, _, second = head
        assert result.shape == (2, len(chosen), 8)
        for image in range(2):
            for row, position in enumerate(chosen):
                vector = values[image].reshape(values.shape[1], -1)[:, position]
                hidden = (first.weight @ vector + first.bias).clamp(min=0)
                expected = second.weight @ hidden + second.bias
                expected = expected / expected.norm()
                torch.testing.assert_close(result[image, row], expected)


def test_gradients_are_finite_where_features_are_zero():
    network = Projection([3])
    (result,) = network([torch.zeros(1, 3, 4, 4)], [torch.arange(4)])
    result.sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())
