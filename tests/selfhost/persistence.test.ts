import { rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import * as v from "valibot";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { type HomeserverProcess, spawnScript, startProcess, temporaryFolder } from "../support/homeserver.ts";

const session = v.object({ user_id: v.string(), access_token: v.string() });
const roomAnswer = v.object({ room_id: v.string() });
const eventAnswer = v.object({ event_id: v.string() });
const page = v.object({
  chunk: v.array(v.looseObject({ event_id: v.string(), type: v.string(), content: v.looseObject({}) })),
});
const syncAnswer = v.object({ next_batch: v.string() });

/** A client of one server: what a test needs of the client-server API, over plain HTTP. */
function client(baseUrl: string, token: string | null) {
  return async (method: string, path: string, body?: object): Promise<unknown> => {
    const response = await fetch(`${baseUrl}/_matrix/client/v3${path}`, {
      method,
      headers: { "Content-Type": "application/json", ...(token === null ? {} : { Authorization: `Bearer ${token}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`);
    return answer;
  };
}

async function registerUser(server: HomeserverProcess, username: string) {
  const auth = { type: "m.login.dummy" };
  const answer = await client(server.baseUrl, null)("POST", "/register", {
    username,
    password: "a long enough one",
    auth,
  });
  return v.parse(session, answer);
}

describe("a server that is killed", () => {
  const dataDir = temporaryFolder();
  let server: HomeserverProcess | null = null;
  afterEach(() => server?.kill9());
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

  it("has after a restart every event that it acknowledged, the account and the session", async () => {
    server = await startProcess({ dataDir });
    const alice = await registerUser(server, "alice");
    const asAlice = client(server.baseUrl, alice.access_token);
    const { room_id } = v.parse(
      roomAnswer,
      await asAlice("POST", "/createRoom", { preset: "private_chat", name: "kept" }),
    );
    const room = `/rooms/${encodeURIComponent(room_id)}`;

    const acknowledged = new Map<string, string>();
    const sendUntilKilled = async (writer: number) => {
      for (let count = 0; ; count += 1) {
        const body = `${writer}.${count}`;
        const sent = await asAlice("PUT", `${room}/send/m.room.message/${body}`, { msgtype: "m.text", body }).catch(
          () => null,
        );
        if (sent === null) return;
        acknowledged.set(v.parse(eventAnswer, sent).event_id, body);
      }
    };
    const writers = [0, 1, 2, 3].map(sendUntilKilled);
    for (let tries = 0; tries < 200 && acknowledged.size < 40; tries += 1) await sleep(20);
    await server.kill9();
    await Promise.all(writers);
    expect(acknowledged.size).toBeGreaterThanOrEqual(40);

    server = await startProcess({ dataDir, env: { PORT: new URL(server.baseUrl).port } });
    expect(await asAlice("GET", "/account/whoami")).toMatchObject({ user_id: alice.user_id });
    const stored = new Map<string, unknown>();
    const limit = acknowledged.size + 100;
    const { chunk } = v.parse(page, await asAlice("GET", `${room}/messages?dir=b&limit=${Math.min(limit, 1000)}`));
    for (const event of chunk) stored.set(event.event_id, event.content.body);
    for (const [eventId, body] of acknowledged) {
      if (stored.has(eventId)) expect(stored.get(eventId)).toBe(body);
      else
        expect(await asAlice("GET", `${room}/event/${encodeURIComponent(eventId)}`)).toMatchObject({
          content: { body },
        });
    }
    const again = await asAlice("PUT", `${room}/send/m.room.message/0.0`, { msgtype: "m.text", body: "0.0" });
    expect(acknowledged.get(v.parse(eventAnswer, again).event_id)).toBe("0.0");
  });
});

describe("a server that is stopped", () => {
  it("ends within two seconds while clients wait in /sync", async () => {
    const dataDir = temporaryFolder();
    const server = await startProcess({ dataDir });
    const bob = await registerUser(server, "bob");
    const asBob = client(server.baseUrl, bob.access_token);
    const { next_batch } = v.parse(syncAnswer, await asBob("GET", "/sync?timeout=0"));
    const waiting = [1, 2, 3].map(() => asBob("GET", `/sync?timeout=30000&since=${next_batch}`).catch(() => "cut off"));
    await sleep(300);
    const begun = performance.now();
    server.signal("SIGTERM");
    expect(await server.ended(5000)).toEqual({ code: 0, signal: null });
    expect(performance.now() - begun).toBeLessThan(2000);
    await Promise.all(waiting);
    rmSync(dataDir, { recursive: true, force: true });
  });
});

describe("npm run register against a server", () => {
  it("makes an administrator with the secret of its data folder", async () => {
    const dataDir = temporaryFolder();
    const server = await startProcess({ dataDir, env: { REGISTRATION: "closed" } });
    const made = spawnScript("register", { ...server.env }, [
      "--user",
      "carol",
      "--admin",
      "--password",
      "a long enough one",
    ]);
    expect(await made.ended(10_000)).toEqual({ code: 0, signal: null });
    expect(made.stdout).toBe("Made @carol:localhost, an administrator.\n");
    const identifier = { type: "m.id.user", user: "carol" };
    const login = { type: "m.login.password", identifier, password: "a long enough one" };
    expect(v.parse(session, await client(server.baseUrl, null)("POST", "/login", login)).user_id).toBe(
      "@carol:localhost",
    );
    await server.kill9();
    rmSync(dataDir, { recursive: true, force: true });
  });
});
