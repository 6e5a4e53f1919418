"""Debian's Chromium with one page, driven by test/page/driver.mjs."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from support import processes
from support.agent import ROOT
from support.waiting import wait_until

DRIVER = ROOT / "test" / "page" / "driver.mjs"


def find_modules():
    named = os.environ.get("NODEBEAT_TEST_PAGE_MODULES")
    places = [Path(named)] if named else [ROOT / "build" / "page" / "node_modules"]
    return next((place for place in places if (place / "playwright-core").is_dir()), None)


class Browser:
    def __init__(self):
        node, chromium, modules = shutil.which("node"), shutil.which("chromium"), find_modules()
        if node is None or chromium is None:
            pytest.skip("needs node and Chromium (Debian's packages nodejs and chromium)")
        if modules is None:
            pytest.skip("playwright-core is not installed: npm ci of test/page, NODEBEAT_TEST_PAGE_MODULES")
        self.process = processes.spawn(
            [node, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "NODEBEAT_TEST_PAGE_MODULES": str(modules.parent), "NODEBEAT_TEST_CHROMIUM": chromium})

    def ask(self, name, **words):
        self.process.stdin.write(json.dumps({"name": name, **words}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the browser has ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def open(self, url, width=1200, height=900, dark=False):
        self.ask("open", url=url, width=width, height=height, dark=dark)

    def evaluate(self, code):
        return self.ask("evaluate", code=code)

    def wait(self, code):
        """Until that JavaScript is true in the page; returns what it is."""
        return wait_until(lambda: self.evaluate(code), what=lambda: f"{code}: {self.evaluate('document.body.innerText')}")

    def text(self, selector):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText")

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        finally:
            processes.end(self.process)
        self.process.stdout.close()
