"""The host's ends of the network measurements: servers on the loopback that count and time."""
import http.server
import socket
import threading
import time

HOST = "10.0.2.2"   # as a guest of the user network sees the loopback
MEBIBYTE = 1 << 20
_LATEST = 120       # seconds until a guest must have ended


class Unfinished(Exception):
    pass


class _Server:
    """Serves one measurement; its result is a rate."""

    def __init__(self):
        self._rate = None
        self._done = threading.Event()

    def _ended(self, amount, began):
        self._rate = amount / (time.monotonic() - began)
        self._done.set()

    def rate(self):
        if not self._done.wait(_LATEST):
            raise Unfinished("the guest's transfer did not end")
        return self._rate


class Download(_Server):
    """MiB a second, until the other side has taken everything. What the guest runs: command."""

    def __init__(self, mebibytes):
        super().__init__()
        download = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                part, began = bytes(range(256)) * 4096, time.monotonic()
                self.send_response(200)
                self.send_header("Content-Length", str(mebibytes * MEBIBYTE))
                self.end_headers()
                for _ in range(mebibytes):
                    self.wfile.write(part)
                self.rfile.read(1)   # the peer closes once it has all
                download._ended(mebibytes, began)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.command = f"wget -q -O /dev/null http://{HOST}:{self._server.server_address[1]}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class _Listener(_Server):
    def __init__(self):
        super().__init__()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            self._run()
        except OSError:
            pass   # closed, or a guest that went away: rate() says that nothing came

    def close(self):
        self._listener.close()


class Upload(_Listener):
    """MiB a second."""

    def __init__(self, mebibytes):
        super().__init__()
        self.command = f"head -c {mebibytes}M /dev/zero >/dev/tcp/{HOST}/{self.port}"

    def _run(self):
        with self._listener.accept()[0] as peer:
            began, room, taken = time.monotonic(), bytearray(MEBIBYTE), 0
            while count := peer.recv_into(room):
                taken += count
            self._ended(taken / MEBIBYTE, began)


def _perl(port, script):
    """A command for the guest; every Debian has this much of Perl."""
    return ("perl -MIO::Socket::INET -e 'sub to { IO::Socket::INET->new(PeerAddr=>"
            f"\"{HOST}:{port}\", Proto=>\"tcp\") or die }} {script}'")


class RoundTrips(_Listener):
    """One byte there and back, a second."""

    def __init__(self, seconds):
        super().__init__()
        self._seconds = seconds
        self.command = _perl(self.port, "$s=to(); setsockopt($s, 6, 1, 1); "
                             "while (syswrite($s, \"x\") and sysread($s, $b, 1)) {}")

    def _run(self):
        with self._listener.accept()[0] as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            began, trips = time.monotonic(), 0
            while time.monotonic() - began < self._seconds and (byte := peer.recv(1)):
                peer.sendall(byte)
                trips += 1
            self._ended(trips, began)


class Connections(_Listener):
    """Connections made and closed, a second."""

    _COUNT = 2000

    def __init__(self):
        super().__init__()
        self.command = _perl(self.port, f"for (1..{self._COUNT}) "
                             "{ $s=to(); sysread($s, $b, 1); close $s }")

    def _run(self):
        began = None
        for _ in range(self._COUNT):
            peer = self._listener.accept()[0]
            began = began or time.monotonic()
            peer.close()
        self._ended(self._COUNT, began)
