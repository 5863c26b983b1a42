"""What kind of device a user agent names."""

from functools import lru_cache
from typing import Literal

Device = Literal["desktop", "mobile", "tablet"]

TABLETS = ("ipad", "tablet", "kindle", "playbook")


@lru_cache(maxsize=1024)
def device(user_agent: str) -> Device:
    """An Android that is not mobile is a tablet."""
    agent = user_agent.lower().replace("tablet pc", "")  # in the name of desktop browsers
    mobile = "mobi" in agent
    if any(word in agent for word in TABLETS) or ("android" in agent and not mobile):
        return "tablet"
    return "mobile" if mobile or "iphone" in agent or "ipod" in agent else "desktop"
