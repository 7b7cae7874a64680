"""``whyclip web``: where it listens, and what it says if it cannot."""

from __future__ import annotations

import socket
import subprocess
import sys
from importlib import util

import pytest

from web_site import Site
from whyclip.cli import web as command
from whyclip.errors import OptionError
from whyclip.models import ModelView
from whyclip.web.serve import address_of, hosts_of, is_loopback, listen
from whyclip.web.state import named_safely


def test_it_listens_on_this_machine_alone(site: Site) -> None:
    # A listening socket of the default host is bound to the loopback address, not to all of them.
    with listen("127.0.0.1", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        assert address_of(bound) == f"http://127.0.0.1:{bound.getsockname()[1]}/"
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        if is_loopback(address):
            continue
        with socket.socket() as raw:
            assert raw.connect_ex((address, site.port)) != 0


def test_a_port_in_use_is_a_sentence() -> None:
    with listen("127.0.0.1", 0) as bound:
        bound.listen()
        port = bound.getsockname()[1]
        with pytest.raises(OptionError, match=f"port {port}.*--port 0"):
            listen("127.0.0.1", port)


def test_a_host_that_is_none_is_a_sentence() -> None:
    with pytest.raises(OptionError, match="cannot listen"):
        listen("no such host", 0)


def test_it_answers_to_the_names_it_was_given_and_no_others() -> None:
    assert hosts_of("127.0.0.1", ()) == {"127.0.0.1", "localhost", "::1"}
    named = hosts_of("0.0.0.0", ("lab.example",))
    assert "lab.example" in named
    assert "0.0.0.0" not in named


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("example.org", False)],
)  # fmt: skip
def test_loopback_addresses(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    find = util.find_spec
    monkeypatch.setattr(
        command, "find_spec", lambda name: None if name == "uvicorn" else find(name)
    )
    with pytest.raises(OptionError, match=r"needs uvicorn; pip install 'whyclip\[web\]'"):
        command.web()


def test_the_model_is_shown_without_the_folder_it_was_read_from(view: ModelView) -> None:
    from dataclasses import replace

    given = replace(view, name="openclip:ViT-B-16//home/somebody/secret/model.safetensors")
    assert named_safely(given).name == "model.safetensors"
    assert named_safely(replace(view, name="mini")).name == "mini"


def test_the_packages_of_the_extra_are_not_imported_by_other_commands() -> None:
    script = (
        "import sys, whyclip, whyclip.cli.app\n"
        "print(sorted({'starlette', 'uvicorn'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"
