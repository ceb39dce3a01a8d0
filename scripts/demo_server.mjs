/** The demo's web server, for Node. Writes the port that it got to a file. */
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { argv, pid } from "node:process";

const server = createServer((_request, response) => {
  response.end(`Hello from pid ${pid}.`);
});
server.listen(0, "127.0.0.1", () => {
  writeFileSync(argv[2], String(server.address().port));
});
