"""Make `.venv`: install requirements.txt and the package, or end with one clear sentence.

Only the standard library, and syntax that an older Python 3 reads too: this script is what tells
people that their Python is too old.

A finished environment holds the file `.venv/.ready`. One without it was interrupted half way and
is made anew. What pip says goes to `build/install.log`.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED_GB = 4  # at least: 2.5 GB with a CPU build of torch, 7 GB with CUDA, and the downloads

# What the end of the log may say, and what that means. The first match counts: without a network,
# pip also says "No matching distribution".
REASONS = [
    (
        r"No space left on device|Errno 28|Disk quota exceeded|Errno 122",
        "The disk is full: free {needed} GB or more where the project is ({root}) and where"
        " temporary files go ({tmp}), then run the same command again; on Linux,"
        " UV_TORCH_BACKEND=cpu before it leaves out CUDA, which takes 4 GB.",
    ),
    (
        r"command '[^']*(?:cc|clang|\+\+|cl\.exe)(?:-\d+)?' failed|unable to execute '[^']*cc'"
        r"|Microsoft Visual C\+\+ \S+ or greater is required|No CMAKE_C_COMPILER could be found",
        "A package has no ready-made build for this machine ({machine}) and there is no working C"
        " compiler to make one: install one (Debian and Ubuntu: build-essential; macOS:"
        " xcode-select --install), then run the same command again.",
    ),
    (
        r"NewConnectionError|Max retries exceeded|[Nn]ame resolution|Name or service not known"
        r"|Network is unreachable|Read ?[Tt]imed? ?out|ReadTimeoutError|ConnectTimeoutError"
        r"|ProxyError|SSLError|dns error|error sending request"
        r"|Connection (?:refused|reset|aborted)",
        "The packages could not be downloaded: check the network and the proxy settings, then run"
        " the same command again.",
    ),
    (
        r"No matching distribution found for (?P<package>\S+)",
        "There is no {package} for this machine ({machine}, Python {python}): use 64-bit Linux, a"
        " Mac with Apple silicon, or Windows with WSL, and Python 3.11 to 3.14.",
    ),
    (
        r"Hash mismatch for|DO NOT MATCH THE HASHES",
        "A downloaded package is not the file that constraints.txt names by its hash, so nothing of"
        " it was installed: run the same command again, and if it ends like this once more, tell"
        " the developers.",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies|requirements are unsatisfiable",
        "requirements.txt and constraints.txt ask for different versions: run `make lock`, then the"
        " same command again.",
    ),
]


class Failed(Exception):
    """Why there is no environment, in one sentence that says what to do."""


def check_python(version):
    """Raise Failed unless a Python of this version can hold the environment."""
    number = f"{version[0]}.{version[1]}"
    if tuple(version[:2]) < (3, 11):
        raise Failed(
            f"This is Python {number} and the book needs 3.11 or newer: install Python 3.13, then"
            " run the same command with PYTHON=python3.13 after it."
        )
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError as error:
        raise Failed(
            "This Python lacks the venv module: install it (Debian and Ubuntu: apt install"
            f" python{number}-venv), then run the same command again."
        ) from error


def check_disk(folder, needed_gb=NEEDED_GB):
    """Raise Failed unless `folder` has room for the environment."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < needed_gb:
        raise Failed(
            f"The disk is too full: {folder} has {free_gb:.1f} GB free and the environment needs"
            f" {needed_gb} GB; free some, then run the same command again."
        )


def explain(log):
    """Say in one sentence why an installation with this log failed."""
    end = "\n".join(log.splitlines()[-60:])
    for pattern, sentence in REASONS:
        match = re.search(pattern, end)
        if match:
            return sentence.format(
                needed=NEEDED_GB,
                root=ROOT,
                tmp=tempfile.gettempdir(),
                machine=f"{platform.system()} {platform.machine()}",
                python=f"{sys.version_info[0]}.{sys.version_info[1]}",
                **match.groupdict(),
            )
    errors = re.findall(r"(?im)^error: (.+)", end)
    return f"The installation failed: {errors[-1] if errors else 'the log says why'}"


def run(command, log_path):
    """Run a command, append what it says to the log, and on a terminal show its latest line.

    Raises Failed if the command fails.
    """
    started = time.monotonic()
    live = sys.stdout.isatty()
    with log_path.open("a") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            universal_newlines=True,
            errors="replace",
        )
        try:
            for line in process.stdout:
                log.write(line)
                log.flush()
                if live and line.strip():
                    seconds = time.monotonic() - started
                    print(f"\r{seconds:4.0f} s  {line.strip()[:70]:<70}", end="", flush=True)
            process.wait()
        finally:
            if process.poll() is None:
                process.terminate()  # an interrupted installation must not go on unseen
                process.wait()
            if live:
                print(f"\r{'':78}\r", end="", flush=True)
    if process.returncode:
        raise Failed(explain(log_path.read_text()))


def make(log_path):
    """Make or update the environment."""
    venv = ROOT / ".venv"
    ready = venv / ".ready"
    if ready.exists():
        print("Updating .venv ...", flush=True)
        ready.unlink()
    else:
        if venv.exists():
            print("Removing a half-made .venv ...", flush=True)
            shutil.rmtree(venv)
        check_disk(ROOT)
        print("Making .venv; this takes some minutes, once ...", flush=True)
        run([sys.executable, "-m", "venv", venv], log_path)
    python = venv / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar=off"]
    run([*pip, "-r", ".binder/requirements.txt"], log_path)
    # Only uv can lift the limits in overrides.txt. It refuses a download whose hash is not in
    # constraints.txt, but only where that file is named on the command line.
    uv = [python, "-m", "uv", "pip", "install", "--python", python]
    # The hashes are those of the package index. Another build of torch, which UV_TORCH_BACKEND
    # names or this machine's pip has a folder of, cannot have them: it comes first, unchecked.
    (torch,) = re.findall(r"(?m)^torch==\S+", (ROOT / "requirements.txt").read_text())
    if "UV_TORCH_BACKEND" in os.environ:
        run([*uv, "--no-deps", torch], log_path)
    elif b"find-links" in subprocess.check_output([python, "-m", "pip", "config", "list"]):
        run([*pip, "--no-deps", torch], log_path)
    locked = ["-c", "constraints.txt", "--overrides", "overrides.txt"]
    run([*uv, "-r", "requirements.txt", *locked], log_path)
    run([*pip, "--no-deps", "--no-build-isolation", "-e", "."], log_path)
    ready.touch()


def main():
    """Make the environment; return the exit status."""
    log_path = ROOT / "build" / "install.log"
    started = time.monotonic()
    try:
        check_python(sys.version_info)
        log_path.parent.mkdir(exist_ok=True)
        log_path.write_text("")
        make(log_path)
    except Failed as failure:
        reason = str(failure)
    except OSError as error:
        reason = explain(f"error: {error}")
    except KeyboardInterrupt:
        reason = "Interrupted: the same command begins anew."
    else:
        print(f"The environment is ready ({time.monotonic() - started:.0f} s).", flush=True)
        return 0
    print(f"\n{reason}", file=sys.stderr)
    if log_path.exists() and log_path.stat().st_size:
        print(f"The log is {log_path}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
