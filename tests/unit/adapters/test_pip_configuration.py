"""This machine's settings for package indexes, and their precedence."""

from __future__ import annotations

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.logins import Login


@pytest.fixture
def pip_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pip's configuration file, the only one."""
    path = tmp_path / "pip.conf"
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "none"))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(path))
    return path


@pytest.fixture(autouse=True)
def _no_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No program is on the PATH but pip, where this virtual environment has none of its own."""
    folder = tmp_path / "pip"
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{folder}")
    if find_spec("pip") is None:
        base = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
        folder.mkdir()
        (folder / "pip").write_text(f'#!/bin/sh\nexec {base} -m pip "$@"\n')
        (folder / "pip").chmod(0o755)


def test_a_machine_without_settings_has_none() -> None:
    assert read_index_settings() == IndexSettings()


def test_pips_configuration_is_used(pip_conf: Path, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(b"PEM")
    pip_conf.write_text(
        f"""
[global]
index-url = https://user:word@index.example.com/simple
extra-index-url =
    https://one.example.com/simple
    https://two.example.com/simple
find-links = wheels
cert = {ca}
proxy = http://me:word@proxy.example.com:3128
no-index = yes
timeout = 7
constraint = /nowhere.txt
[install]
find-links = https://links.example.com /srv/wheels
[download]
index-url = https://other.example.com/simple
"""
    )
    assert read_index_settings() == IndexSettings(
        ca_bundle=b"PEM",
        index_url="https://user:word@index.example.com/simple",
        extra_index_urls=("https://one.example.com/simple", "https://two.example.com/simple"),
        find_links=("https://links.example.com", "/srv/wheels"),
        variables=(("UV_HTTP_TIMEOUT", "7"), ("UV_NO_INDEX", "1")),
        proxies=(
            ("HTTP_PROXY", "http://me:word@proxy.example.com:3128"),
            ("http_proxy", "http://me:word@proxy.example.com:3128"),
            ("HTTPS_PROXY", "http://me:word@proxy.example.com:3128"),
            ("https_proxy", "http://me:word@proxy.example.com:3128"),
        ),
    )


def test_the_environment_wins_over_files_and_uvs_over_pips(
    pip_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_conf.write_text("[global]\nindex-url = https://file.example.com\nfind-links = links\n")
    assert read_index_settings().find_links == (str(Path.cwd() / "links"),)
    monkeypatch.setenv("PIP_INDEX_URL", "https://pip.example.com/simple")
    assert read_index_settings().index_url == "https://pip.example.com/simple"
    monkeypatch.setenv("UV_INDEX_URL", "https://older.example.com/simple")
    assert read_index_settings().index_url == "https://older.example.com/simple"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example.com/simple")
    monkeypatch.setenv("UV_FIND_LINKS", "https://a.example.com,/b")
    assert read_index_settings().index_url == "https://uv.example.com/simple"
    assert read_index_settings().find_links == ("https://a.example.com", "/b")


def test_an_empty_variable_does_not_hide_a_files_value(
    pip_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pip_conf.write_text("[global]\nindex-url = https://file.example.com\n")
    monkeypatch.setenv("PIP_INDEX_URL", "")
    assert read_index_settings().index_url == "https://file.example.com"


def test_options_win_and_get_their_credentials_from_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:word@index.example.com/one")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://extra.example.com/simple")
    found = read_index_settings(
        index_url="https://index.example.com/two",
        extra_index_urls=("https://more.example.com/simple",),
    )
    assert found.index_url == "https://user:word@index.example.com/two"
    assert found.extra_index_urls == (
        "https://more.example.com/simple",
        "https://extra.example.com/simple",
    )


def test_authorities_are_looked_for_as_pip_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("option", "PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        (tmp_path / name).write_text(name)
        if name != "option":
            monkeypatch.setenv(name, str(tmp_path / name))
    assert read_index_settings(ca_bundle=tmp_path / "option").ca_bundle == b"option"
    assert read_index_settings().ca_bundle == b"PIP_CERT"
    with pytest.raises(ConfigurationError, match=r"nowhere\.pem cannot be read(.|\n)*ca_bundle"):
        read_index_settings(ca_bundle=tmp_path / "nowhere.pem")
    (tmp_path / "PIP_CERT").unlink()
    assert read_index_settings().ca_bundle == b"REQUESTS_CA_BUNDLE"


def test_proxies_are_known_by_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "localhost")
    assert read_index_settings().proxies == (
        ("HTTPS_PROXY", "http://proxy.example.com:3128"),
        ("https_proxy", "http://proxy.example.com:3128"),
        ("NO_PROXY", "localhost"),
        ("no_proxy", "localhost"),
    )


def test_a_netrc_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine index.example.com login user password word\n")
    monkeypatch.setenv("NETRC", str(file))
    assert read_index_settings().logins == (
        Login(host="index.example.com", username="user", password="word"),
    )
    file.write_text("machine\n")
    assert read_index_settings().logins == ()


def test_a_keyring_is_asked_where_there_is_one(
    tmp_path: Path, pip_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    program.touch(mode=0o755)
    assert read_index_settings().variables == (("UV_KEYRING_PROVIDER", "subprocess"),)
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "disabled")
    assert read_index_settings().variables == (("UV_KEYRING_PROVIDER", "disabled"),)
    pip_conf.write_text("[global]\nkeyring-provider = disabled\n")
    assert read_index_settings().variables == ()


def _keyring(tmp_path: Path, *cases: str) -> None:
    """Put a keyring on the PATH; each case is a service, a user and a password."""
    program = tmp_path / "bin" / "keyring"
    program.parent.mkdir()
    known = "\n".join(
        f"'{service} {user}') echo '{word}';;" for service, user, word in map(str.split, cases)
    )
    program.write_text(
        f'#!/bin/sh\n[ "$1" = get ] && case "$2 $3" in\n{known}\n*) exit 1;;\nesac\n'
    )
    program.chmod(0o755)


def test_the_keyrings_passwords_are_in_the_settings_and_redacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keyring(
        tmp_path,
        "https://a.example.com/simple one hunter/2",
        "b.example.com:8443 two hunter3",
        "https://d.example.com/simple four hunter4",
    )
    monkeypatch.setenv("PIP_INDEX_URL", "https://one@a.example.com/simple")
    monkeypatch.setenv(
        "UV_INDEX",
        "https://two@b.example.com:8443/x/ https://three@c.example.com/ "
        "my-corp=https://d.example.com/simple https://e.example.com/",
    )
    monkeypatch.setenv("UV_INDEX_MY_CORP_USERNAME", "four")
    found = read_index_settings(extra_index_urls=("https://a.example.com/more",))
    assert found.index_url == "https://one:hunter%2F2@a.example.com/simple"
    assert found.extra_index_urls == (
        "https://one:hunter%2F2@a.example.com/more",
        "https://two:hunter3@b.example.com:8443/x/",
        "https://three@c.example.com/",
        "my-corp=https://four:hunter4@d.example.com/simple",
        "https://e.example.com/",
    )
    assert found.container_environment("", "")["UV_DEFAULT_INDEX"] == found.index_url
    assert found.redacted("hunter/2 hunter%2F2 hunter3") == "… … …"


def test_a_keyring_that_is_disabled_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _keyring(tmp_path, "https://a.example.com/simple one hunter2")
    monkeypatch.setenv("PIP_INDEX_URL", "https://one@a.example.com/simple")
    monkeypatch.setenv("UV_KEYRING_PROVIDER", "disabled")
    assert read_index_settings().index_url == "https://one@a.example.com/simple"


def test_a_keyring_that_fails_leaves_the_user_without_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    _keyring(tmp_path)
    monkeypatch.setenv("PIP_INDEX_URL", "https://one@a.example.com/simple")
    assert read_index_settings().index_url == "https://one@a.example.com/simple"
    (tmp_path / "bin" / "keyring").write_text("#!/no/such/program\n")
    assert read_index_settings().index_url == "https://one@a.example.com/simple"
    assert "The keyring is not used" in caplog.text


def test_a_user_in_an_address_gets_the_password_of_netrc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "netrc"
    file.write_text(
        "machine a.example.com login one password word1\ndefault login x password y12\n"
    )
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.setenv("PIP_INDEX_URL", "https://one@a.example.com/simple")
    monkeypatch.setenv(
        "PIP_EXTRA_INDEX_URL", "https://other@a.example.com/simple https://b.example.com/simple"
    )
    variables = read_index_settings().container_environment("", "")
    assert variables["UV_DEFAULT_INDEX"] == "https://one:word1@a.example.com/simple"
    assert variables["UV_INDEX"] == (
        "https://other@a.example.com/simple https://x:y12@b.example.com/simple"
    )


def test_the_password_of_a_named_index_is_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_INDEX", "corp=https://index.example.com/simple")
    monkeypatch.setenv("UV_INDEX_CORP_USERNAME", "someone")
    monkeypatch.setenv("UV_INDEX_CORP_PASSWORD", "hunter2")
    found = read_index_settings()
    assert found.redacted("Basic hunter2") == "Basic …"
    assert "hunter2" not in repr(found)


def test_a_pip_that_fails_is_reported_without_its_output(
    pip_conf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pip_conf.write_text("index-url = https://user:hunter2@index.example.com\n")
    with caplog.at_level(logging.WARNING):
        assert read_index_settings().index_url == ""
    assert "'pip config list' ended with CalledProcessError" in caplog.text
    assert f"pip's configuration in {pip_conf} is not used" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_machine_whose_python_has_no_pip_may_have_one_elsewhere(
    tmp_path: Path, pip_conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", os.devnull)
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert read_index_settings().index_url == ""
    # And where there is none at all, its files and variables count all the same.
    pip_conf.write_text("[global]\nindex-url = https://file.example.com/simple\n")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "file.example.com")
    found = read_index_settings()
    assert found.index_url == "https://file.example.com/simple"
    assert ("UV_INSECURE_HOST", "file.example.com") in found.variables
    program = tmp_path / "bin" / "pip3"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho \"global.index-url='https://index.example.com/simple'\"\n")
    program.chmod(0o755)
    assert read_index_settings().index_url == "https://index.example.com/simple"


def test_a_client_certificate_is_read_wherever_it_is_named(
    pip_conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_pip, of_uv = tmp_path / "pip.pem", tmp_path / "uv.pem"
    of_pip.write_bytes(b"one")
    of_uv.write_bytes(b"two")
    pip_conf.write_text(f"[global]\nclient-cert = {of_pip}\n")
    assert read_index_settings().client_certificate == b"one"
    monkeypatch.setenv("SSL_CLIENT_CERT", str(of_uv))
    assert read_index_settings().client_certificate == b"two"
    assert dict(read_index_settings().variables)["SSL_CLIENT_CERT"] == str(of_uv)
    of_uv.unlink()
    with pytest.raises(
        ConfigurationError, match=r"client certificate in \S*uv\.pem cannot be read"
    ):
        read_index_settings()
