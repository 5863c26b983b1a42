"""Completes an event's consent from what the page's consent tool (CMP) says: canonical categories, TC string, opt-outs.

The canonical categories are `essential`, `functional`, `analytics`, `marketing` and `personalization`. A category that
no tool says anything of stays unknown. A tool that has not been answered yet refuses nothing: its boxes stand empty
only because nobody has ticked them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from firsthand.config import Cmp
from firsthand.consent.codes import MAX_LENGTH, MOST_CODES, Codes, fields, pairs, read, said
from firsthand.consent.gpp import MAX_LENGTH as LONGEST_GPP_STRING
from firsthand.consent.tcf import MAX_LENGTH as LONGEST_TC_STRING

CATEGORIES = ("essential", "functional", "analytics", "marketing", "personalization")

Vocabulary = Mapping[str, tuple[str, ...]]
"""Canonical category → codes in lower case. Of a category's codes those count that the tool knows at all."""

# OneTrust's default groups: strictly necessary, performance, functional ("enhanced functionality and
# personalisation"), targeting, social media (which "build up a profile of your interests").
ONETRUST: Vocabulary = {
    "essential": ("c0001",),
    "functional": ("c0003",),
    "analytics": ("c0002",),
    "marketing": ("c0004", "c0005"),
    "personalization": ("c0003",),
}
COOKIEBOT: Vocabulary = {
    "essential": ("necessary",),
    "functional": ("preferences",),
    "analytics": ("statistics",),
    "marketing": ("marketing",),
    "personalization": ("preferences",),
}
# Didomi's standard purposes by their ids; a site's own purposes have ids of its own and need `cmp.categories`.
DIDOMI: Vocabulary = {
    "essential": ("essential", "necessary"),
    "functional": ("functional", "preferences"),
    "analytics": ("analytics", "audience_measurement", "measure_content_performance", "market_research",
                  "improve_products", "performance"),
    "marketing": ("marketing", "advertising", "ad_delivery", "advertising_personalization", "select_basic_ads",
                  "create_ads_profile", "select_personalized_ads", "measure_ad_performance"),
    "personalization": ("personalization", "content_personalization", "create_content_profile",
                        "select_personalized_content"),
}  # fmt: skip
OSANO: Vocabulary = {
    "essential": ("essential",),
    "functional": ("personalization",),
    "analytics": ("analytics",),
    "marketing": ("marketing",),
    "personalization": ("personalization",),
}
# `marketingAndAnalytics` is one of the three categories of Segment's old consent manager.
PLAIN: Vocabulary = {
    "essential": ("essential", "necessary", "strictly_necessary", "required"),
    "functional": ("functional", "functionality", "preferences"),
    "analytics": ("analytics", "statistics", "performance", "marketingandanalytics"),
    "marketing": ("marketing", "advertising", "targeting", "marketingandanalytics"),
    "personalization": ("personalization", "personalisation"),
}
TOOLS: Mapping[str, tuple[str, Vocabulary]] = {
    "onetrust": ("OptanonConsent", ONETRUST),
    "cookiebot": ("CookieConsent", COOKIEBOT),
    "didomi": ("didomi_token", DIDOMI),
    "osano": ("osano_consentmanager", OSANO),
}
"""By the name under `context.cmp`: the tool's cookie and its usual codes."""
COOKIES = (*(cookie for cookie, _ in TOOLS.values()), "euconsent-v2", "usprivacy", "OTGPPConsent")
"""All that are read, besides that of `Cmp.cookie`."""
ANY: Vocabulary = {
    category: tuple(
        dict.fromkeys(code for words in (PLAIN, ONETRUST, COOKIEBOT, DIDOMI, OSANO) for code in words[category])
    )
    for category in CATEGORIES
}


RUDDERSTACK = "consentManagement"
_PREFERENCES = ("categoryPreferences", "destinationPreferences")


