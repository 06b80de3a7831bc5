"""A Hugging Face hub in miniature, over real HTTP, for the real client."""

import contextlib
import hashlib
import http.server
import json
import threading
from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Files of one dataset `me/set`; `requests` counts downloads; with `cut` the next download breaks off halfway."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[str] = []
        self.cut = False
        self.commit = COMMIT  # where branch `main` is
        self.url = ""


@contextlib.contextmanager
def hub_up(files: dict[str, bytes]) -> Iterator[Hub]:
    """Serve the files at `hub.url` on a free port of this machine."""
    hub = Hub(files)

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def refuse(self, code: str) -> None:
            self.send_response(404)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self, body: bool) -> None:
            path = self.path.partition("?")[0]
            if "/me/set/" not in path:
                self.refuse("RepoNotFound")
            elif path.startswith("/api/"):
                listed = [{"type": "file", "path": name, "size": 1, "oid": "0"} for name in hub.files]
                self.send(json.dumps(listed).encode(), "list", body)
            else:
                revision, _, name = path.split("/resolve/")[1].partition("/")
                if revision not in ("main", hub.commit):
                    self.refuse("RevisionNotFound")
                elif name not in hub.files:
                    self.refuse("EntryNotFound")
                else:
                    self.send(hub.files[name], name, body)

        def send(self, content: bytes, name: str, body: bool) -> None:
            self.send_response(200)
            self.send_header("X-Repo-Commit", hub.commit)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                hub.requests.append(name)
                self.wfile.write(content[: len(content) // 2] if hub.cut else content)
                hub.cut = False
                self.close_connection = True

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
