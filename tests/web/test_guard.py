"""Who is answered: hosts, origins, headers, paths."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from web_site import EXAMPLE, PAGE_HEADERS, Site, png
from whyclip.web.guard import host_of

REQUEST = {"image": EXAMPLE, "prompts": ["a dog"]}
HOSTS = (
    *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.0.0.2"),
    *("127.0.0.1@evil.example", "user@127.0.0.1", "127.0.0.1:port", "", "127.0.0.1/path"),
)


@pytest.mark.parametrize("host", HOSTS)
def test_another_name_for_this_machine_is_refused(site: Site, host: str) -> None:
    answer = site.send(f"GET / HTTP/1.1\nHost: {host}\nConnection: close\n\n")
    assert re.match(rb"HTTP/1.1 (421|400) ", answer)
    assert b"<main" not in answer


def test_two_names_are_refused(site: Site) -> None:
    answer = site.send("GET / HTTP/1.1\nHost: 127.0.0.1\nHost: evil.example\n\n")
    assert b" 200 " not in answer.splitlines()[0]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:8765"])
def test_its_own_names_are_answered(site: Site, host: str) -> None:
    assert site.get("/", Host=host).status == 200


def test_the_name_in_a_host_header() -> None:
    assert host_of("[::1]:80") == "::1"
    assert host_of("LocalHost:80") == "localhost"
    assert [host_of(header) for header in ("a@b", "a/b", "a:b", "a b/c", "[::1")] == [""] * 5


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},  # another server on this machine
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/explain", "/api/images", "/api/download/png"])
def test_requests_from_other_sites_are_refused(
    site: Site, headers: dict[str, str], path: str
) -> None:
    body = png() if path == "/api/images" else json.dumps(REQUEST).encode()
    answer = site.request("POST", path, body, {**PAGE_HEADERS, **headers})
    assert answer.status == 403
    assert "other sites" in answer.json["error"]


def test_its_own_page_is_answered(site: Site) -> None:
    headers = {**PAGE_HEADERS, "Origin": site.address, "Sec-Fetch-Site": "same-origin"}
    answer = site.request("POST", "/api/explain", json.dumps(REQUEST).encode(), headers)
    assert answer.status == 200
    assert "result" in answer.news[-1]


def test_a_form_of_another_site_lacks_the_header_of_its_own(site: Site) -> None:
    answer = site.request("POST", "/api/explain", json.dumps(REQUEST).encode(), {})
    assert answer.status == 403
    assert "X-Whyclip" in answer.json["error"]


def test_other_sites_may_link_to_the_page_but_not_load_what_it_loads(site: Site) -> None:
    cross = {"Sec-Fetch-Site": "cross-site"}
    assert site.request("GET", "/", headers=cross).status == 200
    for path in ("/api/about", f"/api/images/{EXAMPLE}", "/static/app.js"):
        assert site.request("GET", path, headers=cross).status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
def test_no_other_method_is_answered(site: Site, method: str) -> None:
    assert site.request(method, "/api/explain", headers=PAGE_HEADERS).status == 405


@pytest.mark.parametrize(
    "path",
    ["/", "/static/app.js", "/api/about", f"/api/images/{EXAMPLE}", "/nothing", "/api/images/no"],
)
def test_every_response_carries_the_headers(site: Site, path: str) -> None:
    headers = site.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static/app.py",
        "/static//etc/passwd", "/api/images/..%2f..%2f..%2fetc%2fpasswd", "/api/images//etc/passwd",
        "/static/%00", "/..%2f..%2fetc/passwd", "/static/__init__.py",
    ],
)  # fmt: skip
def test_no_path_reaches_a_file(site: Site, path: str) -> None:
    answer = site.get(path)
    assert answer.status in (400, 404, 410)
    assert b"root:" not in answer.body
    assert b"import" not in answer.body


def test_the_page_has_no_script_or_style_of_its_own_and_loads_nothing_from_elsewhere(
    site: Site,
) -> None:
    html = site.get("/").body.decode()
    assert re.findall(r"<script[^>]*>(.*?)</script>", html, re.DOTALL) == [""]
    assert not re.search(r"<style| style=| on\w+=|javascript:", html)
    for name, content in site.app.assets.items():
        text = content.decode()
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name
        assert "innerHTML" not in text
        for module in re.findall(r'from "\./([\w.]+)"', text):
            assert module in site.app.assets, (name, module)


def test_no_answer_names_a_folder_of_the_server(site: Site) -> None:
    home = str(Path(__file__).resolve().parents[2])
    bodies = [
        site.get(path).body for path in ("/", "/api/about", "/nothing", f"/api/images/{EXAMPLE}")
    ]
    bodies += [
        site.post("/api/explain", request).body for request in (REQUEST, {}, {"image": home})
    ]
    bodies += [site.post(f"/api/download/{kind}", REQUEST).body for kind in ("html", "json", "svg")]
    for body in bodies:
        assert home.encode() not in body
        assert b"site-packages" not in body
        assert b"Traceback" not in body
