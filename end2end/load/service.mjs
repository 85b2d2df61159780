// A service that says which version and process answered, and keeps connections open: what is loaded while it is deployed.
// `/wait/300` answers after 300 ms: a request that is under way when the version it went to is replaced.

import { createServer } from "node:http";

const words = `${process.env.SEAMLESS_COMMIT ?? "none"} ${process.env.PORT} ${process.pid}`;
const server = createServer(({ url }, answer) => {
  const wait = /^\/wait\/(\d+)$/.exec(url)?.[1];
  if (wait) setTimeout(() => answer.end(words), Number(wait));
  else answer.end(words);
});
server.keepAliveTimeout = 60_000;
server.listen(Number(process.env.PORT), "127.0.0.1");
process.on("SIGTERM", () => server.close(() => process.exit(0)));
