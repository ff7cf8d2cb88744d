"""The log of the test split's evaluations."""

import json
from datetime import datetime

from mmsa_core.run_folder import test_log


def test_each_evaluation_is_a_line(tmp_path):
    assert test_log.count(tmp_path) == 0
    test_log.record(tmp_path, "train", "mmsa train a.yaml", ["test_masked", "test_complete"])
    test_log.record(tmp_path, "protocol inter", "mmsa évaluer\nrun", ("text", "audio"))
    assert test_log.count(tmp_path) == 2
    first, second = map(json.loads, (tmp_path / "test_evaluations.jsonl").read_text(encoding="utf-8").splitlines())
    assert datetime.fromisoformat(first.pop("when")).tzinfo is not None
    assert first == {"command": "mmsa train a.yaml", "what": "train", "conditions": ["test_masked", "test_complete"]}
    assert second["command"] == "mmsa évaluer\nrun"
    assert second["conditions"] == ["text", "audio"]


def test_a_line_that_was_torn_counts_and_swallows_no_other(tmp_path):
    test_log.record(tmp_path, "train", "mmsa train a.yaml", ["test_complete"])
    path = tmp_path / test_log.FILE
    path.write_bytes(path.read_bytes() + b'{"when": "2026-01-01T00:00:00+00:00", "what": "in\xff')  # a power cut
    assert test_log.count(tmp_path) == 2
    test_log.record(tmp_path, "intra", "mmsa evaluate", ["0.1"])
    assert [each["what"] for each in test_log.entries(tmp_path)] == ["train", "a line that cannot be read", "intra"]
    path.write_bytes(path.read_bytes() + b"[1]\nnull\n" + b"[" * 100_000 + b"\n")
    assert test_log.count(tmp_path) == 6
