"""Is the gateway set up as it should be? These look at the configuration alone."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from firsthand.config import Config, Integration
from firsthand.config.faults import Path, render
from firsthand.config.written import written
from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, Severity, error, judged, ok, warning

MOST_FAULTS = 20
KEY_CHARACTERS = 16
"""Shorter keys can be guessed."""
PLACEHOLDER = re.compile(
    r"123|1234|12345|123456|0+|x+|(test|demo|sample|dummy|example|secret|password|change-?me|todo)([-_ ]?key)?|demo-.*"
    r"|(your|replace|change|insert)[-_ ].*|<.*>",
    re.I,
)


def file(context: Context) -> Iterator[Finding]:
    """The file can be used."""
    if context.state_error is not None:
        found, _, remedy = str(context.state_error).rpartition("; ")
        yield error("configuration.state", "state", found, remedy)
    if context.file_path is None:
        if context.state is not None:
            yield ok("configuration.file", "file", "none given: what was applied last is looked at")
        elif context.state_error is None:
            found = f"there is no firsthand.yaml, and nothing is applied to {context.data}"
            remedy = "`firsthand init` writes a firsthand.yaml to begin with; or name a file with --config"
            yield error("configuration.file", "file", found, remedy)
    elif context.file_error is not None:
        for fault in context.file_error.faults[:MOST_FAULTS]:
            place = f"line {fault.line}, {fault.path}" if fault.line else fault.path
            yield error("configuration.file", context.file_path.name, f"{place}: {fault.message}", fault.remedy)
        if context.state is not None:
            yield ok("configuration.file", "in its place", "what was applied last is looked at below")
    elif context.file is not None:
        yield ok("configuration.file", context.file.file, _counted(context.file))


def applied(context: Context) -> Iterator[Finding]:
    """What runs is what the file says."""
    if context.file is None or context.file_path is None or context.state_error is not None:
        return
    if context.state is None:
        remedy = f"`firsthand apply {context.file_path}`, or `firsthand serve --config`, which applies it at start"
        yield warning("configuration.applied", "applied", f"nothing is applied to {context.data} yet", remedy)
        return
    changes = [change for change in context.state.plan(context.file) if change.kind != "unchanged"]
    if not changes:
        found = "what runs is what the file says"
        if not context.running:
            found = "as the file says, for when a gateway runs here: none does now"
        yield ok("configuration.applied", "applied", found)
        return
    drift = any(change.drift or any(field.drift for field in change.fields) for change in changes)
    found = f"not as the file says: {', '.join(f'{change.what} {change.kind}' for change in changes)}"
    remedy = f"`firsthand plan {context.file_path}` shows the difference, `firsthand apply` makes it so"
    yield warning("configuration.applied", "applied", f"{found}; drift" if drift else found, remedy, drift=drift)


def secrets(context: Context) -> Iterator[Finding]:
    """Secrets come from the environment, so that the file can be in git."""
    if context.file is None:
        return
    from_environment = dict(context.file.references)
    found = [path for path, _ in _secrets(context.file)]
    inside = [path for path in found if path not in from_environment]
    for path in inside:
        remedy = "write ${NAME} there and set the variable: the file belongs in git, and the secret does not"
        yield warning("configuration.secrets", _named(path), "stands in the file itself", remedy)
    if found and not inside:
        names = f"{len(found)} from the environment" if len(found) > 1 else "from the environment"
        yield ok("configuration.secrets", "secrets", names)


def write_keys(context: Context) -> Iterator[Finding]:
    """Write keys can't be guessed, and nothing else is protected by the same secret."""
    in_earnest = context.production or any(one.environment == "production" for one in context.config.integrations)
    severity: Severity = "error" if in_earnest else "warning"
    secrets = list(_secrets(context.config))
    sound = True
    for path, value in secrets:
        if path[-1] not in ("write_key", "signing_secret"):
            continue
        title, fresh = _named(path), "`openssl rand -hex 24` makes one"
        others = [_named(other) for other, same in secrets if same == value and other != path]
        if PLACEHOLDER.fullmatch(value) or value == path[1]:
            found = "is a placeholder, which anybody knows"
            yield judged(severity, "configuration.keys", title, found, f"choose your own: {fresh}")
        elif len(value) < KEY_CHARACTERS or len(set(value)) < KEY_CHARACTERS // 2:
            found = f"can be guessed: {len(value)} characters, {len(set(value))} different ones"
            yield warning("configuration.keys", title, found, f"choose a longer one: {fresh}")
        elif others:
            yield warning("configuration.keys", title, f"is also the {others[0]}", f"give each its own: {fresh}")
        else:
            continue
        sound = False
    if secrets and sound:
        yield ok("configuration.keys", "write keys", "none can be guessed, none is shared")


