"""Recipes: the shipped ones, their errors, overrides and JSON schema."""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmsa_core.errors import UserError
from mmsa_core.recipes import recipe_file, recipe_yaml
from mmsa_core.recipes.recipe import Recipe

SHIPPED = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


def needing(path):
    """A shipped recipe, whose test skips where a plugin that the recipe names is not installed."""
    plugins = {f"mmsa-{name}" for name in re.findall(r"name: (\w+)\.\w", path.read_text(encoding="utf-8"))}
    return pytest.param(path, id=path.stem, marks=pytest.mark.needs(*plugins))


TEXT = """\
name: tiny
seeds: [1]
data: {name: synthetic, samples: [24, 12, 12]}
task: {kind: bins, classes: 7}
model:
  dim: 8
  encoders:
    text: {name: recurrent, layers: 1}
    audio: {name: pooled}
  fusion: {name: concat, dropout: 0.1}
teacher: {kind: trained, require: complete}
masker:
  name: modality_dropout
  rate: 0.5
distillers:
  rkd:
    name: relational
    weight: 0.5
    delta: 2.0
train:
  epochs: 1
  batch_size: 8
"""


@pytest.fixture
def load(tmp_path):
    def of(text, *overrides):
        path = tmp_path / "recipe.yaml"
        path.write_text(text, encoding="utf-8")
        return recipe_file.load(path, overrides)

    return of


@pytest.fixture
def refused(load):
    """The one line that a recipe is refused with, without the folder."""

    def of(text, *overrides):
        with pytest.raises(UserError) as caught:
            load(text, *overrides)
        (line,) = re.sub(r"\S*/recipe\.yaml", "recipe.yaml", str(caught.value)).splitlines()
        return line

    return of


def test_the_shipped_recipes_are_there():
    names = {path.stem for path in SHIPPED}
    assert names >= {
        "corrkd",
        "corrkd-paper",
        "corrkd-mosi",
        "corrkd-mosei",
        "corrkd-iemocap",
        "baseline",
        "clean",
        "kd",
    }


@pytest.mark.parametrize("path", [*map(needing, SHIPPED)])
def test_a_shipped_recipe_loads_and_so_does_its_dump(path, tmp_path):
    recipe = recipe_file.load(path)
    assert recipe.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# ")  # says where its numbers come from
    filled = tmp_path / "filled.yaml"
    filled.write_text(recipe_file.dump(recipe), encoding="utf-8")
    again = recipe_file.load(filled)
    assert again == recipe
    assert recipe_file.dump(again) == recipe_file.dump(recipe)


def test_a_recipe_is_frozen(load):
    recipe = load(TEXT)
    with pytest.raises(ValueError, match="frozen"):
        recipe.train.lr = 1.0


def test_the_dump_is_complete(load):
    filled = yaml.safe_load(recipe_file.dump(load(TEXT)))
    assert filled["train"]["lr"] == 1e-3
    assert filled["distillers"]["rkd"]["optimizer"] is None
    assert filled["masker"] == {"name": "modality_dropout", "rate": 0.5}
    assert list(filled["model"]["encoders"]) == ["text", "audio"]


