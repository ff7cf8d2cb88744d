"""YAML that is made to cost memory or time, or to steer a terminal: one message, soon."""

import pytest

from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_yaml

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 60)
)
HOSTILE = {
    "aliases": (BOMB, "aliases"),
    "within itself": ("a: &a [*a]", "holds itself"),
    "nesting": ("[" * 100_000, "nested too deeply"),
    "nesting of keys": ("? " * 10_000, "nested too deeply"),
    "decimal": ("a: " + "9" * 5_000, "5000 digits"),
    "hexadecimal": ("a: 0x" + "f" * 900_000, "digits"),
    "sexagesimal": ("a: " + "1:" * 400_000 + "1", "digits"),
    "many values": (f"a: [{'1,' * 30_000}]", "expected at most"),
    "long": ("x" * (recipe_yaml.LONGEST + 1), "characters"),
    "escape sequence": ('a: "\\e[2J"', "control character"),
    "escape sequence in a key": ('"\\x1b[2J": 1', "control character"),
    "other direction": ('a: "\\u202egnp"', "control character"),
    "NUL": ('a: "x\\0y"', "control character"),
    "C1": ('a: "\\x9b2J"', "control character"),
    "object": ("a: !!python/object/apply:os.system ['true']", "could not determine a constructor"),
    "name": ("a: !!python/name:os.system", "could not determine a constructor"),
    "merge": ("<<: {a: 1}", "could not determine a constructor"),
}


@pytest.mark.parametrize(("text", "says"), HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused(text, says):
    with pytest.raises(UserError) as caught:
        recipe_yaml.read(text, "somebody's.yaml")
    message = str(caught.value)
    assert message.startswith("somebody's.yaml:")
    assert says in message
    assert len(message) < 300
    assert message.isprintable()


def test_aliases_that_repeat_little_are_read():
    data, lines = recipe_yaml.read("a: &it {b: [1, 2]}\nc: *it\n", "own.yaml")
    assert data == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert lines["c", "b"] == 1
