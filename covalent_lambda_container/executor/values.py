"""What the values that a task is given bring along for its image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from covalent_lambda_container.covalent_api.transport import Origin
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.requirements import parsed
from covalent_lambda_container.packages.value_requirements import joined_options, with_required

_COPIED_FIELDS = (
    "requirements",
    "flexible",
    "constraints",
    "install_options",
    "commands",
    "late_commands",
    "base_image",
)


def image_of_values(
    own: ImageSpec,
    origins: Iterable[Origin],
    made: Mapping[str, ImageContents],
    *,
    any_root: bool,
) -> ImageSpec | None:
    """Return the image in which a task's values were made, if it has all that the task names.

    What was built there with commands, or found by options, need not be found again.

    Parameters
    ----------
    own
        What the task names.
    origins
        Where its values come from.
    made
        What is in their images, by tag.
    any_root
        Whether the task's executor leaves the root image open.
    """
    known = list(origins)
    # The one with the most packages may have those of the others.
    for tag, contents in sorted(made.items(), key=lambda item: (-len(item[1].packages), item[0])):
        has = {*contents.packages, *map(without_local_version, contents.packages)}
        if all(o.image == tag or has.issuperset(o.requirements) for o in known):
            combined = _with_all_of(own, contents.spec, any_root=any_root)
            if combined:
                return combined
    return None


def _with_all_of(own: ImageSpec, made: Mapping[str, Any], *, any_root: bool) -> ImageSpec | None:
    try:
        fields: dict[str, Any] = {
            name: made[name] if name == "base_image" else tuple(made.get(name, ()))
            for name in _COPIED_FIELDS
        }
        same = ("python_version", "architecture", "cloudpickle_version")
        fits = all(getattr(own, name) == made[name] for name in same)
    except (KeyError, TypeError):
        # Made by another release.
        return None
    fits = fits and (any_root or own.base_image == fields["base_image"])
    for name in ("commands", "late_commands"):
        fits = fits and getattr(own, name) in ((), fields[name])
    for name in ("requirements", "constraints", "install_options"):
        fits = fits and set(getattr(own, name)).issubset(fields[name])
    return replace(own, **fields) if fits else None


def with_values(
    own: ImageSpec, origins: Iterable[Origin], made: Mapping[str, ImageContents]
) -> ImageSpec:
    """Return an image with what a task names, and what its values require.

    The task's own requirements win. The options that found the packages of the values are kept.
    """
    required = {text for origin in origins for text in origin.requirements}
    requirements = with_required(own.requirements, required)
    found_by = [contents.spec.get("install_options", ()) for contents in made.values()]
    return replace(
        own,
        requirements=requirements,
        flexible=tuple(sorted(set(requirements) - set(own.requirements))),
        install_options=joined_options(own.install_options, *found_by),
    )


def without_local_version(pin: str) -> str:
    """Return a pin without the local part of its version: ``"torch==2.3.0"`` of ``+cpu``."""
    return pin if " @ " in pin else pin.partition("+")[0]


def with_value_sources(
    error: ImageBuildError, spec: ImageSpec, origins: Iterable[Origin]
) -> ImageBuildError:
    """Return a build's error that names the values that required packages, if any did."""
    sources = value_sources(spec, origins)
    if not sources:
        return error
    message = f"{error.message}\nValues that the task is given brought packages along: {sources}."
    hint = (
        "Name these packages in the task's own ct.DepsPip, in versions and with options that can "
        "be installed together, or in the electron that made the value."
    )
    return type(error)(message, hint="\n".join(filter(None, [error.hint, hint])))


def value_sources(spec: ImageSpec, origins: Iterable[Origin]) -> str:
    """Return which node's value required which of an image's packages."""
    from_values = set(spec.flexible)
    required_by: dict[str, set[str]] = {}
    for origin in origins:
        required = from_values.intersection(origin.requirements)
        if required:
            source = origin.node or (
                "a value of a task" if origin.image else "a value of the client"
            )
            required_by.setdefault(source, set()).update(required)
    return "; ".join(
        f"{', '.join(sorted(required))} from {source}"
        for source, required in sorted(required_by.items())
    )


def other_versions(origins: Iterable[Origin], pins: Iterable[str]) -> str:
    """Return which values were made with other versions than those in the task's image."""
    installed = {parsed(pin).name: pin for pin in pins}
    differing: dict[tuple[str, str], str] = {}
    for origin in origins:
        for text in origin.requirements:
            found = installed.get(parsed(text).name)
            if found and without_local_version(found) != without_local_version(text):
                differing[text, found] = origin.node or "the client"
    return "; ".join(
        f"the value from {node} was made with {text}, and the image has {found}"
        for (text, found), node in sorted(differing.items())
    )