DEFECTS = {
    "repeated key": (
        "  delta: 2.0",
        "  delta: 2.0\n    delta: 3.0",
        "recipe.yaml:20: key 'delta' is repeated (first in line 19)",
    ),
    "repeated section": (
        "train:",
        "task: {kind: bins}\ntrain:",
        "recipe.yaml:20: key 'task' is repeated (first in line 4)",
    ),
    "unknown key": (
        "  batch_size: 8",
        "  batch_size: 8\n  epoch: 8",
        "recipe.yaml:23: train.epoch: unknown key 'epoch'. Did you mean 'epochs'?",
    ),
    "unknown section": (
        "distillers:",
        "destillers:",
        "recipe.yaml:15: destillers: unknown key 'destillers'. Did you mean 'distillers'?",
    ),
    "unknown field of a component": (
        "delta: 2.0",
        "margins: 2.0",
        "recipe.yaml:19: distillers.rkd.margins: unknown key 'margins'. Known here: name, weight,",
    ),
    "wrong type": ("epochs: 1", "epochs: many", "recipe.yaml:21: train.epochs: expected a valid integer"),
    "wrong type shows what was found": ("epochs: 1", "epochs: many", "(found 'many')"),
    "out of range": ("epochs: 1", "epochs: 0", "recipe.yaml:21: train.epochs: expected greater than 0 (found 0)"),
    "wrong type in a list": ("[24, 12, 12]", "[24, x, 12]", "recipe.yaml:3: data.samples.1: expected a valid integer"),
    "no list": ("seeds: [1]", "seeds: 1", "recipe.yaml:2: seeds: expected a list, such as [1, 2] (found 1)"),
    "only the entry is wrong": ("seeds: [1]", "seeds: [a]", "recipe.yaml:2: seeds.0: expected a valid integer"),
    "empty list": ("seeds: [1]", "seeds: []", "recipe.yaml:2: seeds: expected at least 1"),
    "seed twice": ("seeds: [1]", "seeds: [1, 2, 1]", "recipe.yaml:2: seeds: each seed once, found 1, 2, 1"),
    "no keys": ("task: {kind: bins, classes: 7}", "task: bins", "recipe.yaml:4: task: expected"),
    "empty section": (
        "train:\n  epochs: 1\n  batch_size: 8",
        "train:",
        "recipe.yaml:20: train: expected keys with values",
    ),
    "missing section": ("task: {kind: bins, classes: 7}\n", "", "recipe.yaml: task: required, and not given"),
    "missing field": ("  epochs: 1\n", "", "recipe.yaml:20: train.epochs: required, and not given"),
    "missing field of a component": (
        "data: {name: synthetic, samples: [24, 12, 12]}",
        "data: {name: mmsa-pickle}",
        "recipe.yaml:3: data.path: required, and not given",
    ),
    "unknown component": (
        "name: relational",
        "name: relationl",
        "recipe.yaml:17: distillers.rkd.name: unknown distiller 'relationl'. Did you mean 'relational'?",
    ),
    "component of another kind": (
        "{name: pooled}",
        "{name: concat}",
        "recipe.yaml:9: model.encoders.audio.name: unknown encoder 'concat'. Known:",
    ),
    "component without a name": (
        "{name: pooled}",
        "{}",
        "recipe.yaml:9: model.encoders.audio: name is required, and not given. Encoders: ",
    ),
    "component as a word": (
        "{name: pooled}",
        "pooled",
        "recipe.yaml:9: model.encoders.audio: expected {name: ..., ...} with the name of a component, found 'pooled'",
    ),
    "unknown task": (
        "kind: bins",
        "kind: bin",
        "recipe.yaml:4: task.kind: unknown kind 'bin'. Did you mean 'bins'? Kinds: regression, bins,",
    ),
    "task without a kind": (
        "{kind: bins, classes: 7}",
        "{classes: 7}",
        "recipe.yaml:4: task.kind: required, and not given.",
    ),
    "unknown teacher": (
        "kind: trained",
        "kind: trainde",
        "recipe.yaml:11: teacher.kind: unknown kind 'trainde'. Did you mean 'trained'? Kinds: none, self, trained,",
    ),
    "teacher as a word": (
        "{kind: trained, require: complete}",
        "trained",
        "recipe.yaml:11: teacher: expected a teacher as",
    ),
    "no teacher said": ("{kind: trained, require: complete}", "", "recipe.yaml:11: teacher: expected a teacher as"),
    "field of another teacher": (
        "kind: trained",
        "kind: ema",
        "recipe.yaml:11: teacher.require: unknown key 'require'. Known here: kind, decay",
    ),
    "teacher with a bad path": (
        "{kind: trained, require: complete}",
        "{run: 5}",
        "recipe.yaml:11: teacher.run: expected a path",
    ),
    "name that is no folder": ("name: tiny", "name: ../tiny", "recipe.yaml:1: name: "),
    "key that is no text": ("seeds: [1]", "1: [1]", "recipe.yaml:2: a key must be text, found 1"),
    "key that is a truth value": ("seeds: [1]", "yes: [1]", "recipe.yaml:2: a key must be text, found True"),
    "not YAML": ("seeds: [1]", "seeds: [1", "recipe.yaml:3: expected ',' or ']'"),
    "tabs": ("  dim: 8", "\tdim: 8", "recipe.yaml:6: found character '\\t' that cannot start any token"),
    "two documents": ("train:", "---\ntrain:", "recipe.yaml:20: expected a single document"),
    "Python objects": (
        "[1]",
        "!!python/object/apply:os.system [ls]",
        "recipe.yaml:2: could not determine a constructor",
    ),
    "no such date": ("name: tiny", "name: 2024-13-45", "recipe.yaml:1: not a valid timestamp"),
    "no such integer": ("[1]", "[!!int x]", "recipe.yaml:2: not a valid int: 'x'"),
    "half a character": ("name: tiny", 'name: "\\ud800"', "recipe.yaml:1: '\\ud800' is not text"),
    "half a character in a key": ("seeds:", '"\\ud800":', "recipe.yaml:2: '\\ud800' is not text"),
    "itself inside": ("[1]", "&a [*a]", "recipe.yaml:2: a value holds itself"),
    "reserved label": ("  rkd:", "  task:", "'task' cannot name a term"),
}


