"""Requirements files: pip's forms are read, or refused with file and line."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

import pytest

from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import (
    read_requirement_lines,
    read_requirements_file,
    read_requirements_text,
)

ONE = "sha256:" + "0a" * 32
OTHER = "sha256:" + "0b" * 32
SECRET = "hunter2"


def read(text: str) -> Requirements:
    return read_requirements_text(text, origin="requirements.txt")


def test_comments_blank_lines_and_continuations_are_understood() -> None:
    text = """
# a comment
numpy == 2.1   # and why
   # an indented one

scikit-learn \\
    >=1.5, \\
    <2
name @ https://example.com/name.zip#sha256=0a
"""
    assert read(text).packages == (
        "name @ https://example.com/name.zip#sha256=0a",
        "numpy==2.1",
        "scikit-learn<2,>=1.5",
    )


def test_a_file_may_end_in_a_continuation_and_have_windows_line_ends() -> None:
    assert read("numpy\r\nscipy\\").packages == ("numpy", "scipy")


def test_a_comment_is_not_continued() -> None:
    assert read("# see C:\\\nnumpy\n").packages == ("numpy",)


def test_hashes_are_kept() -> None:
    text = f"numpy==2.1 \\\n    --hash={OTHER} \\\n    --hash {ONE}\n    # via scipy\n"
    assert read(text).packages == (f"numpy==2.1 --hash={ONE} --hash={OTHER}",)


def test_where_one_package_has_a_hash_each_must_have_one() -> None:
    with pytest.raises(RequirementError) as caught:
        read(f"numpy==2.1 --hash={ONE}\n\nScipy==1.14\n")
    assert str(caught.value).startswith("requirements.txt, line 3: 'scipy==1.14' has no hash, but")
    # Constraints install nothing.
    assert read(f"numpy==2.1 --hash={ONE}\n").packages


def test_options_have_one_canonical_form() -> None:
    text = """
