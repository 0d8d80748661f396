#!/usr/bin/env python3
"""Looks at a node's status page with headless Chromium, over the DevTools protocol and with nothing but the standard library.

usage: status_page.py CHROMIUM URL OUTPUT_DIRECTORY PID_OF_A_NODE_TO_KILL NAME_OF_THAT_NODE

Claims: the page loads without an error on the console and asks only its own node; it shows three nodes that are normal; once
a node is killed it says so within ten seconds. Writes screenshots: light, dark, and as wide as a phone.
"""
import base64, json, os, signal, socket, struct, subprocess, sys, tempfile, time, urllib.request


class DevTools:
    """One WebSocket to one page (RFC 6455, client side, text frames)."""

    def __init__(self, url):
        host, path = url[len("ws://"):].split("/", 1)
        name, port = host.split(":")
        self.socket = socket.create_connection((name, int(port)), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.socket.recv(1)
        assert b" 101 " in head.split(b"\r\n")[0], head
        self.number, self.events = 0, []

    def exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                raise EOFError("the browser hung up")
            data += part
        return data

    def receive(self):
        message = b""
        while True:
            first, second = self.exactly(2)
            length = second & 127
            if length == 126:
                length = struct.unpack(">H", self.exactly(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.exactly(8))[0]
            payload = self.exactly(length)
            if first & 15 in (0, 1):
                message += payload
                if first & 128:
                    return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        data = json.dumps({"id": self.number, "method": method, "params": parameters}).encode()
        mask = os.urandom(4)
        size = len(data)
        head = bytes([129, 128 | size]) if size < 126 else bytes([129, 254]) + struct.pack(">H", size)
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def value(self, script):
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")


passed = failed = 0


def claim(text, holds):
    global passed, failed
    if holds:
        passed += 1
    else:
        failed += 1
        print(f"does not hold: {text}")


def wait_for(page, script, seconds):
    """The seconds until the script is true; None when it never is."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if page.value(script):
            return time.monotonic() - began
        time.sleep(0.1)
    return None


def picture(page, path, width, height, scheme, scale=1, mobile=False):
    page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=mobile)
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    time.sleep(2.5)
    wide = page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    claim(f"nothing is wider than the screen at {width} points", wide <= 0)
    data = page.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"]
    with open(path, "wb") as file:
        file.write(base64.b64decode(data))
    claim(f"{path} is a picture", os.path.getsize(path) > 5_000)


def look(url, directory, victim, name, browser_port):
    targets = json.load(urllib.request.urlopen(f"http://127.0.0.1:{browser_port}/json/list"))
    page = DevTools(next(t for t in targets if t["type"] == "page")["webSocketDebuggerUrl"])
    for domain in ("Page", "Runtime", "Log", "Network"):
        page.call(f"{domain}.enable")
    page.call("Emulation.setDeviceMetricsOverride", width=1240, height=1000, deviceScaleFactor=1, mobile=False)
    page.call("Page.navigate", url=url)
    normal = "document.querySelectorAll('.node[data-state=normal]').length === 3"
    claim("three normal nodes are shown", wait_for(page, normal, 20) is not None)
    verdict = "document.getElementById('verdict').textContent"
    claim("the cluster is called healthy", wait_for(page, f"{verdict} === 'healthy'", 10) is not None)
    claim("the ring is drawn", wait_for(page, "document.querySelectorAll('#ring path').length >= 3", 10) is not None)
    claim("three owners are in the legend", page.value("document.querySelectorAll('#legend li').length") == 3)
    # The figures come with an answer of their own, which may be later than the ring's: until then there is no number to read.
    moving = "Number(document.querySelector('#rate-numbers i')?.textContent.replace(/,/g, '')) > 0"
    claim("requests are counted while there are some", wait_for(page, moving, 15) is not None)
    picture(page, f"{directory}/status-light.png", 1240, 1000, "light")
    picture(page, f"{directory}/status-dark.png", 1240, 1000, "dark")
    picture(page, f"{directory}/status-phone.png", 390, 844, "light", scale=2, mobile=True)
    problems = [event for event in page.events if event["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
                or event["method"] == "Runtime.consoleAPICalled" and event["params"]["type"] in ("error", "warning")]
    claim(f"the console is silent: {problems[:2]}", not problems)
    asked = {event["params"]["request"]["url"] for event in page.events if event["method"] == "Network.requestWillBeSent"}
    foreign = [address for address in asked if not address.startswith(url) and not address.startswith("data:")]
    claim(f"only the node is asked: {foreign[:3]}", asked and not foreign)
    page.call("Emulation.setDeviceMetricsOverride", width=1240, height=1000, deviceScaleFactor=1, mobile=False)
    os.kill(victim, signal.SIGKILL)
    gone = f"document.querySelector('.node[data-name={name}]').dataset.state !== 'normal'"
    seen = wait_for(page, gone, 10)
    claim("a node's death is seen within 10 s", seen is not None)
    said = f"{verdict} !== 'healthy' && document.getElementById('problems').textContent.includes('{name} ')"
    claim("and said in words", wait_for(page, said, 5) is not None)
    print(f"death of {name} shown after {seen:.1f} s" if seen is not None else f"death of {name} not shown")
    wait_for(page, f"document.querySelector('.node[data-name={name}]').dataset.state === 'down'", 20)
    picture(page, f"{directory}/status-down.png", 1240, 1000, "dark")


def main():
    chromium, url, directory, victim, name = sys.argv[1:]
    os.makedirs(directory, exist_ok=True)
    with tempfile.TemporaryDirectory() as profile:
        browser = subprocess.Popen(
            [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
             "--no-first-run", "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            file = f"{profile}/DevToolsActivePort"
            for _ in range(300):
                if os.path.exists(file) and os.path.getsize(file) > 0:
                    break
                time.sleep(0.1)
            look(url, directory, int(victim), name, open(file).read().split()[0])
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            time.sleep(0.3)
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


sys.exit(main())
