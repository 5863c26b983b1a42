"""`check`: case files against the vendors' modules and the configuration."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.commands.conftest import Firsthand, Said

from firsthand.vendors import criteo_s2s

CONFIG = """
sources:
  - {key: web-shop, write_key: "${WEB_WRITE_KEY}", home_urls: ["https://shop.example/"]}
integrations:
  - key: criteo
    vendor: criteo-s2s
    environment: production
    settings: {partner_id: "12345", mapping_key: "123", max_age_online: 15m}
    consent: {basis: categories, on_refusal: suppress, hold: 5m}
    mapping: {events: {Product Added: {enabled: false}}}
"""
AGREED = {"consent": {"categories": {"marketing": True}}}
NOON = "2026-11-22T12:00:00.000Z"
Json = dict[str, Any]


def viewed(**fields: Any) -> Json:
    event = {"type": "track", "event": "Product Viewed", "anonymousId": "v_42", "timestamp": NOON}
    return event | {"context": AGREED, "properties": {"product_id": "SKU-A"}} | fields


def body(**fields: Any) -> Json:
    sent = {"event": "viewItem", "timestamp": "2026-11-22T12:00:00Z", "item": "SKU-A"}
    known = {"retailer_visitor_id": "v_42", "id": {"mapping_key": "123"}}
    return {"account": "12345", "version": "s2s_v1.0.0", **known, "events": [sent]} | fields


def case(expect: Json, **fields: Any) -> Json:
    return {"title": "a product page", "integration": "criteo", "event": viewed(), "expect": expect} | fields


@pytest.fixture
def run(firsthand: Firsthand, tmp_path: Path) -> Any:
    """Runs one case: `run({"requests": […]}, event=…)`."""
    (tmp_path / "firsthand.yaml").write_text(CONFIG)

    def check(expect: Json, *options: str, **fields: Any) -> Said:
        (tmp_path / "case.yaml").write_text(yaml.safe_dump(case(expect, **fields), allow_unicode=True))
        return firsthand("check", "case.yaml", "--config", "firsthand.yaml", *options)

    return check


def test_the_vendors_own_cases_pass(firsthand: Firsthand) -> None:
    cases = Path(criteo_s2s.__path__[0]) / "cases"
    said = firsthand("check", str(cases))
    assert (said.exit_code, said.out) == (0, f"✓ {len(list(cases.iterdir()))} cases: all passed\n")


def test_what_is_sent_is_compared_as_far_as_the_case_says(run: Any) -> None:
    url = "https://widget.criteo.com/m/event?version=s2s_v0"
    headers = {"Content-Type": "application/json"}
    whole = {"method": "POST", "url": url, "headers": headers, "body": body()}
    assert run({"requests": [whole]}).exit_code == 0
    assert run({"requests": [{"body": body()}]}).exit_code == 0
    assert run({"requests": [{}]}).exit_code == 0


def test_a_difference_names_the_field(run: Any) -> None:
    said = run({"requests": [{"body": body(account="99999", language="de")}]})
    assert said.exit_code == 1
    assert (
        said.out
        == """\
✗ case.yaml: a product page
    requests[0].body.account
      expected   "99999"
      got        "12345"
    requests[0].body.language
      expected   "de"
      got        nothing

