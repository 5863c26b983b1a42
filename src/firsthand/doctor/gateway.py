"""Does a gateway run here, whole and alone?"""

import errno
import http.client
import socket
from collections.abc import Iterator

from firsthand.doctor.context import Context
from firsthand.doctor.finding import Finding, Severity, error, judged, ok, warning
from firsthand.locks import command_line
from firsthand.supervise import ROLES

ANSWER_SECONDS = 2.0


def processes(context: Context) -> Iterator[Finding]:
    """All parts of the gateway run, or none does."""
    running = context.running
    strangers = [
        role for role, pid in running.items() if pid and (told := command_line(pid)) and "firsthand" not in told
    ]
    for role in strangers:
        found = f"its lock is held by process {running[role]}, which is no firsthand serve"
        remedy = f"see what it is: ps -p {running[role]}; while it holds the lock, {role} can't run"
        yield error("gateway.locks", role, found, remedy)
    if strangers:
        return
    missing = [role for role in ROLES if role not in running]
    if not running:
        severity: Severity = "warning" if context.production else "ok"
        found = "none runs on this data folder: nothing is taken in or sent"
        yield judged(severity, "gateway.processes", "gateway", found, "start it: `firsthand serve`")
    elif missing:
        found = f"{', '.join(running)} runs here, {', '.join(missing)} does not"
        remedy = "fine where it runs elsewhere on this folder; else stop it and start `firsthand serve` whole"
        yield warning("gateway.processes", "gateway", found, remedy)
    else:
        yield ok("gateway.processes", "gateway", f"runs: {', '.join(f'{role} {pid}' for role, pid in running.items())}")


def ports(context: Context) -> Iterator[Finding]:
    """The gateway has its ports, or can have them."""
    settings = context.settings
    wanted = {"collect": (settings.collect_host, settings.collect_port)}
    if "control" in ROLES:
        wanted["control"] = ("127.0.0.1", settings.control_port)
    for role, (host, port) in wanted.items():
        if port:
            yield _port(role, host, port, context.running.get(role))


def _port(role: str, host: str, port: int, pid: int | None) -> Finding:
    title, variable = f"port {port}", f"FIRSTHAND_{role.upper()}_PORT"
    problem = _cannot_bind(host, port)
    if problem is None:
        if pid is None:
            return ok("gateway.ports", title, f"free for {role}")
        remedy = f"run this with the {variable} that the gateway has"
        return warning("gateway.ports", title, f"{role} runs (process {pid}), and does not listen on it", remedy)
    if problem == errno.EADDRINUSE:
        if pid is not None and _is_collector(host, port):
            return ok("gateway.ports", title, f"this gateway's {role} (process {pid})")
        remedy = f"stop what listens there, or choose another port: {variable}"
        return error("gateway.ports", title, f"taken by another program: {role} can't listen", remedy)
    if problem == errno.EACCES:
        remedy = f"choose one above 1023 ({variable}) and put a proxy in front, or allow it to this user"
        return error("gateway.ports", title, "this user may not listen on it", remedy)
    remedy = f"set FIRSTHAND_{role.upper()}_HOST to an address of this machine"
    return error("gateway.ports", title, f"{host} is no address that can be listened on", remedy)


def _cannot_bind(host: str, port: int) -> int | None:
    """What stands against listening there, as an error number; None where nothing does."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as problem:
        return problem.errno or errno.EADDRNOTAVAIL
    return None


def _is_collector(host: str, port: int) -> bool:
    """Whether what listens there answers as the gateway does."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().read(100).startswith(b'{"status":')
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
