"""The excerpt of the output of uv and pip."""

from __future__ import annotations

from covalent_lambda_container.packages.installer_output import names_to_build, shortened


def test_packages_without_wheels_are_named() -> None:
    said = "cause: …\n\nhint: Wheels are required for `annoy` because building from source is off"
    assert names_to_build(said) == ("annoy",)
    assert names_to_build("error: No solution found") == ()


def test_versions_are_not_listed_by_the_hundred() -> None:
    versions = [f"1.{number}" for number in range(120)]
    pip = f"ERROR: Could not find a version (from versions: {', '.join(versions)})"
    assert shortened(pip).endswith("(from versions: …, 1.117, 1.118, 1.119)")
    listed = "\n".join(f"      foo=={version}" for version in versions)
    assert shortened(f"available:\n{listed}\nend").splitlines() == [
        *(
            "available:",
            "      …",
            "      foo==1.117",
            "      foo==1.118",
            "      foo==1.119",
            "end",
        )
    ]


def test_long_output_keeps_its_beginning_and_its_end() -> None:
    lines = shortened("\n".join(map(str, range(1000)))).splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("0", "999", 14)


def test_lines_of_an_environment_or_of_several_packages_are_no_list_of_versions() -> None:
    for lines in (
        ["  CFLAGS=-O2", "  HOME=/root", "  A=1", "  B=2", "  C=3"],
        ["  alpha==1", "  beta>=2", "  gamma<3", "  delta~=4.0", "  epsilon==5"],
        ["  A==", "  B==", "  C==", "  D==", "  E=="],
    ):
        assert shortened("\n".join(lines)).splitlines() == lines


def test_each_of_two_lists_is_shortened() -> None:
    lines = [f"  {name}=={number}" for name in ("foo", "bar") for number in range(5)]
    assert shortened("\n".join(lines)).splitlines() == [
        *("  …", "  foo==2", "  foo==3", "  foo==4"),
        *("  …", "  bar==2", "  bar==3", "  bar==4"),
    ]
