from __future__ import annotations

import pytest

from slt.core.errors import UserError
from slt.launch.steps import read_pipeline


@pytest.fixture
def steps(tmp_path):
    path = tmp_path / "steps.yaml"

    def read(text, **defaults):
        path.write_text(text)
        return read_pipeline(path, defaults)

    return read


def test_steps_come_in_an_order_that_can_be_submitted_with_defaults_where_they_say_nothing(steps):
    jobs = steps(
        """
        steps:
          train: {run: train-encoder r.yaml, after: [extract, embed], gpus: 4, time: "8:00:00"}
          embed: {run: embed-text m.tsv --out e}
          extract: {run: extract-features m.tsv --out f, array: 16, gpus: 1, accept_failures: true}
        """,
        time="1:00:00",
    )
    assert [job.title for job in jobs] == ["embed", "extract", "train"]
    assert [job.time for job in jobs] == ["1:00:00", "1:00:00", "8:00:00"]
    assert jobs[1].array == 16
    assert jobs[2].after == ("extract", "embed")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps: {a: {run: x, after: [b]}, b: {run: y, after: [a]}}", "a, b wait for each other"),
        ("steps: {fetch: {run: x}, b: {run: y, after: [fecth]}}", "b comes after 'fecth', which is no step"),
        ("steps: {a: {run: x, gpu: 1}, b: {gpus: 1}}", r"in a: gpu: unknown.*in b: run: absent"),
        ("steps: {a: x}", "expected a group of keys, found 'x'"),
        ("steps: {}", "has no steps"),
        ("jobs: {}", "jobs: unknown"),
        ("steps: [", "is not YAML"),
    ],
)
def test_mistakes_are_told_with_their_place(steps, text, said):
    with pytest.raises(UserError, match=said):
        steps(text)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.yaml: No such file"):
        read_pipeline(tmp_path / "none.yaml", {})