✗ 1 case: 0 passed, 1 failed
"""
    )


@pytest.mark.parametrize(
    ("expect", "fields"),
    [
        ({"state": "filtered", "reason": {"code": "not_mapped"}}, {"event": viewed(event="Coffee Brewed")}),
        ({"state": "filtered", "reason": {"code": "disabled_event"}}, {"event": viewed(event="Product Added")}),
        ({"state": "filtered", "reason": {"code": "condition"}}, {"event": viewed(integrations={"All": False})}),
        ({"state": "filtered", "reason": {"code": "too_old"}}, {"now": "2026-11-22T12:15:01Z"}),
        ({"requests": [{"body": body()}]}, {"now": "2026-11-22T12:14:59Z"}),
        (
            {"state": "filtered", "reason": {"code": "consent_refused", "field": "context.consent"}},
            {"event": viewed(context={"consent": {"categories": {"marketing": False}}})},
        ),
        ({"state": "held"}, {"event": viewed(context={})}),
        (
            {"state": "filtered", "reason": {"code": "consent_unknown"}},
            {"event": viewed(context={}), "now": "2026-11-22T12:06:00Z"},
        ),
        ({"requests": [{"body": body()}]}, {"event": viewed(context={}), "consent": {"decision": "allow"}}),
        ({"state": "dead", "reason": {"code": "field_missing"}}, {"event": viewed(properties={})}),
        (
            {"requests": [{"body": body(id={"mapping_key": "123", "mapped_user_id": "k-1"})}]},
            {"event": viewed(context=AGREED | {"ids": {"criteo_gum_id": "k-1"}})},
        ),
        (
            {"requests": [{"body": body(id={"mapping_key": "123", "mapped_user_id": "k-2"})}]},
            {"identity": {"vendor_ids": {"criteo_gum_id": "k-2"}}},
        ),
    ],
)
def test_every_step_on_the_way_to_the_vendor(run: Any, expect: Json, fields: Json) -> None:
    said = run(expect, **fields)
    assert said.exit_code == 0, said.out


def test_a_page_that_is_home_by_its_source(run: Any) -> None:
    page = {"url": "https://shop.example/"}
    event = {"type": "page", "anonymousId": "v", "properties": page, "context": AGREED, "timestamp": NOON}
    said = run({"requests": [{"body": {"events": [{"event": "viewHome"}]}}]}, "--json", event=event)
    paths = {difference["path"] for difference in said.json["cases"][0]["differences"]}
    assert "requests[0].body.events[0].event" not in paths


def test_an_id_that_could_belong_to_either_of_two_accounts(run: Any, tmp_path: Path) -> None:
    second = "  - {key: second, vendor: criteo-s2s, settings: {partner_id: '67890', mapping_key: '456'}}\n"
    (tmp_path / "firsthand.yaml").write_text(CONFIG + second)
    unsaid = viewed(context=AGREED | {"ids": {"criteo_gum_id": "k-1"}})
    assert run({"state": "dead", "reason": {"field": "context.ids.criteo_gum_id"}}, event=unsaid).exit_code == 0


def test_what_was_expected_to_be_sent_and_is_not(run: Any) -> None:
    said = run({"requests": [{}, {}]}, event=viewed(event="Product Added"))
    assert 'expected   "2 requests"' in said.out
    assert 'got        "filtered: disabled_event: event: ' in said.out


def test_what_was_not_expected_to_be_sent_and_is(run: Any) -> None:
    said = run({"state": "dead"})
    assert said.exit_code == 1
    assert 'got        "it is sent: 1 request"' in said.out


def test_numbers_and_switches_are_not_confused(run: Any) -> None:
    bought = {"order_id": "1", "products": [{"product_id": "a", "price": 1, "quantity": 1}]}
    item = {"id": "a", "price": 1.0, "quantity": True}
    sent = {"event": "trackTransaction", "timestamp": "2026-11-22T12:00:00Z", "id": "1", "item": [item]}
    event = viewed(event="Order Completed", properties=bought)
    said = run({"requests": [{"body": body(events=[sent])}]}, "--json", event=event)
    (difference,) = said.json["cases"][0]["differences"]
    assert difference == {"path": "requests[0].body.events[0].item[0].quantity", "expected": True, "got": 1}


def test_for_programs(run: Any) -> None:
    assert run({"requests": [{}]}, "--json").json == {
        "passed": 1,
        "failed": 0,
        "cases": [{"file": "case.yaml", "title": "a product page", "error": None, "differences": [], "passed": True}],
    }


def test_secrets_need_not_be_at_hand(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_WRITE_KEY", raising=False)
    assert run({"requests": [{}]}).exit_code == 0


def test_a_setting_that_is_not_at_hand_is_named(run: Any, tmp_path: Path) -> None:
    (tmp_path / "firsthand.yaml").write_text(CONFIG.replace('"12345"', "${PARTNER_ID}"))
    said = run({"requests": [{}]})
    assert said.exit_code == 1
    assert "Not set, so that a placeholder stood for it: WEB_WRITE_KEY, PARTNER_ID" in said.err


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("a.json", "{", "it is not JSON: "),
        ("a.yaml", "a: [", "it is not YAML: "),
        ("a.json", "[]", "it is not a case: Expected `object`, got `array`"),
        ("a.json", '{"title": 1}', "it is not a case: Expected `str`, got `int` - at `$.title`"),
        ("a.json", {"expect": {}}, "expect has either `requests`, or `state` with `reason`"),
        ("a.json", {"expect": {"state": "dead", "requests": []}}, "expect has either"),
        ("a.json", {"vendor": "criteo-s2s"}, "a case has either `vendor`, with its `settings`, or `integration`"),
        ("a.json", {"settings": {}}, "a case with `integration` takes its settings from the configuration"),
        ("a.json", {"integration": "crieto"}, "no integration crieto; did you mean criteo?"),
        ("a.json", {"integration": None, "vendor": "nobody"}, "there is no vendor 'nobody'"),
        (
            "a.json",
            {"integration": None, "vendor": "criteo-s2s", "settings": {"partner_id": 12345, "mapping_key": "123"}},
            "settings.partner_id: 12345 is a number, not text; put it in quotes, so that no zero is lost",
        ),
        ("a.json", {"now": "noon"}, "now is no time such as 2026-11-22T10:15:00Z"),
        ("a.json", {"consent": {"decision": "refuse"}}, "Invalid enum value 'refuse' - at `$.consent.decision`"),
        ("a.json", {"colour": "red"}, "Object contains unknown field `colour`"),
    ],
)
def test_a_file_that_is_no_case(firsthand: Firsthand, tmp_path: Path, name: str, text: Any, error: str) -> None:
    (tmp_path / "firsthand.yaml").write_text(CONFIG)
    (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(case({"state": "dead"}) | text))
    said = firsthand("check", name, "--config", "firsthand.yaml")
    assert said.exit_code == 1
    assert error in " ".join(said.out.split())


def test_folders_are_searched_and_an_empty_one_is_a_failure(firsthand: Firsthand, tmp_path: Path) -> None:
    (tmp_path / "cases" / "deep").mkdir(parents=True)
    said = firsthand("check", "cases")
    assert (said.exit_code, said.err) == (1, "firsthand: there are no case files (.json, .yaml) in cases\n")
    good = case({"state": "dead"}, integration=None, vendor="criteo-s2s", event={"type": "page"})
    good["settings"] = {"partner_id": "12345", "mapping_key": "123"}
    (tmp_path / "cases" / "deep" / "one.yml").write_text(yaml.safe_dump(good))
    (tmp_path / "cases" / "two.json").write_text(json.dumps(good | {"expect": {"requests": [{}]}}))
    said = firsthand("check", "cases", "cases/two.json")
    assert said.exit_code == 1
    assert "✗ cases/two.json: a product page" in said.out
    assert "✗ 2 cases: 1 passed, 1 failed" in said.out


@pytest.mark.parametrize("arguments", [[], ["nowhere.json"], ["--config", "nowhere.yaml", "."]])
def test_used_wrongly(firsthand: Firsthand, arguments: list[str]) -> None:
    assert firsthand("check", *arguments).exit_code == 2


def test_one_problem_of_many_cases_is_told_once(firsthand: Firsthand, tmp_path: Path) -> None:
    (tmp_path / "cases").mkdir()
    for number in range(12):
        (tmp_path / "cases" / f"{number}.yaml").write_text(yaml.safe_dump(case({"requests": [{"body": body()}]})))
    said = firsthand("check", "cases")
    assert said.exit_code == 1
    assert said.out.count("--config") == 1
    assert said.out.startswith("✗ 12 cases can't be run:\n    ")
    assert said.out.endswith("\n✗ 12 cases: 0 passed, 12 failed\n")
