"""The conclusion that --find_batch_size draws from its measurements."""

from lib.models.recipes import SQUEEZENET, THEANO
from lib.roles.batch_size_finder import conclusion


def test_the_largest_need_not_be_the_fastest() -> None:
    text = conclusion([(128, 0.2), (256, 0.25), (2048, 8.0)], "cpu", "memory", THEANO)
    assert text.splitlines() == [
        "largest that fits cpu: 2048; limited by memory",
        "fastest: 256, 1,024 images/s; use --batch_size 256",
        "the recipe's rates are for 256 images an update, of all workers: with others, consider other rates",
    ]
    assert conclusion([(1, 1.0)], "cpu", "memory", SQUEEZENET).endswith(
        "512 images an update, of all workers: its rate is scaled to yours"
    )


def test_when_not_even_one_image_fits_it_says_so() -> None:
    assert conclusion([], "cuda:0", "memory", THEANO) == "not even 1 fits cuda:0"
