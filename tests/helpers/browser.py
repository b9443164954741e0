"""A headless Chromium for tests, driven over a pipe by the DevTools protocol: real clicks, real keys."""

import json
import os
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MIDDLE = """(selector) => {
  const node = document.querySelector(selector);
  node.scrollIntoView({block: "center", inline: "center"});
  const box = node.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Browser:
    """One page in a browser of its own; use as a context manager."""

    def __init__(self, profile: Path):
        child_in, self._out = os.pipe()  # commands, NUL after each
        self._in, child_out = os.pipe()  # answers and events, likewise
        words = [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"),
            *(f"--user-data-dir={profile}", "--no-first-run", "--hide-scrollbars", "about:blank"),
        ]
        self._process = subprocess.Popen(  # Chromium reads from 3 and writes to 4
            ["sh", "-c", f'exec 3</dev/fd/{child_in} 4>/dev/fd/{child_out}; exec "$@"', "sh", *words],
            pass_fds=(child_in, child_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(child_in)
        os.close(child_out)
        self._buffer, self._number, self._session, self.events = b"", 0, {}, []
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=page, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._out)
        os.close(self._in)

    def send(self, method, **parameters):
        """One command and its answer; events that come meanwhile are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters, **self._session}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self):
        while b"\0" not in self._buffer:
            part = os.read(self._in, 2**16)
            assert part, "Chromium has gone"
            self._buffer += part
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def open(self, path: Path, width=1280, height=900, dark=False):
        """Show a file of this machine and wait until it is loaded."""
        mobile = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=mobile,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.events = []
        self.send("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())

    def run(self, expression):
        """The value of a JavaScript expression."""
        done = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def click(self, selector):
        """Scroll the first match into view and press the mouse in its middle."""
        where = self.run(f"({MIDDLE})({selector!r})")
        for kind in ("mousePressed", "mouseReleased"):
            self.send(
                "Input.dispatchMouseEvent",
                type=kind, x=where[0], y=where[1], button="left", clickCount=1,
            )  # fmt: skip

    def press(self, key):
        """One key, down and up."""
        same = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **same, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **same)

    def type(self, letter):
        """One character, as typed."""
        for kind in ("keyDown", "keyUp"):
            code = {"code": f"Key{letter.upper()}", "windowsVirtualKeyCode": ord(letter.upper())}
            text = {"text": letter} if kind == "keyDown" else {}
            self.send("Input.dispatchKeyEvent", type=kind, key=letter, **code, **text)