def complete(context: dict[str, Any], cookies: Mapping[str, str], gpc: bool, rule: Cmp) -> None:
    """Fill `context["consent"]` from `context["cmp"]` (the raw values that the page's script saw) and the consent
    tools' cookies, and remove `context["cmp"]`.

    What the event says explicitly wins; only Global Privacy Control is on when it is on anywhere (`gpc` is the
    request's `Sec-GPC`). With `rule.cookie` that cookie alone is read for categories; else the tools that the page
    saw, each with its cookie; else the cookies of the known tools. Where several tools differ, a refusal wins.
    Never raises, whatever the event and the cookies hold.
    """
    if not cookies and not gpc and "cmp" not in context and RUDDERSTACK not in context:
        given = context.get("consent")
        if not isinstance(given, dict) or given.keys().isdisjoint(_PREFERENCES):
            return  # as most events come from a page without a tool: nothing to add
    seen = context.pop("cmp", None)
    seen = seen if isinstance(seen, dict) else {}
    given = context.get("consent")
    consent: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
    categories, opted_out = _from_tools(seen, cookies, rule)
    categories.update(_strictest((_explicit(consent, rule), _rudderstack(context.get(RUDDERSTACK), rule))))
    if categories:
        own = consent.get("categories")
        consent["categories"] = {**categories, **(own if isinstance(own, dict) else {})}
    _add_tc_string(consent, cookies.get("euconsent-v2"))
    us_privacy = cookies.get("usprivacy")
    if not isinstance(consent.get("usPrivacy"), str) and us_privacy and len(us_privacy) <= 16:
        consent["usPrivacy"] = us_privacy
    gpp = cookies.get("OTGPPConsent")
    if not isinstance(consent.get("gpp"), str) and gpp and len(gpp) <= LONGEST_GPP_STRING:
        consent["gpp"] = gpp
    if gpc or opted_out:
        consent["gpc"] = True
    if consent or "consent" in context:
        context["consent"] = consent if consent or isinstance(given, dict) else given


def _explicit(consent: Mapping[str, Any], rule: Cmp) -> dict[str, bool]:
    """Segment's `categoryPreferences` and `destinationPreferences`, whose names may be canonical or a tool's codes; its
    old consent manager wrote categories into both."""
    given = [read(part) for name in _PREFERENCES if isinstance(part := consent.get(name), dict)]
    return _strictest(_meant(codes, rule) for codes in given if codes is not None)


def _rudderstack(given: Any, rule: Cmp) -> dict[str, bool]:
    """RudderStack's `consentManagement`, which lists a tool's codes, or canonical names: `allowedConsentIds` and
    `deniedConsentIds`. Of what neither lists, nothing is said. Its `resolutionStrategy` is for its own destinations:
    here `rule.combine` says what becomes of a category with several codes."""
    if not isinstance(given, dict):
        return {}
    codes = Codes({})
    for name, granted in (("allowedConsentIds", True), ("deniedConsentIds", False)):
        for code, answer in _listed(given.get(name)):
            codes.add(code, granted if answer is None else granted is answer)
    return _meant(codes, rule)


def _listed(given: Any) -> list[tuple[Any, bool | None]]:
    """The codes of a list, or of an object (by code its name or yes and no; or as PHP writes a list, by number)."""
    if isinstance(given, dict):
        return [
            (code, said(answer) if not isinstance(answer, str) else None)
            for name, answer in list(given.items())[:MOST_CODES]
            for code in ((name, answer) if isinstance(answer, str) else (name,))
        ]
    if isinstance(given, str):
        given = given.split(",", MOST_CODES)
    return [(code, None) for code in given[:MOST_CODES]] if isinstance(given, list) else []


def _meant(codes: Codes, rule: Cmp) -> dict[str, bool]:
    """What codes or canonical names mean for the categories."""
    found = _categories(codes, ANY, rule)
    return {**found, **{name: codes.granted[name] for name in CATEGORIES if name in codes.granted}}


def _from_tools(seen: Mapping[Any, Any], cookies: Mapping[str, str], rule: Cmp) -> tuple[dict[str, bool], bool]:
    """The categories, and whether a tool says that the browser sent Global Privacy Control."""
    if rule.cookie is not None:
        codes = read(cookies.get(rule.cookie))
        return (_categories(codes, ANY, rule) if codes else {}), False
    here = [name for name in TOOLS if seen.get(name)]
    answers, opted_out = [], False
    for name in here or TOOLS:
        cookie, vocabulary = TOOLS[name]
        page, kept = seen.get(name), cookies.get(cookie)
        for raw in (page,) if page == kept else (page, kept):
            codes = _answer(name, raw) if isinstance(raw, str) else _READERS[name](raw) if raw else None
            if codes is not None:
                answers.append(_categories(codes, vocabulary, rule))
                opted_out = opted_out or codes.gpc
    return _strictest(answers), opted_out


