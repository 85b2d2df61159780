"""A small service for tests: it says which version it is and does what it is asked."""
import http.server, json, os, signal, sys, threading, time

VERSION = open(os.path.join(os.path.dirname(__file__), "version")).read().strip()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 1.0  # closes idle connections soon, so that reuse meets closed ones

    def log_message(self, *args):
        pass

    def answer(self, body, status=200):
        body = body.encode() if isinstance(body, str) else body
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.headers.get("Upgrade") == "echo":
            self.send_response(101)
            self.send_header("Upgrade", "echo")
            self.send_header("Connection", "Upgrade")
            self.end_headers()
            self.connection.settimeout(10)
            while data := self.connection.recv(4096):
                self.connection.sendall(data.upper())
            self.close_connection = True
        elif self.path == "/health":
            self.answer("health", int(os.environ.get("HEALTH", "200")))
        elif self.path.startswith("/until/"):
            while not os.path.exists(self.path.removeprefix("/until")):
                time.sleep(0.01)
            self.answer(VERSION)
        elif self.path == "/stream":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for part in (b"one", b"two", b"three"):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
                time.sleep(0.2)
            self.wfile.write(b"0\r\n\r\n")
        elif self.path == "/headers":
            self.answer(json.dumps({k.lower(): v for k, v in self.headers.items()}))
        elif self.path == "/env":
            self.answer(json.dumps(dict(os.environ)))
        elif self.path == "/pid":
            self.answer(str(os.getpid()))
        elif self.path == "/crash":
            print("about to crash", flush=True)
            os._exit(3)
        else:
            self.answer(VERSION)

    def do_POST(self):
        length = self.headers.get("Content-Length")
        if length is not None:
            body = self.rfile.read(int(length))
        else:
            body = b""
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.answer(body)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


print("version", VERSION, "starts", flush=True)
if os.environ.get("FAIL"):
    print(os.environ["FAIL"], file=sys.stderr, flush=True)
    sys.exit(1)
if os.environ.get("STUBBORN"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
