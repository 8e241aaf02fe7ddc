import { createHmac } from "node:crypto";
import { rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, spawnScript, temporaryFolder } from "../support/homeserver.ts";

const secret = "shared secret";

/** Answers as Synapse documents shared-secret registration; checks the MAC. */
function registrationServer(seen: unknown[]): Server {
  return createServer(async (request, response) => {
    const reply = (status: number, body: object) => response.writeHead(status).end(JSON.stringify(body));
    if (request.url !== "/_synapse/admin/v1/register") return reply(404, { errcode: "M_UNRECOGNIZED", error: "?" });
    if (request.method === "GET") return reply(200, { nonce: "thisisanonce" });
    const body = JSON.parse(await text(request));
    seen.push(body);
    const signed = ["thisisanonce", body.username, body.password, body.admin ? "admin" : "notadmin"].join("\0");
    const mac = createHmac("sha1", secret).update(signed).digest("hex");
    if (body.mac !== mac) return reply(403, { errcode: "M_FORBIDDEN", error: "HMAC incorrect" });
    return reply(200, { user_id: `@${body.username}:localhost`, access_token: "a", device_id: "d", home_server: "x" });
  });
}

describe("npm run register", () => {
  const seen: unknown[] = [];
  const server = registrationServer(seen);
  let env: Record<string, string> = {};
  beforeAll(async () => {
    const port = await freePort();
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
    env = { PORT: String(port), DATA_DIR: temporaryFolder(), REGISTRATION_SHARED_SECRET: secret };
  });
  afterAll(() => {
    server.close();
    rmSync(env.DATA_DIR ?? "", { recursive: true, force: true });
  });
  const run = async (args: string[], variables = env, input = "") => {
    const started = spawnScript("register", variables, args, input);
    const { code } = await started.ended(10_000);
    return { code, stdout: started.stdout, stderr: started.stderr };
  };

  it("makes an administrator with the shared secret", async () => {
    const made = await run(["--user", "alice", "--admin", "--password", "hunter2"]);
    expect(made).toEqual({ code: 0, stdout: "Made @alice:localhost, an administrator.\n", stderr: "" });
    expect(seen.at(-1)).toMatchObject({ username: "alice", password: "hunter2", admin: true, nonce: "thisisanonce" });
  });

  it("reads the password from a pipe and makes an ordinary user by default", async () => {
    const made = await run(["--user", "bob"], env, "from a pipe\n");
    expect(made).toMatchObject({ code: 0, stdout: "Made @bob:localhost.\n" });
    expect(seen.at(-1)).toMatchObject({ password: "from a pipe", admin: false });
  });

  it("says why the server refused", async () => {
    const refused = await run(["--user", "bob", "--password", "x"], { ...env, REGISTRATION_SHARED_SECRET: "wrong" });
    expect(refused).toEqual({ code: 1, stdout: "", stderr: "the server refused: HMAC incorrect (M_FORBIDDEN)\n" });
  });

  it("says that no server answers, and that no server was ever started here", async () => {
    const unreachable = await run([
      "--user",
      "b",
      "--password",
      "x",
      "--server",
      `http://127.0.0.1:${await freePort()}`,
    ]);
    expect(unreachable).toMatchObject({ code: 1, stderr: expect.stringContaining("no server answers at") });
    const { REGISTRATION_SHARED_SECRET: _secret, ...without } = env;
    const unknown = await run(["--user", "b", "--password", "x"], without);
    expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("no registration secret in") });
  });

  it("explains itself when no user is named", async () => {
    expect(await run([])).toMatchObject({
      code: 1,
      stdout: expect.stringContaining("npm run register -- --user NAME"),
    });
  });
});
