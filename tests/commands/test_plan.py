"""`plan`, `apply`, `export`: what they print, what they change, and how they end."""

import sqlite3
from pathlib import Path

import pytest
from tests.commands.conftest import Firsthand

FILE = """
sources:
  - {key: web-shop, name: Shop, write_key: "${WEB_WRITE_KEY}"}
  - {key: app, write_key: key-of-the-app}
integrations:
  - {key: criteo, vendor: criteo-s2s, settings: {partner_id: "12345", mapping_key: "123"}, consent: {basis: none}}
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WEB_WRITE_KEY", "key-of-the-web")
    path = tmp_path / "firsthand.yaml"
    path.write_text(FILE)
    return path


def test_a_plan_makes_nothing(firsthand: Firsthand, tmp_path: Path) -> None:
    said = firsthand("plan", "firsthand.yaml")
    assert said.exit_code == 0
    assert (
        said.out
        == """\
firsthand.yaml → firsthand-data
+ source web-shop
+ source app
+ integration criteo  revision 1

3 to add, 1 unchanged.
Nothing was applied here before.
"""
    )
    assert [path.name for path in tmp_path.iterdir()] == ["firsthand.yaml"]


def test_apply_and_then_there_is_nothing_left_to_do(firsthand: Firsthand) -> None:
    applied = firsthand("apply", "firsthand.yaml")
    assert applied.exit_code == 0
    assert "3 added, 1 unchanged." in applied.out
    assert "No gateway runs here" in applied.out
    again = firsthand("plan", "firsthand.yaml", "--exit-code")
    assert again.exit_code == 0
    assert "Nothing to change: all 4 are as the file says." in again.out


def test_the_difference_field_by_field(firsthand: Firsthand, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firsthand("apply", "firsthand.yaml")
    file.write_text(FILE.replace("12345", "67890").replace("Shop", "Store").replace("  - {key: app", "  # {key: app"))
    monkeypatch.setenv("WEB_WRITE_KEY", "another-key")
    said = firsthand("plan", "firsthand.yaml", "--exit-code")
    assert said.exit_code == 1, "asked for with --exit-code"
    lines = said.out.splitlines()
    assert lines[1:8] == [
        "~ source web-shop",
        "    write_key  ${WEB_WRITE_KEY} → ${WEB_WRITE_KEY}  (another value)",
        '    name       "Shop" → "Store"',
        "- source app  is here and not in the file",
        "~ integration criteo  revision 2",
        '    settings.partner_id  "12345" → "67890"',
        "",
    ]
    assert lines[8] == "2 to change, 1 to remove, 1 unchanged."
    assert lines[9].endswith("its text was another.")


def test_no_secret_is_ever_printed(firsthand: Firsthand, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [firsthand("apply", "firsthand.yaml"), firsthand("export"), firsthand("apply", "firsthand.yaml", "--json")]
    file.write_text(FILE.replace("key-of-the-app", "next-key-of-the-app"))
    monkeypatch.setenv("WEB_WRITE_KEY", "next-key-of-the-web")
    said += [firsthand("plan", "firsthand.yaml"), firsthand("plan", "firsthand.yaml", "--json")]
    assert "key-of-the" not in repr(said)


def test_for_programs(firsthand: Firsthand, file: Path) -> None:
    firsthand("apply", "firsthand.yaml")
    file.write_text(FILE.replace("12345", "67890"))
    plan = firsthand("plan", "firsthand.yaml", "--json").json
    assert (plan["changed"], plan["drift"], plan["last_applied"]["same_file"]) == (True, False, False)
    assert [change for change in plan["changes"] if change["kind"] != "unchanged"] == [
        {
            "kind": "changed",
            "what": "integration criteo",
            "fields": [{"path": "settings.partner_id", "old": "12345", "new": "67890"}],
            "revision": 2,
            "drift": False,
        }
    ]
    applied = firsthand("apply", "firsthand.yaml", "--json").json
    assert (applied["applied"], applied["changes"]) == (True, plan["changes"])
    assert firsthand("plan", "firsthand.yaml", "--json").json["changed"] is False


def test_drift_is_marked(firsthand: Firsthand, tmp_path: Path) -> None:
    firsthand("apply", "firsthand.yaml")
    with sqlite3.connect(tmp_path / "firsthand-data" / "state.db") as state:
        state.execute("UPDATE sources SET config = replace(config, 'Shop', 'Boutique')")
    said = firsthand("plan", "firsthand.yaml")
    assert '    name  "Boutique" → "Shop"  ⚠ drift' in said.out
    assert "⚠ drift: changed by other means since the last apply." in said.out
    assert firsthand("plan", "firsthand.yaml", "--json").json["drift"] is True


def test_export_and_back(firsthand: Firsthand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firsthand("apply", "firsthand.yaml")
    exported = firsthand("export")
    assert exported.exit_code == 0
    assert "#   APP_WRITE_KEY  write_key of source app\n" in exported.out
    (tmp_path / "exported.yaml").write_text(exported.out)

    missing = firsthand("plan", "exported.yaml")
    assert missing.exit_code == 1
    assert "the environment variable APP_WRITE_KEY is not set" in missing.err

    monkeypatch.setenv("APP_WRITE_KEY", "key-of-the-app")
    assert firsthand("plan", "exported.yaml", "--exit-code").exit_code == 0


def test_a_file_with_faults_changes_nothing(firsthand: Firsthand, file: Path) -> None:
    firsthand("apply", "firsthand.yaml")
    file.write_text(FILE.replace('"12345"', "12345").replace("key: app", "key: App"))
    said = firsthand("apply", "firsthand.yaml")
    assert (said.exit_code, said.out) == (1, "")
    assert "firsthand.yaml has 2 faults:" in said.err
    file.write_text(FILE)
    assert firsthand("plan", "firsthand.yaml", "--exit-code").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "err"),
    [
        (["plan", "nowhere.yaml"], 1, "nowhere.yaml: it can't be read"),
        (["apply", "."], 1, "it can't be read"),
        (["export"], 1, "there is no state.db in firsthand-data"),
        (["plan"], 2, "Missing argument"),
        (["export", "--output", "x"], 2, "No such option"),
    ],
)
def test_used_wrongly(firsthand: Firsthand, arguments: list[str], exit_code: int, err: str) -> None:
    said = firsthand(*arguments)
    assert (said.exit_code, said.out) == (exit_code, "")
    assert err in " ".join(said.err.split())


@pytest.mark.parametrize(("answer", "exit_code"), [(True, 0), (False, 1)])
def test_at_a_terminal_it_asks_before_something_is_lost(
    firsthand: Firsthand, file: Path, monkeypatch: pytest.MonkeyPatch, answer: bool, exit_code: int
) -> None:
    firsthand("apply", "firsthand.yaml")
    file.write_text(FILE.replace("  - {key: app", "  # {key: app"))
    with monkeypatch.context() as terminal:
        for stream in ("stdin", "stdout"):
            terminal.setattr(f"sys.{stream}.isatty", lambda: True, raising=False)
        terminal.setattr("typer.confirm", lambda question: answer)
        assert firsthand("apply", "firsthand.yaml").exit_code == exit_code
    left = firsthand("plan", "firsthand.yaml", "--json").json["changed"]
    assert left is (exit_code == 1), "nothing was applied where the answer was no"


def test_an_integration_that_asks_for_no_consent_is_told(firsthand: Firsthand, file: Path) -> None:
    file.write_text(FILE.replace(", consent: {basis: none}", ""))
    for command in ("plan", "apply"):
        said = firsthand(command, "firsthand.yaml")
        assert said.exit_code == 0
        assert (
            """\
