"""Advice on errors of libraries that look for something that images do not have by themselves."""

from __future__ import annotations

import re

_KNOWN = (
    # Of Numba, for cache=True; of inspect.getsource; of torch.jit.
    (
        re.compile(
            "no locator available for file|could not get source code|source code not available"
            "|Can't get source for"
        ),
        "The source of a function that was sent with the task is not in the image: move it to a "
        "module of your own and add that with the option local_packages, or leave out what needs "
        "its source, such as Numba's cache=True.",
    ),
    (
        re.compile(r"nltk\.download\('(?P<what>[\w.-]+)'\)"),
        "NLTK's data is not in the image. Download it while the image is built: "
        "ct.DepsBash(['python3 -m nltk.downloader -d /usr/share/nltk_data {what}']), with the "
        "executor's option bash_deps='after_packages'.",
    ),
    (
        re.compile(r"\[E050\] Can't find model '(?P<what>[\w.-]+)'"),
        "A model of spaCy is a package of its own: add it to ct.DepsPip by the URL of its wheel, "
        "'{what} @ https://…'.",
    ),
)


def advice(message: str) -> str:
    """Return how to give a library what it has not found, from its error's message, or ``""``."""
    for pattern, words in _KNOWN:
        if match := pattern.search(message):
            return words.format(**match.groupdict())
    return ""
