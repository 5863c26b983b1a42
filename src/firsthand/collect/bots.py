"""Which visitors are programs that say so: crawlers, monitors, previews, headless browsers, by the user agent.

The patterns are those of CrawlerDetect, which knows some thousand by name and others by what they call themselves
("bot", "spider", "crawler"). A program that passes itself off as a browser is not found.
"""

from functools import lru_cache

from crawlerdetect import CrawlerDetect

READ = 1000
"""Characters of a user agent that are looked at."""
NAME_LENGTH = 60
_detect = CrawlerDetect()


@lru_cache(maxsize=16_384)
def bot_name(user_agent: str) -> str | None:
    """What the bot is called, or None for what is no known bot. Some 200 µs for a user agent not met before."""
    if not _detect.is_crawler(user_agent[:READ]):
        return None
    return (_detect.get_matches() or "bot").strip(" /;(+")[:NAME_LENGTH] or "bot"