! integration criteo names no consent basis: it is sent all events but those
  that carry a refusal. Add consent: {basis: tcf}, {basis: categories,
  categories: […]} or, where none is needed, {basis: none}
"""
            in said.out
        )
    assert len(firsthand("plan", "firsthand.yaml", "--json").json["warnings"]) == 1
    file.write_text(FILE)
    assert firsthand("plan", "firsthand.yaml", "--json").json["warnings"] == []


def test_going_live_is_said_and_so_is_an_id_of_an_example(firsthand: Firsthand, file: Path) -> None:
    firsthand("apply", "firsthand.yaml")
    file.write_text(FILE.replace("vendor: criteo-s2s", "vendor: criteo-s2s, environment: production"))
    planned, applied = firsthand("plan", "firsthand.yaml"), firsthand("apply", "firsthand.yaml")
    said = " ".join(planned.out.split())
    assert "! integration criteo would go to production: the vendor is sent its events, no longer the emulator" in said
    assert "in production with the partner_id and mapping_key of an example: put your own, or" in said
    assert "! integration criteo goes to production" in " ".join(applied.out.split())
    own = FILE.replace("12345", "67890").replace('"123"', '"4711"')
    file.write_text(own.replace("vendor: criteo-s2s", "vendor: criteo-s2s, environment: production"))
    assert "!" not in firsthand("plan", "firsthand.yaml").out


def test_a_file_that_is_not_there_is_named_once(firsthand: Firsthand) -> None:
    said = firsthand("plan", "nofile.yaml").err
    assert said == (
        "firsthand: nofile.yaml: it can't be read: No such file or directory; name a file that is there and readable\n"
    )
