"""waitress, embedded: serves an app from a thread of this process (ux.md §5 for the figures)."""

import socket
import threading

from flask import Flask
from waitress import wasyncore
from waitress.server import create_server

from web.feed import STREAMS_MAX

THREADS = STREAMS_MAX + 8
CONNECTIONS_MAX = 300
LOOP_S = 0.5
FINISH_S = 2.0


class PortInUseError(OSError):
    """The window's address is taken. Says which."""


class WebServer:
    """A server that runs until `stop`."""

    def __init__(self, app: Flask, host: str, port: int, threads: int = THREADS) -> None:
        self._app = app
        self._map: dict[int, wasyncore.dispatcher] = {}
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            # bound here, because waitress would leave its threads behind when it cannot
            listening = socket.create_server((host, port), family=family)
        except OSError as error:
            reason = f"{error.strerror}".partition(" (while")[0]  # the address stands in front
            raise PortInUseError(f"cannot listen on {host}:{port}: {reason}") from error
        self._server = create_server(
            app,
            map=self._map,
            sockets=[listening],
            threads=threads,
            connection_limit=CONNECTIONS_MAX,
            channel_request_lookahead=1,
            outbuf_high_watermark=262_144,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=True,
            ident=None,
        )
        self.port: int = listening.getsockname()[1]
        self.url = f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="smartload-web", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.is_set():
            wasyncore.loop(timeout=LOOP_S, use_poll=True, map=self._map, count=1)

    def stop(self) -> None:
        """Say goodbye to the streams, finish what is being answered, close everything (< 3 s)."""
        if self._closing.is_set():
            return
        end_streams = self._app.extensions.get("end_streams")
        if end_streams is not None:
            end_streams()
        self._server.task_dispatcher.shutdown(timeout=FINISH_S)
        self._closing.set()
        self._server.pull_trigger()  # out of its wait
        self._thread.join(timeout=2 * LOOP_S)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()  # lets go who still waits for a client that does not read
        wasyncore.close_all(self._map, ignore_all=True)


def serve(app: Flask, host: str = "127.0.0.1", port: int = 8099) -> WebServer:
    """Serve `app` on `host`:`port` (0: any free one). Raises PortInUseError."""
    return WebServer(app, host, port)
