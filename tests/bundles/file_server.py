"""A little HTTP server that serves files with ranges, and repositories as Hugging Face's hub does."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FileServer:
    """Files by their paths; which of them breaks off, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        """Content by the path in the address."""

        self.repositories: dict[str, dict[str, bytes]] = {}
        """Files of each repository by its id."""

        self.breaks_off: dict[str, int] = {}
        """After how many bytes the next answer with a file ends, by the file's last name; once."""

        self.ranges: list[tuple[str, str | None]] = []
        """Last name and Range header of every file that was asked for."""

        self.address = ""

    def content(self, path: str) -> bytes | None:
        """What is at a path."""
        resolved = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if resolved:
            return self.repositories.get(resolved[1], {}).get(resolved[3])
        return self.files.get(path)

    def repository(self, path: str) -> dict[str, object] | None:
        """What the hub says about a repository."""
        asked = re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path)
        if not asked or asked[1] not in self.repositories or asked[2] not in (None, "main", "v2", COMMIT):
            return None
        files = [{"rfilename": name, "size": len(data)} for name, data in self.repositories[asked[1]].items()]
        return {"id": asked[1], "modelId": asked[1], "sha": COMMIT, "siblings": files}


@contextmanager
def file_server() -> Iterator[FileServer]:
    """Serve on a port of this machine."""
    state = FileServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:  # the name is http.server's
            self._answer(with_body=False)

        def do_GET(self) -> None:  # the name is http.server's
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = unquote(urlparse(self.path).path)
            if (described := state.repository(path)) is not None:
                self._send(200, json.dumps(described).encode(), {"Content-Type": "application/json"})
                return
            data = state.content(path)
            if data is None:
                missing = {"X-Error-Code": "RevisionNotFound"} if "/revision/" in path else {}
                self._send(404, b"", missing)
                return
            name = path.rpartition("/")[2]
            etag = hashlib.sha1(data).hexdigest()
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
            asked = self.headers.get("Range") if with_body else None
            if with_body:
                state.ranges.append((name, asked))
            start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
            if asked:
                headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self._send(
                206 if asked else 200,
                data[start:],
                headers,
                with_body=with_body,
                most=state.breaks_off.pop(name, None) if with_body else None,
            )

        def _send(
            self,
            status: int,
            data: bytes,
            headers: dict[str, str],
            *,
            with_body: bool = True,
            most: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if with_body and self.command == "GET":
                self.wfile.write(data[:most])
            if most is not None:
                self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
