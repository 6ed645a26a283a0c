"""Progress is reported to the caller that waits, and to nobody else."""

from __future__ import annotations

import threading

from covalent_lambda_container.progress import report, reported_to


def test_reports_go_to_the_innermost_receiver() -> None:
    outer: list[str] = []
    inner: list[str] = []
    report("lost")
    with reported_to(outer.append):
        report("one")
        with reported_to(inner.append):
            report("two")
        report("three")
    report("lost")
    assert (outer, inner) == (["one", "three"], ["two"])


def test_other_threads_have_receivers_of_their_own() -> None:
    lines: list[str] = []
    with reported_to(lines.append):
        thread = threading.Thread(target=report, args=("elsewhere",))
        thread.start()
        thread.join()
    assert lines == []
