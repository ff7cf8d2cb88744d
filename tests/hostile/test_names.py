"""Names that would be markup, formulas or commands, from a data set, a protocol and a tampered run to a report."""

import json
import re
from html.parser import HTMLParser

import pytest
import torch
import yaml

from mmsa_core import writers
from mmsa_core.corpora import making
from mmsa_core.corpora.corpus import Corpus
from mmsa_core.datasets.folder import Folder, FolderConfig
from mmsa_core.display import Display
from mmsa_core.errors import UserError
from mmsa_core.plain import controls, plain
from mmsa_core.training import experiment

CPU = torch.device("cpu")
EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{7*7}}{% raw %}",
    "[bold red]x[/] :smile:",
    "[a](javascript:alert(1))",
    "\\input{/etc/passwd} $x^$ & %",
    "=1+1",
    "../../../tmp/x",
    "a/b",
]
TAGS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "nav",
        "ul",
        "li",
        "a",
        "main",
        "section",
    ),
    *("p", "strong", "details", "summary", "div", "table", "caption", "span", "thead", "tbody", "tr", "th", "td"),
    *("figure", "img", "figcaption"),
}
ATTRIBUTES = {
    *("lang", "charset", "name", "content", "aria-label", "href", "aria-labelledby", "id", "class", "role", "tabindex"),
    *("scope", "src", "width", "alt"),
}


class Elements(HTMLParser):
    """All elements of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def named(tmp_path):
    """A folder of data whose ids are hostile."""
    corpus = making.corpus("tiny", 0, ["0.2"])
    splits = {}
    for number, (name, split) in enumerate(corpus.splits.items()):
        ids = tuple(f"{EVIL[row % len(EVIL)]} {number}-{row}" for row in range(len(split)))
        splits[name] = type(split)(ids, split.features, split.targets)
    writers.write(Corpus(splits, corpus.digest), "folder", tmp_path / "data")
    assert not [path for path in tmp_path.rglob("*") if any(each in path.name for each in ("script", "passwd", "img"))]
    return tmp_path / "data"


@pytest.fixture
def run(make, tmp_path):
    data = {"name": "folder", "path": str(named(tmp_path)), "labels": {"score": "score"}}
    return experiment.train(make.tiny(data=data, masker=None), tmp_path / "run", CPU, "mmsa train", Display())


def tamper(seed):
    """What a stranger can write into a run folder."""
    about = json.loads((seed / "provenance.json").read_text())
    evil = {"command": EVIL[0], "commit": EVIL[1], "platform": EVIL[2], "device": EVIL[3]}
    (seed / "provenance.json").write_text(json.dumps(about | evil | {"versions": {EVIL[1]: EVIL[0]}}))
    line = {"when": EVIL[1], "command": EVIL[0], "what": EVIL[0], "conditions": EVIL}
    (seed / "test_evaluations.jsonl").write_text(json.dumps(line) + "\n")


def test_a_report_shows_them_as_they_are(run, tmp_path, mmsa):
    tamper(run / "seed-1")
    conditions = {each: [{"name": "pattern", "keep": ["text"]}] for each in EVIL} | {"as it is": []}
    file = tmp_path / "evil.yaml"
    file.write_text(yaml.safe_dump({"name": "evil", "axis": EVIL[0], "about": EVIL[1], "conditions": conditions}))
    done = mmsa("report", run, "--out", tmp_path / "report", "--protocol", file)
    assert done.exit_code == 0, done.output
    text = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    found = Elements(text).found
    assert {tag for tag, _ in found} <= TAGS
    assert {name for _, attributes in found for name in attributes} <= ATTRIBUTES
    assert all(a["href"].startswith("#") for tag, a in found if tag == "a")
    assert all(a["src"].startswith("data:image/png;base64,") for tag, a in found if tag == "img")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{7*7}}" in text
    for path in [tmp_path / "report" / "report.md", *(tmp_path / "report").rglob("*.md")]:
        assert not re.search(r"(?<!\\)[<>\[]", re.sub(r"!\[[^\n]*\]\(figures/[\w.-]+\)", "", path.read_text()))
    for path in (tmp_path / "report" / "tables").glob("*.tex"):
        assert "\\input" not in path.read_text()
        assert "$x^$" not in path.read_text()
    assert all(re.fullmatch(r"[\w.-]+", path.name) for path in (tmp_path / "report").rglob("*"))


def test_evaluate_and_embed_make_no_file_elsewhere(run, tmp_path, mmsa):
    conditions = {"../../up": [], "/tmp/x": [], "a/../b": []}
    file = tmp_path / "evil.yaml"
    file.write_text(yaml.safe_dump({"name": "evil", "conditions": conditions}))
    before = {path for path in tmp_path.rglob("*") if run not in path.parents}
    evaluated = mmsa("evaluate", run, "--protocol", file)
    embedded = mmsa("embed", run, "--protocol", file, "--method", "pca")
    assert (evaluated.exit_code, embedded.exit_code) == (0, 0), evaluated.output + embedded.output
    assert "../../up" in evaluated.output
    assert {path for path in tmp_path.rglob("*") if run not in path.parents} == before


def test_a_protocols_name_is_no_path(tmp_path, mmsa):
    file = tmp_path / "evil.yaml"
    file.write_text("name: ../../evil\nsubsets: true\n")
    done = mmsa("evaluate", tmp_path, "--protocol", file)
    assert done.exit_code == 2


def test_the_table_on_a_terminal_has_no_markup(capsys):
    from mmsa_core.screen import Screen

    Screen(width=80).print("[bold]x[/bold] :smile: \x1b[2J")
    assert capsys.readouterr().out.strip() == r"[bold]x[/bold] :smile: \x1b[2J"


@pytest.mark.parametrize("sign", ["\x1b", "\x00", "\n", "\x9b", "\u202e", "\u2028"])
def test_ids_that_are_commands_are_refused(run, tmp_path, mmsa, sign):
    assert controls(sign)
    assert plain(f"a{sign}b") == f"a{sign}b" if sign == "\n" else not controls(plain(f"a{sign}b"))
    table = tmp_path / "data" / "samples.csv"
    text = table.read_text(encoding="utf-8").replace("=1+1 0-", f'"=1{sign}+1 0-', 1).replace('"=1', '"=1', 1)
    first = text.index(f'"=1{sign}')
    end = text.index(",", first)
    table.write_text(text[:end] + '"' + text[end:], encoding="utf-8", newline="")
    done = mmsa("evaluate", run)
    assert done.exit_code == 2, done.output
    assert "control character" in done.output or "samples.csv" in done.output
    assert sign == "\n" or sign not in done.output


def test_letters_of_all_scripts_are_names():
    assert not any(map(controls, ["视频_01", "école", "Ω$_$3", "נשמע", "a b", "x\u3000y", "क्षि"]))


def test_the_folder_reader_keeps_to_its_folder(tmp_path):
    data = named(tmp_path)
    (tmp_path / "secret.npy").write_bytes((data / "text" / "train-00000.npy").read_bytes())
    table = data / "samples.csv"
    whole = table.read_text(encoding="utf-8")
    (data / "link.npy").symlink_to(tmp_path / "secret.npy")
    for path in ("../secret.npy", str(tmp_path / "secret.npy"), "link.npy", "text/../../secret.npy", "C:\\x.npy"):
        table.write_text(whole.replace("text/train-00000.npy", path), encoding="utf-8")
        with pytest.raises(UserError, match=r"leads out|cannot be read"):
            Folder(FolderConfig(name="folder", path=data)).load()