@pytest.mark.parametrize(("old", "new", "says"), DEFECTS.values(), ids=DEFECTS)
def test_a_defect_is_located_and_explained(refused, old, new, says):
    assert TEXT.count(old) == 1
    assert says in refused(TEXT.replace(old, new))


def test_every_defect_is_listed(load):
    text = TEXT.replace("epochs: 1", "epochs: 0").replace("dim: 8", "dim: wide").replace("pooled", "poled")
    with pytest.raises(UserError) as caught:
        load(text)
    lines = str(caught.value).splitlines()
    assert [re.search(r"recipe\.yaml:(\d+): ([\w.]+):", line).groups() for line in lines] == [
        ("6", "model.dim"),
        ("9", "model.encoders.audio.name"),
        ("21", "train.epochs"),
    ]


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- a\n", "a list"), ("word\n", "a str")])
def test_a_file_that_is_no_mapping(refused, text, found):
    assert refused(text) == f"recipe.yaml: a recipe is a mapping of keys to values, found {found}"


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the recipe .*absent\.yaml: No such file or directory"):
        recipe_file.load(tmp_path / "absent.yaml")
    with pytest.raises(UserError, match=r"cannot read the recipe .*: Is a directory"):
        recipe_file.load(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"cannot read the recipe .*binary\.yaml: not a text file in UTF-8"):
        recipe_file.load(tmp_path / "binary.yaml")


def test_a_run_needs_no_kind(load):
    teacher = load(TEXT.replace("{kind: trained, require: complete}", "{run: runs/a}")).teacher
    assert (teacher.kind, teacher.run) == ("run", Path("runs/a"))
    teacher = load(TEXT.replace("{kind: trained, require: complete}", "{runs: [a, b]}")).teacher
    assert (teacher.kind, teacher.runs) == ("ensemble", (Path("a"), Path("b")))


def test_overrides_take_yaml_values(load):
    recipe = load(
        TEXT,
        "train.lr=1e-4",
        "train.clip=1",
        "seeds=[3, 4]",
        "masker=null",
        "data.aligned=false",
        "track.wandb.tags=[a, b]",
        "model.encoders={text: {name: pooled}}",
        "teacher.train={epochs: 2, batch_size: 4}",
        "name=other",
    )
    assert recipe.train.lr == 1e-4
    assert recipe.train.clip == 1.0
    assert recipe.seeds == (3, 4)
    assert recipe.masker is None
    assert recipe.data.aligned is False
    assert recipe.track.wandb.tags == ("a", "b")
    assert list(recipe.model.encoders) == ["text"]
    assert recipe.teacher.train.epochs == 2
    assert recipe.name == "other"


def test_updates_a_start_and_no_task_are_asked_for_by_overrides(load):
    train = load(TEXT).train
    assert (train.accumulate, train.clip_value, train.schedule) == (1, None, "constant")
    assert (train.plateau_factor, train.plateau_patience) == (0.5, 5)
    overrides = ("train.accumulate=10", "train.clip_value=0.8", "train.schedule=plateau", "train.plateau_patience=0")
    recipe = load(TEXT, *overrides, "model.init.run=runs/first", "task.kind=none")
    assert recipe.train.accumulate == 10
    assert recipe.train.clip_value == 0.8
    assert (recipe.train.schedule, recipe.train.plateau_patience) == ("plateau", 0)
    assert recipe.model.init.run == Path("runs/first")
    assert recipe.task.model_dump() == {"kind": "none"}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.accumulate=0", "train.accumulate: expected greater than 0"),
        ("train.clip_value=0", "train.clip_value: expected greater than 0"),
        ("train.plateau_factor=1", "train.plateau_factor: expected less than 1"),
        ("train.plateau_factor=0", "train.plateau_factor: expected greater than 0"),
        ("train.plateau_patience=-1", "train.plateau_patience: expected greater than or equal to 0"),
        ("model.init={}", "model.init.run: required, and not given"),
        ("task.kind=nothing", "Kinds: regression, bins, classification, binary_labels, none"),
    ],
)
def test_limits_of_updates_and_of_a_start(refused, override, says):
    assert says in refused(TEXT, override)


def test_the_last_override_counts(load):
    assert load(TEXT, "model.dim=4", "model.dim=6").model.dim == 6


