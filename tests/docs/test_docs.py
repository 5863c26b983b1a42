"""The documentation names everything there is: a code, field or command that is not described fails here."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
import pytest
import typer

from firsthand import collect, config, settings
from firsthand.cli import app
from firsthand.config.values import unwrap
from firsthand.emulators.faults import COMMON_KINDS
from firsthand.emulators.server import EMULATORS
from firsthand.reasons import DEAD, FILTERED, HELD
from firsthand.settings import Settings
from firsthand.terminal.remedies import REMEDIES
from firsthand.vendors import registry
from firsthand.vendors.base import Setup

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
SOURCE = Path(settings.__file__).parent


def page(name: str) -> str:
    return (DOCS / name).read_text()


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or a higher one."""
    level = len(heading) - len(heading.lstrip("#"))
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", text, re.M | re.S)
    assert found, f"there is no heading {heading!r}"
    return found[1]


def rows(text: str) -> set[str]:
    """What stands in backticks in the first column of the tables."""
    first = (line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    return {name for cell in first for name in re.findall(r"`([^`]+)`", cell)}


# -- reasons -----------------------------------------------------------------------------------------------------


def test_each_reason_code_is_explained_once() -> None:
    def explained(heading: str) -> list[str]:
        return re.findall(r"^### (\w+)$", section(page("reasons.md"), heading), re.M)

    assert explained("## Held") == list(HELD)
    assert explained("## Filtered") == list(FILTERED)
    # too_old is in both lists; it is explained where it comes first.
    assert explained("## Dead") == [code for code in DEAD if code not in FILTERED]


def test_the_terminal_says_what_the_page_says() -> None:
    remedies = re.findall(r"^### (\w+)\n.*?^\*\*Do:\*\* (.+?)$", page("reasons.md"), re.M | re.S)

    assert dict(remedies) == REMEDIES
    assert REMEDIES.keys() == {*HELD, *FILTERED, *DEAD}


# -- collect -----------------------------------------------------------------------------------------------------


def faults_of_the_collector() -> set[tuple[str, int]]:
    """Code and status of each `Fault(status, "code", …)` in the source."""
    found = set()
    for file in Path(collect.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Fault":
                status, code = node.args[0], node.args[1]
                assert isinstance(status, ast.Constant)
                assert isinstance(code, ast.Constant)
                found.add((str(code.value), int(str(status.value))))
    return found


def test_each_fault_of_the_collector_is_in_the_table_with_its_status() -> None:
    table = re.findall(r"^\| `(\w+)` \| (\d+) \|", section(page("collect.md"), "## Errors"), re.M)

    assert {(code, int(status)) for code, status in table} == faults_of_the_collector()
    assert len(table) == len(set(table)), "a fault is explained twice"


def test_the_limits_are_those_of_the_code() -> None:
    from firsthand.collect import parse

    limits = section(page("collect.md"), "## Limits")

    assert f"({parse.REQUEST_BYTES:,} bytes)" in limits
    assert f"({parse.EVENT_BYTES:,} bytes)" in limits
    assert f"| {parse.BATCH_EVENTS} |" in limits
    assert f"| {parse.MAX_DEPTH} levels |" in limits
    assert f"| {parse.MAX_ID_LENGTH} characters |" in limits


def test_each_endpoint_is_named() -> None:
    from firsthand.collect.paths import BATCHES, HEALTH, PIXELS, SIGNED, SINGLES

    named = section(page("collect.md"), "## Endpoints")

    assert [path for path in (*SINGLES, *BATCHES, SIGNED, *PIXELS, *HEALTH) if f"{path}`" not in named] == []


# -- configuration -----------------------------------------------------------------------------------------------


def fields(struct: type[msgspec.Struct], path: str = "") -> Iterator[str]:
    """The fields of `firsthand.yaml` as dotted paths: `integrations[].consent.basis`."""
    for field in msgspec.structs.fields(struct):
        here = f"{path}{field.encode_name}"
        core, _ = unwrap(field.type)
        inner = [unwrap(arg)[0] for arg in get_args(core) if arg is not ...]
        if get_origin(core) is tuple and issubclass(inner[0], msgspec.Struct):
            yield from fields(inner[0], f"{here}[].")
        elif get_origin(core) is dict and isinstance(inner[1], type) and issubclass(inner[1], msgspec.Struct):
            yield here
            yield from fields(inner[1], f"{here}.NAME.")
        elif isinstance(core, type) and issubclass(core, msgspec.Struct):
            yield from ([here] if path else [])
            yield from fields(core, f"{here}.")
        else:
            yield here


def test_each_field_of_the_configuration_is_in_a_table() -> None:
    documented = {name for name in rows(page("configuration.md")) if not name.startswith("FIRSTHAND_")}
    documented -= rows(section(page("configuration.md"), "## The data folder"))

    assert documented == set(fields(config.Config))


def test_each_environment_variable_is_in_the_table() -> None:
    """Those of the settings, and whatever else the source names, all but the one between our own processes."""
    read = {f"FIRSTHAND_{field.name.upper()}" for field in msgspec.structs.fields(Settings)}
    for file in SOURCE.rglob("*.py"):
        read |= set(re.findall(r"FIRSTHAND_[A-Z_]*[A-Z]", file.read_text()))

    assert rows(section(page("configuration.md"), "## Environment")) == read - {"FIRSTHAND_SUPERVISED"}


def examples() -> list[Any]:
    """Each YAML block of each page."""
    found = []
    for file in PAGES:
        for number, text in enumerate(re.findall(r"^```yaml\n(.*?)^```", file.read_text(), re.M | re.S), 1):
            found.append(pytest.param(text, id=f"{file.name}-{number}"))
    return found


@pytest.mark.parametrize("text", examples())
def test_each_example_of_a_configuration_can_be_used(text: str) -> None:
    config.parse(text, env={"WEB_WRITE_KEY": "key-1", "TILLS_WRITE_KEY": "key-2"})


@pytest.mark.parametrize("text", examples())
def test_each_example_of_an_integration_says_what_it_asks_of_consent(text: str) -> None:
    """Who copies one sends nothing to anybody who was not asked."""
    read = config.parse(text, env={"WEB_WRITE_KEY": "key-1", "TILLS_WRITE_KEY": "key-2"})

    assert [one.key for one in read.integrations if one.consent is None] == []


# -- pages of a shop ----------------------------------------------------------------------------------------------


def test_the_policies_of_both_pages_let_in_what_the_script_loads_and_nothing_else() -> None:
    criteo = registry()["criteo-s2s"]
    settings_ = criteo.settings(partner_id="12345", mapping_key="123")
    sync = criteo.sync(Setup(settings_, criteo.endpoints(settings_, None)), {})
    assert sync is not None
    assert urlsplit(sync.url).hostname == urlsplit(sync.redirect_url).hostname == "gum.criteo.com"
    for name, heading in (("browser.md", "## Content security policy"), ("criteo-s2s.md", "## The cookie sync")):
        text = section(page(name), heading)
        for directive in ("script-src", "img-src"):
            (allowed,) = re.findall(rf"{directive} ([^;`]+)", " ".join(text.split()))[:1]
            assert {urlsplit(word).hostname for word in allowed.split() if "criteo" in word} == {"gum.criteo.com"}
        assert "emulator" in text


# -- vendors and emulators ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", registry())
def test_each_setting_of_a_vendor_is_in_its_table(key: str) -> None:
    settings_ = {field.encode_name for field in msgspec.structs.fields(registry()[key].settings)}

    assert rows(section(page(f"{key}.md"), "## Settings")) == settings_


@pytest.mark.parametrize("key", registry())
def test_each_event_of_a_vendor_is_named_with_what_it_becomes(key: str) -> None:
    text, vendor = section(page(f"{key}.md"), "## Events"), registry()[key]
    table = [line for line in text.splitlines() if line.startswith("|")]
    for name, becomes in vendor.events.items():
        if becomes is None:
            assert f"`{name}`" in text, f"{name} has no counterpart, and the page does not say so"
        else:
            assert any(f"`{name}`" in line and f"| `{becomes}` |" in line for line in table), f"{name} → {becomes}"


def test_each_fault_and_setting_of_the_emulators_is_in_a_table() -> None:
    text = page("emulators.md")

    assert rows(section(text, "## Faults")) - {"kind", "rate", "seconds", "count", "match"} == COMMON_KINDS.keys()
    for key, emulator in EMULATORS.items():
        settings_ = {field.encode_name for field in msgspec.structs.fields(emulator.settings_type)}
        assert rows(section(text, f"## {key}")) == emulator.fault_kinds.keys() | settings_


def test_each_word_of_a_mapping_file_is_described() -> None:
    from firsthand.importing.format import Format
    from firsthand.importing.mapping import KINDS, WORDS
    from firsthand.importing.values import ValueType

    text = page("import.md")
    named = {word for cell in re.findall(r"`([^`]+)`", text) for word in re.findall(r"\w+", cell)}

    assert {field.name for field in msgspec.structs.fields(Format)} <= rows(text)
    assert {*WORDS, *KINDS, *get_args(ValueType)} <= named


# -- commands ----------------------------------------------------------------------------------------------------


def commands() -> dict[str, Any]:
    """By the words they are called with; those of a group are called by its name and theirs."""
    group: Any = typer.main.get_command(app)
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        found.update({name: command} if inner is None else {f"{name} {word}": one for word, one in inner.items()})
    return found


@pytest.mark.parametrize("name", commands())
def test_each_command_is_described_with_its_options(name: str) -> None:
    described = rows(section(page("commands.md"), f"## firsthand {name}"))

    assert described == {p.opts[0] for p in commands()[name].params if p.opts[0].startswith("--")}


@pytest.mark.parametrize("name", commands())
def test_helps_are_plain_text(name: str) -> None:
    """Brackets are no markup there: a backslash before one would be printed."""
    assert [p.name for p in commands()[name].params if "\\[" in (getattr(p, "help", "") or "")] == []


def test_no_command_is_described_that_is_not_there() -> None:
    assert set(re.findall(r"^## firsthand ([\w -]+)$", page("commands.md"), re.M)) == commands().keys()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_each_command_that_a_page_tells_to_type_is_there_with_its_options(file: Path) -> None:
    text = re.sub(r"\\\n\s*", "", file.read_text())
    typed = re.findall(r"(?:^ {4}|^|`|\$ |/|&& )firsthand ([a-z][^`\n|]*)", text, re.M)
    for line in typed:
        words = line.split()
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in commands()), None)
        assert name, f"firsthand {line}"
        options = {option for p in commands()[name].params for option in (*p.opts, *p.secondary_opts)} | {"--help"}
        assert {word for word in words if word.startswith("--")} <= options, f"firsthand {line}"


# -- the pages themselves ----------------------------------------------------------------------------------------


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_nothing_is_told_twice_under_the_same_heading(file: Path) -> None:
    headings = re.findall(r"^##+ .+$", file.read_text(), re.M)
    assert [heading for heading in headings if headings.count(heading) > 1] == []


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_each_link_leads_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", file.read_text()):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        place = (file.parent / path).resolve() if path else file
        assert place.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(place.read_text()), f"{target}: there is no such heading"


def test_each_page_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()

    assert [file.name for file in DOCS.glob("*.md") if f"docs/{file.name}" not in readme] == []
