"""A request as bytes: exactly one, whatever is put into it."""

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firsthand.http.request import encode


def encoded(
    url: str, method: str = "POST", headers: dict[str, str] | None = None, body: bytes | None = b"{}"
) -> tuple[str, list[str]]:
    """The request line and the header lines."""
    _, request = encode(method, url, headers or {}, body, "firsthand")
    line, *lines = request.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return line, lines


TARGETS = [
    ("https://a.example", "/"),
    ("https://a.example/", "/"),
    ("https://a.example?x=1", "/?x=1"),
    ("https://a.example/x?y=1#z", "/x?y=1"),
    ("https://a.example/x y?z=\u00e9&q=\u20ac", "/x%20y?z=%C3%A9&q=%E2%82%AC"),
    ('https://a.example/?j={"a":"b|c"}', "/?j=%7B%22a%22:%22b%7Cc%22%7D"),
    ("https://a.example/%20?a=%C3%A9&b=100%", "/%20?a=%C3%A9&b=100%"),
    ("https://a.example/x;y=1,2/(3)*~[4]?a=b+c@d!$'", "/x;y=1,2/(3)*~[4]?a=b+c@d!$'"),
    ("https://a.example//b/../c", "//b/../c"),
]


@pytest.mark.parametrize(("url", "target"), TARGETS)
def test_the_target_is_sent_as_it_is_but_for_what_no_url_can_carry(url: str, target: str) -> None:
    assert encoded(url)[0] == f"POST {target} HTTP/1.1"


HOSTS = [
    ("https://a.example/", "a.example", 443, "a.example"),
    ("https://a.example:443/", "a.example", 443, "a.example"),
    ("https://a.example:80/", "a.example", 80, "a.example:80"),
    ("http://a.example/", "a.example", 80, "a.example"),
    ("HTTP://A.Example:8080/", "a.example", 8080, "a.example:8080"),
    ("http://[::1]:8080/", "::1", 8080, "[::1]:8080"),
    ("http://[0:0::1]/", "::1", 80, "[::1]"),
    ("http://\u00e5.example/", "xn--5ca.example", 80, "xn--5ca.example"),
    ("http://under_score.example/", "under_score.example", 80, "under_score.example"),
]


@pytest.mark.parametrize(("url", "host", "port", "said"), HOSTS)
def test_whom_it_goes_to(url: str, host: str, port: int, said: str) -> None:
    origin, _ = encode("POST", url, {}, None, "firsthand")
    assert (origin.host, origin.port, origin.secure) == (host, port, url.startswith("https"))
    assert f"Host: {said}" in encoded(url)[1]


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [("GET", None, None), ("GET", b"x", "1"), ("DELETE", None, None), ("POST", None, "0"), ("PUT", b"", "0")],
)
def test_a_length_where_there_may_be_a_body(method: str, body: bytes | None, length: str | None) -> None:
    _, lines = encoded("http://a.example/", method, {}, body)
    assert [line for line in lines if line.startswith("Content-Length")] == (
        [] if length is None else [f"Content-Length: {length}"]
    )


def test_headers_that_are_given_win() -> None:
    _, lines = encoded("http://a.example/", headers={"user-agent": "shop/1", "Accept": "text/plain", "x": "\u00e9"})
    assert lines == [
        "Host: a.example",
        "user-agent: shop/1",
        "Accept: text/plain",
        "x: \u00e9",
        "Content-Length: 2",
    ]


BAD = [
    ("POST /x HTTP/1.1\r\nX: y", "http://a.example/", {}),
    ("HEAD", "http://a.example/", {}),
    ("post", "http://a.example/", {}),
    ("", "http://a.example/", {}),
    ("POST", "http://a.example/x\r\nX: secret", {}),
    ("POST", "http://a.example/\x00secret", {}),
    ("POST", "http://a.example/\tsecret", {}),
    ("POST", "http://a.exa\nmple/secret", {}),
    ("POST", "http://a.example\\@b.example/secret", {}),
    ("POST", "http://secret@a.example/", {}),
    ("POST", "http://a.example:99999/secret", {}),
    ("POST", "http://a.example:port/secret", {}),
    ("POST", "http://[::1/secret", {}),
    ("POST", "http://[v1.secret]/", {}),
    ("POST", "http:///secret", {}),
    ("POST", "http://sec ret/", {}),
    ("POST", "http://..secret/", {}),
    ("POST", "http://a.example/\ud800secret", {}),
    ("POST", "ftp://a.example/secret", {}),
    ("POST", "secret", {}),
    ("POST", "http://a.example/", {"x": "secret\r\ny: z"}),
    ("POST", "http://a.example/", {"x": "secret\n"}),
    ("POST", "http://a.example/", {"x": "secret\x00"}),
    ("POST", "http://a.example/", {"x": "secret\u20ac"}),
    ("POST", "http://a.example/", {"x: secret\r\ny": "z"}),
    ("POST", "http://a.example/", {"x secret": "z"}),
    ("POST", "http://a.example/", {"": "secret"}),
    ("POST", "http://a.example/", {"Content-Length": "3"}),
    ("POST", "http://a.example/", {"transfer-encoding": "chunked"}),
    ("POST", "http://a.example/", {"Expect": "100-continue"}),
]


@pytest.mark.parametrize(("method", "url", "headers"), BAD)
def test_what_is_no_request_is_refused_without_a_word_of_it(method: str, url: str, headers: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"^[a-zA-Z][a-zA-Z ,'/.]+$") as refused:
        encode(method, url, headers, b"{}", "firsthand")
    assert "secret" not in str(refused.value)


class Read:
    """What a server reads."""

    def __init__(self, request: bytes) -> None:
        self.messages = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(request)
        self.method = parser.get_method()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.messages += 1


texts = st.text(max_size=20) | st.text("\r\n\x00 :/?#@\\%ab\u00e9", max_size=20)


@given(
    st.sampled_from(["GET", "POST"]) | texts,
    st.builds("http://{}/{}".format, st.just("a.example") | texts, texts),
    st.dictionaries(st.sampled_from(["x", "y"]) | texts, texts, max_size=3),
    st.none() | st.binary(max_size=20),
)
def test_a_server_reads_one_request_and_no_other_header(
    method: str, url: str, headers: dict[str, str], body: bytes | None
) -> None:
    try:
        _, request = encode(method, url, headers, body, "firsthand")
    except ValueError:
        return
    if any(ord(letter) < 32 for value in headers.values() for letter in value):
        return  # a control character that ends no line: servers may refuse it
    read = Read(request)
    assert (read.messages, read.method.decode(), read.body) == (1, method, body or b"")
    names = {name.decode("latin-1").lower() for name, _ in read.headers}
    assert names - {name.lower() for name in headers} <= {"host", "user-agent", "accept", "content-length"}