def test_naming_another_component_keeps_shared_keys_only(load):
    recipe = load(TEXT, "distillers.rkd.name=kd", "model.encoders.text.name=pooled", "masker.name=frame_dropout")
    assert recipe.distillers["rkd"].name == "kd"
    assert recipe.distillers["rkd"].weight == 0.5
    assert not hasattr(recipe.distillers["rkd"], "delta")
    assert recipe.model.encoders["text"].name == "pooled"
    assert recipe.masker.rate == 0.5
    assert load(TEXT, "data.name=mmsa-pickle", "data.path=x.pkl").data.path == Path("x.pkl")
    assert load(TEXT, "model.fusion.name=gated").model.fusion.name == "gated"
    assert load(TEXT, "distillers.rkd.name=relational").distillers["rkd"].delta == 2.0


def test_naming_another_kind_keeps_shared_keys_only(load):
    assert load(TEXT, "task.kind=regression").task.kind == "regression"
    assert load(TEXT, "teacher.kind=none").teacher.kind == "none"
    teacher = load(TEXT, "teacher.cache=false", "teacher.kind=run", "teacher.run=a").teacher
    assert (teacher.kind, teacher.cache, teacher.run) == ("run", False, Path("a"))
    assert load(TEXT, "teacher={run: a}", "teacher.kind=trained").teacher.kind == "trained"


def test_an_override_reaches_one_of_two_aliases(load):
    text = TEXT.replace("{name: recurrent, layers: 1}", "&e {name: pooled}").replace(
        "audio: {name: pooled}", "audio: *e"
    )
    encoders = load(text, "model.encoders.text.name=recurrent").model.encoders
    assert [config.name for config in encoders.values()] == ["recurrent", "pooled"]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.lr", "--set train.lr: expected key=value, for example --set train.lr=1e-4"),
        ("=3", "--set =3: expected key=value"),
        ("train..lr=3", "--set train..lr=3: expected key=value"),
        ("train.lr=[1", "--set train.lr=[1: expected ',' or ']'"),
        ("train.lr={a: 1, a: 2}", "--set train.lr={a: 1, a: 2}: key 'a' is repeated"),
        ("train.lr=fast", "--set train.lr=fast: train.lr: expected a valid number"),
        ("train.lr=", "--set train.lr=: train.lr: expected a valid number (found nothing)"),
        ("train.rate=3", "--set train.rate=3: train.rate: unknown key 'rate'."),
        ("trian.lr=3", "--set trian.lr=3: trian: unknown key 'trian'. Did you mean 'train'?"),
        ("train.epochs.x=3", "--set train.epochs.x=3: train.epochs is 1, which has no keys; set it as a whole"),
        ("seeds.0=3", "--set seeds.0=3: seeds is [1], which has no keys; set it as a whole"),
        (
            "masker.name=subsets",
            "--set masker.name=subsets: masker.name: unknown masker 'subsets'. Did you mean 'subset'?",
        ),
        (
            "distillers.b.name=relationl",
            "--set distillers.b.name=relationl: distillers.b.name: unknown distiller 'relationl'. Did you mean",
        ),
        ("distillers.b.weight=2", "--set distillers.b.weight=2: distillers.b: name is required, and not given"),
        ("task.kind=bin", "--set task.kind=bin: task.kind: unknown kind 'bin'. Did you mean 'bins'?"),
        ("teacher.kind=runn", "--set teacher.kind=runn: teacher.kind: unknown kind 'runn'. Did you mean 'run'?"),
        ("teacher=trained", "--set teacher=trained: teacher: expected a teacher as {kind: ..., ...}, found 'trained'"),
        ("data.channels={text: 3}", "recipe.yaml:3 with --set data.channels={text: 3}: data: gains name"),
    ],
)
def test_a_bad_override_is_quoted_and_explained(refused, override, says):
    assert says in refused(TEXT, override)


@pytest.fixture(scope="module")
def schema():
    found = Recipe.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


class Yaml12(recipe_yaml.UniqueKeys):
    """As editors read YAML: 1e-3 is a number."""


Yaml12.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?e[-+]?\d+$"), list("0123456789"))


