"""Index settings: they reach the installation, and reveal no passwords on the way."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.logins import Login, git_environment

SECRET = "pass:w/rd%"
IN_URL = "pass%3Aw%2Frd%25"
INDEX = f"https://user:{IN_URL}@index.example.com:8443/simple"
BASIC = base64.b64encode(f"user:{SECRET}".encode()).decode()
SETTINGS = IndexSettings(
    ca_bundle=b"PEM",
    index_url=INDEX,
    extra_index_urls=("corp=https://token0123@extra.example.com/simple", "file:///srv/simple"),
    find_links=("https://links.example.com/", "/srv/wheels"),
    variables=(("UV_INSECURE_HOST", "links.example.com"),),
    proxies=(("HTTPS_PROXY", "http://me:proxy-word@proxy.example.com:3128"),),
    logins=(Login(host="links.example.com", username="someone", password="netrc word"),),
)
SECRETS = (SECRET, IN_URL, BASIC, "token0123", "proxy-word", "netrc word")


@pytest.mark.parametrize("secret", SECRETS)
def test_no_password_is_in_the_text_of_the_settings(secret: str) -> None:
    assert "index.example.com" in repr(SETTINGS)
    for text in (repr(SETTINGS), str(SETTINGS), f"{SETTINGS!r}", repr([SETTINGS.logins])):
        assert secret not in text


@pytest.mark.parametrize("secret", SECRETS)
def test_an_installers_output_has_no_password(secret: str) -> None:
    said = f"error: 401 for {INDEX}\nAuthorization: {secret}, '{secret}'"
    shown = SETTINGS.redacted(said)
    assert not any(each in shown for each in SECRETS)
    assert shown.startswith("error: 401 for https://…@index.example.com:8443/simple\n")


@pytest.mark.parametrize("word", ["pass+word/=", 'quo"te\\', "pässwort", "sp ace/%2f"])
def test_what_a_server_repeats_of_a_login_is_no_secret_any_more(word: str) -> None:
    # uv sends the password of a named index, which is in no address.
    variables = (("UV_INDEX_CORP_USERNAME", "user"), ("UV_INDEX_CORP_PASSWORD", word))
    basic = base64.b64encode(f"user:{word}".encode()).decode()
    forms = [word, quote(word), quote(word, safe=""), basic, quote(basic, safe="")]
    forms += [json.dumps(word)[1:-1], json.dumps(word, ensure_ascii=False)[1:-1]]
    said = "\n".join(f"Basic {form}'" for form in forms)
    shown = IndexSettings(variables=variables).redacted(said)
    assert shown == "\n".join(["Basic …'"] * len(forms))


def test_text_without_a_secret_is_shown() -> None:
    said = "Downloading https://index.example.com/simple/a-1.0-py3-none-any.whl (1 kB)"
    assert SETTINGS.redacted(said) == said


def test_short_passwords_do_not_blot_out_the_rest() -> None:
    settings = IndexSettings(index_url="https://u:pw@index.example.com/simple")
    assert settings.redacted("https://u:pw@x.example.com pwd") == "https://…@x.example.com pwd"


def test_uv_gets_everything_by_its_environment() -> None:
    assert SETTINGS.uv_environment("/ca.pem") == {
        "UV_DEFAULT_INDEX": INDEX,
        "UV_INDEX": "corp=https://token0123@extra.example.com/simple file:///srv/simple",
        "UV_INDEX_URL": "",
        "UV_EXTRA_INDEX_URL": "",
        "UV_FIND_LINKS": "https://links.example.com/,/srv/wheels",
        "UV_INSECURE_HOST": "links.example.com",
        "HTTPS_PROXY": "http://me:proxy-word@proxy.example.com:3128",
        "SSL_CERT_FILE": "/ca.pem",
    }


def test_pip_elsewhere_gets_only_indexes_that_it_can_reach() -> None:
    assert SETTINGS.pip_environment("/ca.pem", "/client.pem") == {
        "PIP_INDEX_URL": INDEX,
        "PIP_EXTRA_INDEX_URL": "https://token0123@extra.example.com/simple",
        "PIP_FIND_LINKS": "https://someone:netrc%20word@links.example.com/",
        "PIP_TRUSTED_HOST": "links.example.com",
        "HTTPS_PROXY": "http://me:proxy-word@proxy.example.com:3128",
        "PIP_CERT": "/ca.pem",
        "SSL_CERT_FILE": "/ca.pem",
        "GIT_SSL_CAINFO": "/ca.pem",
    }


def test_git_gets_the_credentials_for_its_repositories_and_no_others() -> None:
    assert git_environment(
        SETTINGS.known_logins,
        [
            "git+https://links.example.com:8443/one.git@main",
            "git+https://links.example.com:8443/two.git",
            "git+https://other.example.com/three.git",
            "git+https://extra.example.com/four.git",
            "git+ssh://git@links.example.com/five.git",
        ],
    ) == {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "url.https://someone:netrc%20word@links.example.com:8443/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://links.example.com:8443/",
    }
    assert git_environment(SETTINGS.known_logins, []) == {}


def test_ssh_gets_no_password() -> None:
    login = Login(host="git.example.com", username="git", password="hunter2")
    settings = IndexSettings(logins=(login,))
    assert git_environment(settings.known_logins, ["git+ssh://git@git.example.com/five.git"]) == {}


def test_without_settings_an_installer_does_as_it_does() -> None:
    assert IndexSettings().pip_environment("/ca.pem", "/client.pem") == {}
    assert set(IndexSettings().uv_environment("/ca.pem").values()) == {""}


def test_addresses_of_requirements_go_first_and_get_the_credentials_of_their_host() -> None:
    joined = SETTINGS.joined(
        [
            "--extra-index-url https://extra.example.com/other",
            "--extra-index-url https://open.example.com/simple",
            "--extra-index-url http://extra.example.com/simple",
            "--find-links https://INDEX.example.com:8443/links",
            "--index-url https://index.example.com/simple",
            "--only-binary :all:",
        ]
    )
    assert joined.index_url == "https://index.example.com/simple", "another port, another server"
    assert joined.extra_index_urls == (
        "https://token0123@extra.example.com/other",
        "https://open.example.com/simple",
        "http://extra.example.com/simple",
        *SETTINGS.extra_index_urls,
    )
    assert joined.find_links[0] == f"https://user:{IN_URL}@INDEX.example.com:8443/links"
    assert SETTINGS.joined([]) == SETTINGS


def test_uv_in_a_container_gets_only_indexes_that_it_can_reach() -> None:
    settings = IndexSettings(
        ca_bundle=b"authorities",
        index_url="https://pypi.example.com/simple",
        extra_index_urls=("corp=http://corp.example.com/simple", "file:///mirror"),
        find_links=("https://links.example.com/", "/wheels"),
        variables=(("UV_KEYRING_PROVIDER", "subprocess"), ("UV_HTTP_TIMEOUT", "9")),
        proxies=(("HTTPS_PROXY", "http://proxy.example.com"),),
        logins=(Login(host="corp.example.com", username="me", password="hunter2"),),
    )
    assert settings.container_environment("/ca.pem", "/client.pem") == {
        "UV_DEFAULT_INDEX": "https://pypi.example.com/simple",
        "UV_INDEX": "corp=http://me:hunter2@corp.example.com/simple",
        "UV_FIND_LINKS": "https://links.example.com/",
        "UV_HTTP_TIMEOUT": "9",
        "HTTPS_PROXY": "http://proxy.example.com",
        **dict.fromkeys(
            ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE"), "/ca.pem"
        ),
    }
    assert IndexSettings().container_environment("/ca.pem", "/client.pem") == {}


def test_installers_in_a_container_identify_themselves_by_the_file_that_is_there() -> None:
    settings = IndexSettings(
        client_certificate=b"certificate and key",
        variables=(("SSL_CLIENT_CERT", "/home/me/client.pem"),),
    )
    assert settings.uv_environment("/ca.pem")["SSL_CLIENT_CERT"] == "/home/me/client.pem"
    assert settings.container_environment("/ca.pem", "/client.pem") == {
        "SSL_CLIENT_CERT": "/client.pem",
        "PIP_CLIENT_CERT": "/client.pem",
    }
    assert settings.pip_environment("/ca.pem", "/client.pem") == {"PIP_CLIENT_CERT": "/client.pem"}
    assert "certificate and key" not in repr(settings)
