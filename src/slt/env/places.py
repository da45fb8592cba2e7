"""Check folders, disk space, network and bundles."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

from slt.assets.store import FETCH_AGAIN, SHIPPED, find_bundle, list_bundles
from slt.core.errors import SltError
from slt.core.home import is_offline, slt_home
from slt.env.checks import CheckResult

PUBLISHED_GB = 10.0  # what the weights of sonar-asl take, with their text encoder
RUNNING_GB = 1.0  # under this a run can hardly write its own outputs
WEIGHTS_HOST = "dl.fbaipublicfiles.com"  # where the published weights lie
DNS_TIMEOUT_S = 3.0
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


def check_home() -> CheckResult:
    """Write a file into `slt_home`, making the folder when there is none."""
    home = slt_home()
    chosen = "SLT_HOME" if os.environ.get("SLT_HOME") else "SLT_HOME is not set: the default"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home) as probe:
            probe.write(b"slt")
    except OSError as error:
        found = f"{home} cannot be written: {error.strerror or error}"
        fix = "set SLT_HOME to a folder you may write to"
        return CheckResult(name="SLT_HOME", status="fail", found=found, expected="a writable folder", fix=fix)
    return CheckResult(name="SLT_HOME", status="ok", found=f"{home} ({chosen})", expected="a writable folder")


def check_disk(free_gb: float | None = None) -> CheckResult:
    """Look at the space left where `slt_home` lies, or at the given number of GB."""
    if free_gb is None:
        free_gb = shutil.disk_usage(_nearest_folder(slt_home())).free / 1e9
    found, expected = f"{free_gb:.1f} GB free", f">= {PUBLISHED_GB:g} GB for the published weights"
    if free_gb >= PUBLISHED_GB:
        return CheckResult(name="disk", status="ok", found=found, expected=expected)
    fix = "free some space, or set SLT_HOME to a folder on a larger disk"
    return CheckResult(
        name="disk", status="warn" if free_gb >= RUNNING_GB else "fail", found=found, expected=expected, fix=fix
    )


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.is_dir())


def check_network() -> CheckResult:
    """Report how the published weights could be fetched; with ``SLT_OFFLINE`` no socket is opened to find out."""
    if is_offline():
        return CheckResult(name="network", status="ok", found="SLT_OFFLINE is set: nothing will be fetched")
    proxy = next((name for name in PROXIES if os.environ.get(name)), None)
    if proxy:
        return CheckResult(name="network", status="ok", found=f"through the proxy that {proxy} names")
    if _resolves(WEIGHTS_HOST):
        return CheckResult(name="network", status="ok", found=f"{WEIGHTS_HOST} has an address")
    return CheckResult(
        name="network",
        status="warn",
        found=f"{WEIGHTS_HOST} has no address here",
        expected="a way to the published weights",
        fix="set HTTPS_PROXY if there is a proxy, or SLT_OFFLINE=1 to work without a network; what is here works so",
    )


def _resolves(host: str) -> bool:
    """Ask for a host's address, for a few seconds only: the system's own call knows no timeout."""
    found: list[bool] = []

    def ask() -> None:
        try:
            found.append(bool(socket.getaddrinfo(host, 443)))
        except OSError:
            found.append(False)

    asker = threading.Thread(target=ask, daemon=True)
    asker.start()
    asker.join(DNS_TIMEOUT_S)
    return bool(found and found[0])


def check_bundles() -> CheckResult:
    """Look for the models that can be named, and see that their files are there."""
    broken: dict[str, SltError] = {}
    names = list(dict.fromkeys([*SHIPPED, *list_bundles()]))
    for name in names:
        try:
            find_bundle(name)
        except SltError as error:
            broken[name] = error
    found = ", ".join(name for name in names if name not in broken) or "none"
    if not broken:
        return CheckResult(name="bundles", status="ok", found=found, expected=f"{' and '.join(SHIPPED)}, at least")
    found += "; but " + "; ".join(f"{name}: {error.message}" for name, error in broken.items())
    fix = "; ".join(dict.fromkeys(error.fix for error in broken.values() if error.fix)) or FETCH_AGAIN
    return CheckResult(
        name="bundles", status="warn", found=found, expected=f"{' and '.join(SHIPPED)}, at least", fix=fix
    )
