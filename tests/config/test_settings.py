"""Settings of the process."""

from pathlib import Path

import pytest

from firsthand.config import ConfigError
from firsthand.settings import Settings


def test_nothing_set_means_embedded_in_the_current_folder() -> None:
    settings = Settings.from_env({})
    assert settings.data == Path("firsthand-data")
    assert (settings.event_log, settings.database) == ("sqlite:", "sqlite:")
    assert (settings.collect_host, settings.collect_port, settings.control_port) == ("0.0.0.0", 8080, 8084)
    assert settings.emulator_url == "http://127.0.0.1:9090"
    assert settings.public_url is None
    assert Settings.from_env({"FIRSTHAND_DATA": "", "FIRSTHAND_COLLECT_PORT": ""}) == settings


def test_everything_set() -> None:
    settings = Settings.from_env(
        {
            "FIRSTHAND_DATA": "/var/lib/firsthand",
            "FIRSTHAND_EVENT_LOG": "sqlite:",
            "FIRSTHAND_DATABASE": "sqlite:",
            "FIRSTHAND_PUBLIC_URL": "https://events.shop.example/",
            "FIRSTHAND_COLLECT_HOST": "127.0.0.1",
            "FIRSTHAND_COLLECT_PORT": "80",
            "FIRSTHAND_CONTROL_PORT": "81",
            "FIRSTHAND_EMULATOR_URL": "http://localhost:9999/",
        }
    )
    assert settings.data == Path("/var/lib/firsthand")
    assert settings.public_url == "https://events.shop.example"
    assert settings.emulator_url == "http://localhost:9999"
    assert (settings.collect_host, settings.collect_port, settings.control_port) == ("127.0.0.1", 80, 81)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FIRSTHAND_COLLECT_PORT", "eighty", '"eighty" is not a port'),
        ("FIRSTHAND_CONTROL_PORT", "65536", '"65536" is not a port'),
        ("FIRSTHAND_COLLECT_CONNECTIONS", "0", '"0" is not a number of connections'),
        ("FIRSTHAND_COLLECT_PAUSE", "nan", '"nan" is not a number of seconds'),
        ("FIRSTHAND_COLLECT_SECONDS", "soon", '"soon" is not a number of seconds'),
        ("FIRSTHAND_CONTROL_PORT", "8080", "can't both listen on port 8080"),
        ("FIRSTHAND_EVENT_LOG", "kafka://broker:9092/events", "kafka:// is not built in yet"),
        ("FIRSTHAND_DATABASE", "postgresql://user:hunter2@db/x", "postgresql:// is not built in yet"),
        ("FIRSTHAND_DATABASE", "mysql://user:hunter2@db/x", "this store is not known"),
        ("FIRSTHAND_PUBLIC_URL", "events.shop.example", "is not a whole URL"),
        ("FIRSTHAND_EMULATOR_URL", "http://10.0.0.1:9090", "is not encrypted"),
    ],
)
def test_what_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({name: value})
    (fault,) = caught.value.faults
    assert fault.path == name
    assert message in fault.message
    assert "hunter2" not in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({"FIRSTHAND_COLLECT_PORT": "x", "FIRSTHAND_PUBLIC_URL": "y"})
    assert {fault.path for fault in caught.value.faults} == {"FIRSTHAND_COLLECT_PORT", "FIRSTHAND_PUBLIC_URL"}


def test_two_free_ports_are_two_ports() -> None:
    settings = Settings.from_env({"FIRSTHAND_COLLECT_PORT": "0", "FIRSTHAND_CONTROL_PORT": "0"})
    assert settings.collect_port == settings.control_port == 0