@pytest.mark.parametrize("path", [*map(needing, SHIPPED)])
def test_the_schema_admits_shipped_recipes_and_what_they_are_filled_to(schema, path):
    schema.validate(yaml.load(path.read_text(encoding="utf-8"), Yaml12))
    schema.validate(yaml.load(recipe_file.dump(recipe_file.load(path)), Yaml12))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("epochs: 1", "epoch: 1"),
        ("epochs: 1", "epochs: many"),
        ("epochs: 1", "epochs: 0"),
        ("name: relational", "name: relationl"),
        ("delta: 2.0", "dellta: 2.0"),
        ("delta: 2.0", "delta: -1"),
        ("{name: pooled}", "{name: concat}"),
        ("{name: pooled}", "pooled"),
        ("kind: bins", "kind: bin"),
        ("kind: trained", "kind: trainde"),
        ("task: {kind: bins, classes: 7}\n", ""),
        ("rate: 0.5", "rate: 1.5"),
        ("name: tiny", "name: ../tiny"),
    ],
)
def test_the_schema_refuses_what_is_broken(schema, old, new):
    schema.validate(yaml.load(TEXT, Yaml12))
    assert TEXT.count(old) == 1
    assert not schema.is_valid(yaml.load(TEXT.replace(old, new), Yaml12))


@pytest.mark.needs("mmsa-corrkd")
def test_the_schema_has_plugins_fields_and_their_meaning(schema):
    properties = schema.schema["properties"]
    terms = properties["distillers"]["additionalProperties"]["oneOf"]
    found = {each["properties"]["name"]["const"]: each for each in terms}
    assert {"kd", "corrkd.scd", "corrkd.cpd", "corrkd.rcd"} <= set(found)
    assert "Margin" in found["corrkd.scd"]["properties"]["eta"]["description"]
    assert found["corrkd.scd"]["additionalProperties"] is False
    assert "name" in found["corrkd.scd"]["required"]
    text = str(schema.schema)
    assert "corrkd.encoder" in text
    assert "corrkd.missing" in text


WORDS = (
    "name seeds data task model teacher masker distillers train kind run runs text null true yes 1e-4 .nan .inf -1 0 "
    "99999999999999999999 [] {} [1] {a: 1} {name: kd} &a *a ~ ' \" : - ? ! !!int !!set !!binary !!timestamp << # | > @ "
    "2024-13-45 0x 1_000 1:30 \\ud800 \u00e9 \u2028 \x00 relational synthetic ensemble bins"
)
PIECES = st.sampled_from([*WORDS.split(" "), "\n", "\t", " ", "  ", "\n  ", ": ", ", ", "---\n", "[" * 200])


def outcome(path, *overrides):
    """The recipe, or the message that it was refused with."""
    try:
        return recipe_file.load(path, overrides), str(path)
    except UserError as error:
        return None, str(error)


@st.composite
def mutated(draw):
    """The recipe's text with pieces of it removed, replaced, repeated or set in."""
    text = draw(st.sampled_from([TEXT, recipe_file.dump(Recipe.model_validate(yaml.safe_load(TEXT)))]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(PIECES | st.just(text[start:end] * 2) | st.text(max_size=4))
        text = text[:start] + piece + text[end:]
    return text


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=mutated())
def test_any_text_is_a_recipe_or_a_clear_error(text, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    recipe, message = outcome(path)
    assert "recipe.yaml" in message
    if recipe is not None:
        path.write_text(recipe_file.dump(recipe), encoding="utf-8")
        assert recipe_file.load(path) == recipe


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.lists(PIECES | st.text(max_size=3), min_size=1, max_size=4).map(".".join),
    value=st.lists(PIECES | st.text(max_size=3), max_size=4).map("".join),
)
def test_any_override_is_taken_or_a_clear_error(key, value, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(TEXT, encoding="utf-8")
    recipe, message = outcome(path, f"{key}={value}")
    assert recipe is not None or f"--set {key}={value}" in message


@pytest.mark.needs("mmsa-corrkd")
def test_null_removes_a_term():
    path = SHIPPED[0].with_name("corrkd.yaml")
    assert list(recipe_file.load(path, ["distillers.cpd=null"]).distillers) == ["scd", "rcd"]
    with pytest.raises(UserError, match="there is no term 'spd' to remove; found: scd, cpd, rcd"):
        recipe_file.load(path, ["distillers.spd=null"])


@pytest.mark.needs("mmsa-corrkd")
def test_null_removes_a_modality():
    path = SHIPPED[0].with_name("corrkd.yaml")
    assert list(recipe_file.load(path, ["model.encoders.vision=null"]).model.encoders) == ["text", "audio"]
    with pytest.raises(UserError, match="there is no modality 'video' to remove; found: text, audio, vision"):
        recipe_file.load(path, ["model.encoders.video=null"])


@pytest.mark.parametrize("value", ["!!int", "!!float", "!!bool", "!!timestamp", "!!binary", "!!int 0b", "!!int 1:x"])
def test_a_value_that_its_tag_does_not_fit(value):
    with pytest.raises(UserError, match="--set name="):
        recipe_file.load(SHIPPED[0].with_name("mult.yaml"), [f"name={value}"])
