"""Print a page of the book to a PDF with Chromium: `python .ci/pdf.py page.html book.pdf`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def print_page(page, pdf):
    """Write `page` as `pdf`; return the exit status."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("A PDF needs Chromium or Chrome, and there is none here: install one.")
        return 1
    pdf = Path(pdf).resolve()
    pdf.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += [f"--user-data-dir={profile}", "--no-pdf-header-footer", f"--print-to-pdf={pdf}"]
        # Formulas and charts are drawn by scripts, which take their time.
        command += ["--virtual-time-budget=60000", Path(page).resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode or not pdf.is_file():
        print(f"Chromium wrote no PDF:\n{done.stderr[-2000:]}")
        return 1
    print(f"The PDF is ready: {pdf}")
    return 0


if __name__ == "__main__":
    sys.exit(print_page(*sys.argv[1:]))
