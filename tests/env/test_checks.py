from __future__ import annotations

import pytest

from slt.env.checks import CheckResult, failures


def test_failures_are_those_that_must_be_mended():
    good = CheckResult(name="a", status="ok", found="1")
    poor = CheckResult(name="b", status="warn", found="2", fix="buy another")
    bad = CheckResult(name="c", status="fail", found="3", fix="mend it")
    assert failures([good, poor, bad]) == [bad]


@pytest.mark.parametrize("status", ["warn", "fail"])
def test_a_complaint_must_say_what_to_do(status):
    with pytest.raises(ValueError, match="check 'disk' complains without saying what to do: full"):
        CheckResult(name="disk", status=status, found="full")
