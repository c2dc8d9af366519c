import torch

from lib.evaluation.crops import log_probabilities


def test_probabilities_of_the_crops_are_averaged() -> None:
    logits = {0: torch.tensor([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0]]), 7: torch.tensor([[0.0, 5.0, 1.0], [0.0, 1.0, 0.0]])}

    def logits_of(params_B3: torch.Tensor) -> torch.Tensor:
        assert params_B3.shape == (2, 3)
        assert (params_B3 == params_B3[0]).all()
        return logits[int(params_B3[0, 0])]

    got = log_probabilities(logits_of, torch.tensor([[0, 0, 0], [7, 0, 1]]), 2)
    expected = (logits[0].softmax(1) + logits[7].softmax(1)) / 2
    torch.testing.assert_close(got.exp().float(), expected)
    assert got.dtype == torch.float64


def test_one_crop_gives_the_softmax_of_its_logits() -> None:
    logits = torch.randn(3, 5)
    got = log_probabilities(lambda _: logits, torch.zeros(1, 3), 3)
    assert torch.equal(got, logits.double().log_softmax(1))