@lru_cache(maxsize=500)  # the events of a batch come with the same cookies
def _answer(name: str, raw: str) -> Codes | None:
    return _READERS[name](raw) if 0 < len(raw) <= MAX_LENGTH else None


def _strictest(answers: Iterable[Mapping[str, bool]]) -> dict[str, bool]:
    found: dict[str, bool] = {}
    for answer in answers:
        for category, granted in answer.items():
            found[category] = granted and found.get(category, True)
    return found


def _categories(codes: Codes, vocabulary: Vocabulary, rule: Cmp) -> dict[str, bool]:
    """What the codes mean for the categories: those that the rule names by its codes, the others by the usual ones."""
    listed = codes.whole and (
        not codes.granted or any(code in codes.granted for usual in vocabulary.values() for code in usual)
    )
    found: dict[str, bool] = {}
    for category in dict.fromkeys((*CATEGORIES, *rule.categories)):
        own = rule.categories.get(category)
        if own is not None:
            absent = False if codes.whole else None
            granted = _combined([codes.granted.get(code.strip().lower(), absent) for code in own], rule)
        else:
            known = [codes.granted[code] for code in vocabulary[category] if code in codes.granted]
            granted = _combined(known, rule) if known else False if listed else None
        if granted is not None:
            found[category] = granted
    return found


def _combined(answers: Sequence[bool | None], rule: Cmp) -> bool | None:
    """Several codes on one category: all of them must be granted, unless the rule says that any will do."""
    decisive: bool = rule.combine == "any"  # one of these settles it: a yes where any will do, else a no
    if decisive in answers:
        return decisive
    return None if None in answers else not decisive


def _add_tc_string(consent: dict[str, Any], cookie: str | None) -> None:
    tcf = consent.get("tcf")
    tcf = dict(tcf) if isinstance(tcf, dict) else {}
    string = tcf.get("tcString")
    if (isinstance(string, str) and string) or not cookie:
        return
    cookie = cookie.strip(' "')
    if cookie and len(cookie) <= LONGEST_TC_STRING:
        tcf["tcString"] = cookie
        consent["tcf"] = tcf


# -- the tools -----------------------------------------------------------------------------------------------------


def _unanswered(codes: Codes) -> Codes:
    """What a tool grants before it was answered is what the site's law lets it grant; it refuses nothing yet."""
    return Codes({code: True for code, granted in codes.granted.items() if granted})


def _onetrust(raw: Any) -> Codes | None:
    """`isGpcEnabled=0&…&interactionCount=1&…&groups=C0001%3A1%2CC0002%3A0`, perhaps encoded once more."""
    found = fields(raw) if isinstance(raw, str) else {}
    if isinstance(raw, str) and "groups" not in found and "%3D" in raw:
        found = fields(unquote_plus(raw))
    codes = read(unquote_plus(found["groups"]) if found.get("groups") else raw)
    if codes is None:
        return None
    # A bare list is that of the active groups, which is there before the visitor has answered.
    if codes.whole or found.get("interactionCount") == "0":
        codes = _unanswered(codes)
    return Codes(codes.granted, gpc="1" in (found.get("browserGpcFlag"), found.get("isGpcEnabled")))


def _cookiebot(raw: Any) -> Codes | None:
    """`{stamp:'…',necessary:true,…,method:'explicit'}`; `-1` where no consent is needed in the visitor's region."""
    if raw in ("-1", -1):
        return Codes({code: True for codes in COOKIEBOT.values() for code in codes})
    codes = read(raw)
    if codes is None or codes.whole:
        return None
    facts = raw if isinstance(raw, dict) else dict(pairs(unquote_plus(raw))) if isinstance(raw, str) else {}
    asked = facts.get("stamp") == "0" or facts.get("hasResponse", facts.get("answered")) in (False, "false")
    return _unanswered(codes) if asked or ("method" in facts and facts["method"] in (None, "", "null")) else codes


def _osano(raw: Any) -> Codes | None:
    """`{"MARKETING": "ACCEPT", …}`, as `Osano.cm.getConsent()` gives it. The cookie is encrypted: nothing to read."""
    codes = read(raw)
    if codes is None or codes.whole:
        return None
    if codes.granted.get("opt_out"):  # accepted to be left out of the sale of data
        return Codes({**codes.granted, "marketing": False})
    return codes


_READERS: Mapping[str, Callable[[Any], Codes | None]] = {
    "onetrust": _onetrust,
    "cookiebot": _cookiebot,
    "didomi": read,
    "osano": _osano,
}