def flow(context: Context) -> Iterator[Finding]:
    """Every source goes somewhere, and every integration has a source."""
    config = context.config
    for integration in config.integrations:
        if not context.sources_of(integration):
            remedy = "name a source in its `sources`, or leave them out to take all"
            yield error("configuration.flow", integration.key, "takes no source that is there: nothing is sent", remedy)
        elif not integration.enabled:
            yield ok("configuration.flow", integration.key, "is disabled: its events are counted and can be replayed")
    for source in config.sources:
        if not any(integration.takes_source(source.key) for integration in context.integrations):
            remedy = "add an integration that takes it, or enable one"
            yield warning("configuration.flow", source.key, "is taken by no enabled integration", remedy)


def consent(context: Context) -> Iterator[Finding]:
    """Somebody has decided what is asked of the visitor's consent."""
    for integration in context.integrations:
        rule = integration.consent_rule
        if integration.consent is None:
            found = "no basis is given: all is sent to it, but for events that carry a refusal themselves"
            remedy = "add consent: {basis: tcf}, {basis: categories} or, where none is needed, {basis: none}"
            yield warning("configuration.consent", integration.key, found, remedy)
        else:
            names = ", ".join(rule.categories) if rule.basis == "categories" else ""
            yield ok("configuration.consent", integration.key, f"basis {rule.basis}" + (f": {names}" if names else ""))


def production(context: Context) -> Iterator[Finding]:
    """What goes to a real vendor is the shop's own."""
    for integration in context.integrations:
        in_production = integration.environment == "production"
        if context.production and not in_production:
            found = "is in sandbox: it sends to the emulator, and nothing to the vendor"
            yield error("configuration.production", integration.key, found, "set environment: production")
        if not in_production and not context.production:
            continue
        for path in placeholders(integration):
            remedy = "put your own there: the vendor gave it to you, or can"
            yield error("configuration.production", f"{integration.key} {path}", "is a placeholder", remedy)


def ages(context: Context) -> Iterator[Finding]:
    """Nothing is sent that the vendor drops because it is too old."""
    for integration in context.integrations:
        for field in msgspec.structs.fields(integration.settings):
            if field.encode_name.startswith("max_age") and getattr(integration.settings, field.name) is None:
                found = "has no limit: what the vendor drops as too old counts as delivered"
                remedy = "leave it out for the vendor's own limit, once an import of old events is through"
                yield warning("configuration.ages", f"{integration.key} {field.encode_name}", found, remedy)


def _counted(config: Config) -> str:
    def count(number: int, noun: str) -> str:
        return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

    return f"{count(len(config.sources), 'source')}, {count(len(config.integrations), 'integration')}"


def _secrets(config: Config) -> Iterator[tuple[Path, str]]:
    """All secrets of a configuration. They are compared and counted, and never go into a finding."""
    for kind, parts in (("sources", config.sources), ("integrations", config.integrations)):
        for part in parts:
            found: list[tuple[Path, str]] = []

            def collect(path: Path, value: Any, secret: bool, found: list[tuple[Path, str]] = found) -> Any:
                if secret and isinstance(value, str) and value:
                    found.append((path, value))

            written(part, collect)
            for path, value in found:
                yield (kind, part.key, *path), value


def _named(path: Path) -> str:
    """`write_key of web-shop`"""
    return f"{render(path[2:])} of {path[1]}"


def placeholders(integration: Integration) -> list[str]:
    """The settings that must be given, and still are what examples have there."""
    settings = integration.settings
    return [
        field.encode_name
        for field in msgspec.structs.fields(settings)
        if field.required and isinstance(value := getattr(settings, field.name), str) and PLACEHOLDER.fullmatch(value)
    ]