-i https://PyPI.example.com/simple/
--extra-index-url=https://b.example.com/simple --extra-index-url 'https://a.example.com/simple'
-f https://example.com/wheels/
--only-binary :all: --no-binary Foo_Bar,baz
"""
    assert read(text) == Requirements(
        options=(
            "--extra-index-url https://a.example.com/simple",
            "--extra-index-url https://b.example.com/simple",
            "--find-links https://example.com/wheels/",
            "--index-url https://pypi.example.com/simple",
            "--no-binary baz",
            "--no-binary foo-bar",
            "--only-binary :all:",
        )
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-r other.txt", "line 1: '-r other.txt' names a file that the dispatcher does not have"),
        (
            "numpy\n-c other.txt",
            "line 2: '-c other.txt' names a file that the dispatcher does not have",
        ),
        ("numpy\n\n# why\n-e .", "line 4: '-e .' is a folder or file of your machine"),
        ("numpy \\\n  ==2\nscipy ?= 1", "line 3: 'scipy ?= 1' is not a valid requirement"),
        ("numpy \\\n\\\n  ?= 2", "line 1: "),
        ("numpy==2.1 --hash=sha256:0a", "line 1: 'numpy==2.1' has the hash 'sha256:0a'"),
        ("--hash=sha256:0a", "line 1: '--hash=sha256:0a' is a hash without a package"),
        ("numpy --only-binary numpy", "line 1: 'numpy --only-binary numpy' has an option that"),
        ("--pre", "line 1: '--pre' requests pre-releases of every package."),
        ("--trusted-host example.com", "line 1: '--trusted-host example.com' is a setting of the"),
        ("--index-url", "line 1: "),
        ("--index https://example.com", "line 1: "),
        ("--find-links ./wheels", "line 1: '--find-links ./wheels' has the URL ./wheels"),
        ("--find-links file:///wheels", "line 1: "),
        (
            "--only-binary :some:",
            "line 1: '--only-binary :some:' names ':some:', which is no package",
        ),
        ("--only-binary ''", "line 1: "),
        ("--only-binary 'x", "line 1: "),
        (".", "line 1: '.' is a folder or file of your machine.\nSend your"),
        ("reqs.txt", "line 1: 'reqs.txt' is the name of a file, not of a package.\nTo install"),
        ("../reqs.txt", "line 1: '../reqs.txt' is the name of a file, not of a package"),
        ("pyproject.toml", "line 1: 'pyproject.toml' is the name of a file, not of a"),
        ("-r http://[x/reqs.txt", "line 1: '-r http://[x/reqs.txt' names a file by its URL"),
        ("-c https://]/", "line 1: '-c https://]/' names a file by its URL"),
        ("uv.lock", "line 1: 'uv.lock' is the name of a file, not of a package"),
        ("./src[x]", "line 1: './src[x]' is a folder"),
        ("https://example.com/name.whl", "line 1: "),
        ("numpy\nstray positional", "line 2: "),
        ("--only-binary numpy stray", "line 1: "),
    ],
)
def test_an_option_that_cannot_be_honoured_is_refused_with_its_line(
    text: str, message: str
) -> None:
    with pytest.raises(RequirementError) as caught:
        read(text)
    assert str(caught.value).startswith(f"requirements.txt, {message}")


@pytest.mark.parametrize("option", ["-i", "--index-url", "--extra-index-url", "--find-links"])
@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{SECRET}@example.com/simple",
        f"https://{SECRET}@example.com/simple",
        f"https://user:{SECRET}@example.com/simple stray",
        f"'https://user:{SECRET}@example.com/simple",
        "https://${USER}:${PASSWORD}@example.com/simple",
    ],
)
def test_credentials_in_an_index_are_refused_and_not_shown(option: str, url: str) -> None:
    with pytest.raises(RequirementError) as caught:
        read(f"{option} {url}")
    assert SECRET not in str(caught.value)
    assert str(caught.value).startswith("requirements.txt, line 1: ")


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("--only-binary=:none:", ()),
        ("--only-binary a,b\n--no-binary c\n--only-binary :none:", ("--no-binary c",)),
        ("--only-binary a\n--only-binary b,:none:,d", ("--only-binary d",)),
        ("--no-binary :all:,:none:\n--only-binary :all:", ("--only-binary :all:",)),
    ],
)
def test_none_empties_the_names_that_were_given_before(text: str, options: tuple[str, ...]) -> None:
    assert read(text).options == options


def test_files_named_in_a_file_are_read_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "requirements.txt").write_text("-r sub/base.txt\n-c limits.txt\nnumpy\n")
    (tmp_path / "sub" / "base.txt").write_text("\ufeffscipy\n--requirement=more.txt\n")
    (tmp_path / "sub" / "more.txt").write_text("pandas\n--only-binary :all:\n")
    (tmp_path / "limits.txt").write_text(
        f"pytz==1 --hash={ONE}\n-c more-limits.txt\n-r sub/more.txt\n"
    )
    (tmp_path / "more-limits.txt").write_text("six<2\n")
    assert read_requirements_file(tmp_path / "requirements.txt") == Requirements(
        packages=("numpy", "pandas", "scipy"),
        constraints=(f"pytz==1 --hash={ONE}", "six<2"),
        options=("--only-binary :all:",),
    )


def test_an_error_in_a_file_names_that_file_and_the_line(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("-r base.txt\n")
    (tmp_path / "base.txt").write_text("scipy\n-e .\n")
    with pytest.raises(RequirementError) as caught:
        read_requirements_file(tmp_path / "requirements.txt")
    assert str(caught.value).startswith(
        f"{tmp_path}/base.txt, line 2: '-e .' is a folder or file of"
    )


def test_files_that_include_themselves_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\n")
    (tmp_path / "b.txt").write_text("numpy\n-c ./a.txt\n")
    with pytest.raises(RequirementError) as caught:
        read_requirements_file(tmp_path / "a.txt")
    a, b = tmp_path / "a.txt", tmp_path / "b.txt"
    assert str(caught.value) == f"{b}, line 2: {a} includes itself: {a} → {b} → {a}."


def test_a_file_may_be_named_twice(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("-r b.txt\n-r c.txt\n")
    (tmp_path / "b.txt").write_text("-r c.txt\n")
    (tmp_path / "c.txt").write_text("numpy\n")
    assert read_requirements_file(tmp_path / "a.txt").packages == ("numpy",)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "a.txt").write_text("numpy\n-r b.txt\n")
    if content is not None:
        (tmp_path / "b.txt").write_bytes(content)
    with pytest.raises(RequirementError, match=r"a\.txt, line 2: \S*b\.txt cannot be read: "):
        read_requirements_file(tmp_path / "a.txt")
    with pytest.raises(
        RequirementError,
        match=r"^requirements: \S*none\.txt cannot be read: No such file or directory\.$",
    ):
        read_requirements_file(tmp_path / "none.txt")


def test_a_marker_may_be_empty() -> None:
    assert read("scipy~=1.10; \nsix;").packages == ("scipy~=1.10", "six")


def test_a_file_named_by_its_url_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    url = "https://user:secret@example.com/some/base.txt?raw=1"
    (tmp_path / "a.txt").write_text(f"six\n-r {url}\n")
    with pytest.raises(RequirementError, match=r"line 2: .* names a file by its URL") as refused:
        read_requirements_file(tmp_path / "a.txt")
    advice = "curl -fL -o base.txt 'https://…@example.com/some/base.txt?raw=1'"
    assert str(refused.value).endswith(advice)
    assert "secret" not in str(refused.value)
    with pytest.raises(RequirementError) as refused:
        read_requirement_lines(["-c https://example.com/"], origin="DepsPip")
    assert "curl -fL -o requirements.txt https://example.com/" in str(refused.value)
    assert "The dispatcher gets only this text" in str(refused.value)


def test_a_package_is_bound_to_an_index() -> None:
    found = read("--package-index My_Torch=https://CPU.example.com/whl/\nmy-torch==1")
    assert found.options == ("--package-index my-torch=https://cpu.example.com/whl",)
    assert read("\n".join([*found.options, *found.packages])) == found


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("torch", "should be a package and its index: NAME=URL"),
        ("=https://a.example.com", "names '', which is no package"),
        ("torch=file:///srv", "has the URL file:///srv, which should begin with"),
        ("torch=https://me:secret@a.example.com", "has credentials in its URL, https://…@a"),
    ],
)
def test_a_binding_that_cannot_be_used_is_refused(value: str, said: str) -> None:
    with pytest.raises(RequirementError) as refused:
        read(f"--package-index {value}")
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_package_has_one_index() -> None:
    with pytest.raises(RequirementError, match=r"two indexes for the package six: .*a\..*b\."):
        read("--package-index six=https://a.example.com\n--package-index SIX=https://b.example.com")


def test_a_constraint_has_no_extras() -> None:
    with pytest.raises(RequirementError, match=r"^constraints: 'numpy\[x\]<2' is a constraint"):
        read_requirement_lines(["numpy[x]<2"], origin="constraints", constrain=True)


def test_lines_may_name_files_where_there_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("scipy\n")
    given = ["numpy", "-r base.txt"]
    found = read_requirement_lines(given, origin="requirements", folder=tmp_path)
    assert found.packages == ("numpy", "scipy")
    with pytest.raises(RequirementError, match="names a file that the dispatcher does not have"):
        read_requirement_lines(given, origin="requirements")


# -- forms beside PEP 508 -------------------------------------------------------------------------

TWO = "humanize==4.11.0\r\ninflection==0.5.1\r\n"


@pytest.mark.parametrize(
    "content",
    [
        TWO.encode("utf-8-sig"),
        codecs.BOM_UTF16_LE + TWO.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TWO.encode("utf-16-be"),
        f"# -*- coding: latin-1 -*-\n# für alle\n{TWO}".encode("latin-1"),
        f"\n# vim: set fileencoding=cp1252 :\n# für alle\n{TWO}".encode("cp1252"),
        f"# für alle\n{TWO}".encode(),
    ],
)
def test_encodings_are_read_as_pip_reads_them(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes(content)
    assert read_requirements_file(file).packages == ("humanize==4.11.0", "inflection==0.5.1")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("# für alle".encode("latin-1"), "declare no other encoding"),
        (b"# coding: no-such-encoding\nsix", "there is no encoding 'no-such-encoding'"),
    ],
)
def test_an_encoding_that_cannot_be_known_is_an_error(
    content: bytes, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "requirements.txt"
    file.write_bytes(content)
    with pytest.raises(RequirementError, match=said):
        read_requirements_file(file)


def test_a_byte_order_mark_in_a_text_does_not_matter() -> None:
    assert read("\ufeffsix").packages == ("six",)


GIT = "git+https://example.com/org/pkg_b.git"


@pytest.mark.parametrize(
    ("line", "package"),
    [
        (GIT, f"pkg-b @ {GIT}"),
        (f"{GIT}@main", f"pkg-b @ {GIT}@main"),
        (f"{GIT}@main#egg=other", f"other @ {GIT}@main"),
        (f"-e {GIT}@main#egg=other", f"other @ {GIT}@main"),
        (f"--editable={GIT}", f"pkg-b @ {GIT}"),
        (f"{GIT}#egg=other[x]&subdirectory=sub", f"other[x] @ {GIT}#subdirectory=sub"),
        (
            f'{GIT} ; sys_platform == "win32"',
            f'pkg-b @ {GIT} ; sys_platform == "win32"',
        ),
        (
            "https://example.com/dl/en_core_web_sm-3.7.1-py3-none-any.whl",
            "en-core-web-sm @ https://example.com/dl/en_core_web_sm-3.7.1-py3-none-any.whl",
        ),
        (
            "https://example.com/dl/en_core_web_sm-2.3.1.tar.gz#egg=en_core_web_sm",
            "en-core-web-sm @ https://example.com/dl/en_core_web_sm-2.3.1.tar.gz",
        ),
        (
            "https://example.com/dl/docopt-0.6.2.tar.gz",
            "docopt @ https://example.com/dl/docopt-0.6.2.tar.gz",
        ),
    ],
)
def test_a_url_has_the_name_of_its_archive(line: str, package: str) -> None:
    assert read(line).packages == (package,)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"{GIT}#subdirectory=qchem", "is a URL without the package's name"),
        ("https://example.com/archive/main.zip", "is a URL without the package's name"),
        ("-e .", "is a folder or file of your machine"),
        ("./wheels/foo-1.0-py3-none-any.whl", "is a folder or file of your machine"),
        ("foo-1.0-py3-none-any.whl", "is a folder or file of your machine"),
        ("numpy @ file:///home/conda/work", "is a file of the machine that wrote this list"),
        ("--no-index", "disables indexes"),
        ("numpy --config-settings a=b", "has settings for a build"),
        ("git+git://example.com/org/a.git#egg=a", "should begin with one of"),
        ("--require-hashes\nsix==1.16.0", "has no hash, which --require-hashes demands"),
    ],
)
def test_a_refusal_has_the_true_reason(line: str, said: str) -> None:
    with pytest.raises(RequirementError, match=re.escape(said)):
        read(line)


def test_options_that_images_imply_are_accepted() -> None:
    hashed = f"six==1.16.0 --hash=sha256:{'0a' * 32}"
    assert read(f"--prefer-binary\n--require-hashes\n{hashed}").packages == (hashed,)


def test_variables_in_a_file_are_those_of_the_machine_that_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VERSION_1", "4.11.0")
    monkeypatch.setenv("INDEX", "https://pypi.example.com/simple")
    file = tmp_path / "requirements.txt"
    file.write_text("-i ${INDEX}\nhumanize==${VERSION_1} # not ${UNSET}\n-r ${PART}.txt\n")
    (tmp_path / "more.txt").write_text("six==${VERSION_1}\n")
    monkeypatch.setenv("PART", "more")
    found = read_requirements_file(file)
    assert found.packages == ("humanize==4.11.0", "six==4.11.0")
    assert found.options == ("--index-url https://pypi.example.com/simple",)


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named(
    value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UNSET", raising=False)
    if value is not None:
        monkeypatch.setenv("UNSET", value)
    file = tmp_path / "requirements.txt"
    file.write_text("six\nhumanize==${UNSET}\n")
    with pytest.raises(RequirementError, match=r"line 2: .*\$\{UNSET\}, which is not set"):
        read_requirements_file(file)


def test_variables_of_the_dispatcher_are_not_given_to_the_texts_of_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(RequirementError, match=r"\$\{SECRET\}, which the dispatcher does") as info:
        read("humanize==${SECRET}\n")
    assert "hunter2" not in str(info.value)


def test_a_password_from_a_variable_is_refused_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    file = tmp_path / "requirements.txt"
    for line in (
        "--extra-index-url https://me:${TOKEN}@pypi.example.com/simple",
        "name @ https://${TOKEN}@example.com/name-1.0-py3-none-any.whl",
        "git+https://${TOKEN}@example.com/name.git",
        "-e git+https://${TOKEN}@example.com/name.git#egg=name",
    ):
        file.write_text(f"{line}\n")
        with pytest.raises(RequirementError, match="has credentials in its URL") as info:
            read_requirements_file(file)
        assert "hunter2" not in str(info.value)


@pytest.mark.parametrize("separator", ["; ", " ; ", " ;"])
def test_a_marker_may_follow_a_url_in_each_way_that_pip_reads(separator: str) -> None:
    line = f"https://example.com/a;b/foo-1.0-py3-none-any.whl{separator}python_version < '4'"
    assert read(line).packages == (
        'foo @ https://example.com/a;b/foo-1.0-py3-none-any.whl ; python_version < "4"',
    )


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("--extra-index https://example.com", "--extra-index-url"),
        ("six --hashes=sha256:0a", "--hash"),
        ("--packge-index six=https://example.com", "--package-index"),
        ("--quiet", ""),
    ],
)
def test_a_misspelt_option_is_answered_with_the_nearest(line: str, meant: str) -> None:
    with pytest.raises(RequirementError) as refused:
        read(line)
    assert "unrecognized arguments" in str(refused.value)
    assert (f"did you mean {meant}?" in str(refused.value)) == bool(meant)
