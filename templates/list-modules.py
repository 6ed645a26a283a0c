"""Prints which pinned requirement each top-level module of a folder of packages belongs to.

usage: list-modules.py FOLDER

Written into the image, so that a result can say which packages its pickle refers to.
"""

import json
import sys
from importlib import metadata

# The dispatcher's own is in every image.
OWN = "cloudpickle"


def main(folder):
    modules = {}
    for distribution in metadata.distributions(path=[folder]):
        if distribution.metadata["Name"] != OWN:
            for module in top_level(distribution):
                modules.setdefault(module, []).append(pinned(distribution))
    print(json.dumps({name: sorted(modules[name]) for name in sorted(modules)}))


def top_level(distribution):
    paths = [path for path in distribution.files or () if path.suffix in (".py", ".so")]
    return {path.parts[0].partition(".")[0] for path in paths} - {"..", ""}


def pinned(distribution):
    name = distribution.metadata["Name"]
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url = origin.get("url", "")
    if url and not url.startswith("file:"):
        revision = origin.get("vcs_info")
        if revision:
            url = "{}+{}@{}".format(revision["vcs"], url, revision["commit_id"])
        return f"{name} @ {url}"
    # A local version, such as torch's "+cpu", names a build that an index need not have.
    return "{}=={}".format(name, distribution.version.partition("+")[0])


main(sys.argv[1])
