import torch
from hypothesis import given
from hypothesis import strategies as st

from mmsa_core.encoders.tokens import Special, sentence

CLS, SEP, UNK, PAD = 101, 102, 100, 0


def read(ids, observed):
    """The ids that BERT reads and the number of positions that it attends to, for one sample."""
    found, attended = sentence(torch.tensor([ids]), torch.tensor([observed], dtype=torch.bool), Special())
    count = int(attended.sum())
    assert attended[0].tolist() == [True] * count + [False] * (len(ids) + 1 - count)
    return found[0].tolist(), count


SAID = [CLS, 11, 12, 13, 14, SEP, PAD]


def test_nothing_hidden():
    assert read(SAID, [1, 1, 1, 1, 1, 1, 0]) == ([*SAID, PAD], 6)


def test_hidden_between():
    assert read(SAID, [1, 0, 1, 0, 1, 1, 0]) == ([CLS, UNK, 12, UNK, 14, SEP, PAD, PAD], 6)


def test_a_hidden_tail_does_not_exist():
    assert read(SAID, [1, 0, 1, 0, 0, 0, 0]) == ([CLS, UNK, 12, SEP, PAD, PAD, PAD, PAD], 4)


def test_hidden_borders_are_kept():
    assert read(SAID, [0, 1, 1, 1, 1, 0, 0]) == ([*SAID, PAD], 6)


def test_without_room_the_end_stands_in_the_step_more():
    assert read([CLS, 11, 12], [1, 1, 1]) == ([CLS, 11, 12, SEP], 4)


def test_one_token():
    assert read(SAID, [0, 0, 0, 0, 0, 1, 0]) == ([CLS, UNK, UNK, UNK, UNK, SEP, PAD, PAD], 6)
    assert read(SAID, [1, 0, 0, 0, 0, 0, 0]) == ([CLS, SEP, PAD, PAD, PAD, PAD, PAD, PAD], 2)
    assert read([SEP, 11], [1, 0]) == ([CLS, SEP, PAD], 2), "the first is [CLS], whatever it was"


def test_no_token():
    assert read(SAID, [0] * 7) == ([CLS, SEP] + [PAD] * 6, 2)


@given(tokens=st.lists(st.tuples(st.sampled_from([11, 12, SEP]), st.booleans()), min_size=1, max_size=9))
def test_token_by_token(tokens):
    ids, seen = (list(column) for column in zip(*tokens, strict=True))
    length = max((n + 1 for n, each in enumerate(seen) if each), default=1)
    wanted = [CLS] + [ids[n] if seen[n] else UNK for n in range(1, length)]
    wanted += [] if wanted[-1] == SEP else [SEP]
    assert read(ids, seen) == (wanted + [PAD] * (len(ids) + 1 - len(wanted)), len(wanted))
