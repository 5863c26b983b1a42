"""Raptor's tracking service, called from a server in place of the script in pages.

A tracking is a GET of `t.raptorsmartadvisor.com/{customer}.rsa` with the event in `p1` and its facts in `p2` to
`p999`; the visitor is a cookie id, a session id and what an e-mail can be started with. The answer is that of an image:
it says nothing about what was sent, so that nothing is ever known to be accepted.
"""

from msgspec.structs import replace

from firsthand.vendors.base import UNVERIFIABLE, Answer, Cookie, Request, Setup, Vendor, Verdict
from firsthand.vendors.products import in_store
from firsthand.vendors.raptor.request import VERSION, build, endpoints
from firsthand.vendors.raptor.settings import Raptor
from firsthand.vendors.raptor.tables import EVENTS

YEAR = 365 * 86_400.0
COOKIES = (
    Cookie(name="rsa", id="raptor_coid", max_age=YEAR, make="uuid"),
    Cookie(name="rsaSession", id="raptor_sid", max_age=1200.0, make="uuid"),
    Cookie(name="rsaRuid", id="raptor_ruid", max_age=YEAR, make="email", renew=False),
    Cookie(name="rsaReaId", id="raptor_reaid", max_age=YEAR, make="query", query="reaid", renew=False),
    Cookie(name="rsaXuid", id="raptor_xuid", max_age=YEAR, make="query", query="xuid", renew=False),
)


def judge(setup: Setup[Raptor], request: Request, answer: Answer) -> list[Verdict] | None:
    """What Raptor made of it shows in its Control Panel alone: Data Management → Live Tracking Stream."""
    return [UNVERIFIABLE] if 200 <= answer.status < 300 else None


def cookies(settings: Raptor) -> tuple[Cookie, ...]:
    """Those of Raptor's own script, by its rules. Its `rsa` has the customer's id before the name."""
    wanted = {"raptor_coid", "raptor_sid", *(f"raptor_{name}" for name in settings.identifiers)}
    found = (c for c in COOKIES if c.id in wanted and (c.make != "email" or settings.ruid_storage == "cookie"))
    scripts = (f"{settings.customer_id}rsa",)
    return tuple(replace(c, adopts=scripts) if c.name == "rsa" else c for c in found)


IN_STORE_TOO_OLD = "A tracking carries no time: Raptor would count it as of now"
ONLINE_TOO_OLD = f"{IN_STORE_TOO_OLD}, in a session that is over"

VENDOR = Vendor(
    key="raptor",
    name="Raptor",
    category="Personalisation",
    documentation="Raptor's help pages: Server-side Tracking, Offline Event Tracking, Tracking events (2025)",
    version=VERSION,
    settings=Raptor,
    events=EVENTS,
    own_events=lambda settings: settings.events,
    build=build,
    judge=judge,
    endpoints=endpoints,
    hosts=("*.raptorsmartadvisor.com",),
    max_age=lambda settings, event: settings.max_age_offline if in_store(event) else settings.max_age_online,
    too_old=lambda event: IN_STORE_TOO_OLD if in_store(event) else ONLINE_TOO_OLD,
    advertising=False,
    cookies=cookies,
)
