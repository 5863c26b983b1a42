"""Which visitors are programs that say so: crawlers, monitors, previews, headless browsers, by the user agent.

The patterns are those of CrawlerDetect, which knows some thousand by name and others by what they call themselves
("bot", "spider", "crawler"). A program that passes itself off as a browser is not found.

An app on a visitor's device sends by an HTTP library, whose name is its user agent where the app sets no other. To
the patterns that is a program as any; beside an event that tells of the device it is the visitor.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from crawlerdetect import CrawlerDetect

READ = 1000
"""Characters of a user agent that are looked at."""
NAME_LENGTH = 60
_detect = CrawlerDetect()
_LIBRARIES = re.compile(
    r"\b(?:[\w.-]*okhttp|Dart|CFNetwork|Darwin|Alamofire|ktor(?:[ -]client)?|Apache-HttpClient|Dalvik|Cronet|Volley|"
    r"Retrofit|axios|UnityPlayer|UnityWebRequest|libcurl|RestSharp|Xamarin|Expo|React[ -]?Native|Java)\b"
    r"(?:/[\w.+-]*)?(?: ?\((?:dart:io|java [\d.]+)\))?",
    re.IGNORECASE,
)


def bot_in(context: Mapping[str, Any]) -> str | None:
    """What the bot is called that sent an event with this context; None where none is known to have."""
    agent = context.get("userAgent")
    if not isinstance(agent, str) or not agent:
        return None
    if _says_something(context.get("device")) or _says_something(context.get("os")):
        agent = _LIBRARIES.sub("", agent[:READ])
    return bot_name(agent)


def _says_something(part: Any) -> bool:
    """RudderStack's clients in browsers send the system with an empty name and version."""
    return isinstance(part, dict) and any(value not in (None, "", {}, []) for value in part.values())


@lru_cache(maxsize=16_384)
def bot_name(user_agent: str) -> str | None:
    """What the bot is called, or None for what is no known bot. Some 200 µs for a user agent not met before."""
    if not _detect.is_crawler(user_agent[:READ]):
        return None
    return (_detect.get_matches() or "bot").strip(" /;(+")[:NAME_LENGTH] or "bot"
