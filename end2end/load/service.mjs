// A service that says which version and process answered, and keeps connections open: what is loaded while it is deployed.

import { createServer } from "node:http";

const words = `${process.env.SEAMLESS_COMMIT ?? "none"} ${process.env.PORT} ${process.pid}`;
const server = createServer((_, answer) => answer.end(words));
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
