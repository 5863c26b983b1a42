"""`/firsthand.js`, as browsers and caches ask for it."""

import gzip

import pytest
from tests.collect.client import SITE, Client

from firsthand.collect.script import FILE, served

GZIP = {"accept-encoding": "gzip, deflate, br"}


async def test_it_is_served(client: Client) -> None:
    answer = await client.send("GET", "/firsthand.js", {})
    assert (answer.status, answer.body) == (200, served())
    assert answer.headers["content-length"] == str(len(answer.body))
    said = {name: answer.headers[name] for name in answer.headers if name not in ("content-length", "etag")}
    assert said == {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "public, max-age=3600",
        "x-content-type-options": "nosniff",
        "cross-origin-resource-policy": "cross-origin",
        "access-control-allow-origin": "*",
        "vary": "Accept-Encoding",
    }


def test_only_indentation_comments_and_empty_lines_are_left_out() -> None:
    lines = [line.strip() for line in FILE.read_text().splitlines()]
    kept = served().decode().splitlines()
    assert kept[1:] == [line for line in lines if line and not line.startswith("//")]
    assert kept[0] == lines[0]
    assert "`" not in "".join(line for line in lines if line.count("`") % 2), "no text goes over two lines"


async def test_it_is_served_compressed(client: Client) -> None:
    answer = await client.send("GET", "/firsthand.js", GZIP)
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == served()
    assert len(answer.body) < len(served())


@pytest.mark.parametrize("accepted", ["br", "gzip;q=0", "gzip; q=0.000", "identity", "", "x-gzip2"])
async def test_it_is_served_plain_to_whom_takes_no_gzip(client: Client, accepted: str) -> None:
    assert "content-encoding" not in (await client.send("GET", "/firsthand.js", {"accept-encoding": accepted})).headers


@pytest.mark.parametrize("accepted", ["gzip;q=0.5", "br, GZIP", "*", "deflate;q=0, gzip;q=1.0"])
async def test_it_is_served_compressed_to_whom_takes_it(client: Client, accepted: str) -> None:
    answer = await client.send("GET", "/firsthand.js", {"accept-encoding": accepted})
    assert answer.headers["content-encoding"] == "gzip"


async def test_what_has_not_changed_is_not_sent_again(client: Client) -> None:
    tags = {(await client.send("GET", "/firsthand.js", headers)).headers["etag"] for headers in ({}, GZIP)}
    assert len(tags) == 2
    for tag, headers in zip(sorted(tags, key=len), ({}, GZIP), strict=True):
        for said in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = await client.send("GET", "/firsthand.js", {**headers, "if-none-match": said})
            assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
            assert "content-length" not in answer.headers
    assert (await client.send("GET", "/firsthand.js", {"if-none-match": '"other"'})).status == 200


async def test_any_page_may_have_it() -> None:
    answer = await Client(SITE).send("GET", "/firsthand.js", {"origin": "https://evil.example"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_it_takes_get(client: Client) -> None:
    assert (await client.send("HEAD", "/firsthand.js", {})).status == 200
    answer = await client.send("POST", "/firsthand.js", {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
