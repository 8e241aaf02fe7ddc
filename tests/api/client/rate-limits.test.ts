import { describe, expect, it } from "vitest";
import type { JsonObject } from "../../../shared/json.ts";
import type { Reply } from "../../support/client.ts";
import { expectError, expectOk, path, roomOf, useHomeserver } from "../homeserver.ts";

const server = useHomeserver({ env: { RATE_LIMITS: "on", CLIENT_ADDRESS_HEADER: "X-Real-IP" } });

/** Expects a refusal that says when to come back. */
function expectLimited(reply: Reply): void {
  expectError(reply, 429, "M_LIMIT_EXCEEDED");
  const seconds = Number(reply.headers.get("Retry-After"));
  expect(seconds).toBeGreaterThanOrEqual(1);
  expect(Number(reply.body.retry_after_ms)).toBeLessThanOrEqual(seconds * 1000);
  expect(reply.headers.get("Access-Control-Expose-Headers")).toContain("Retry-After");
}

const from = (address: string, url: string, body: JsonObject) =>
  server.anybody().request("POST", url, { body, headers: { "X-Real-IP": address } });

describe("rate limits", () => {
  it("hold back who sends too much, and only them", async () => {
    const [alice, bob] = [await server.user("alice"), await server.user("bob")];
    const roomId = await roomOf(alice, bob);
    const send = (user: typeof alice, txn: number) => user.put(path`v3/rooms/${roomId}/send/a.b/${String(txn)}`, {});
    let limited: Reply | null = null;
    for (let txn = 0; txn < 30 && limited === null; txn += 1) {
      const reply = await send(alice, txn);
      if (reply.status !== 200) limited = reply;
    }
    if (limited === null) throw new Error("30 messages were sent without a limit");
    expectLimited(limited);
    expectOk(await send(bob, 1));
    expectOk(await alice.get(path`v3/rooms/${roomId}/state`));
  });

  it("hold back an address that registers or logs in too often, and only that", async () => {
    const tries = async (address: string, url: string, body: (index: number) => JsonObject) => {
      const replies: Reply[] = [];
      for (let index = 0; index < 8; index += 1) replies.push(await from(address, url, body(index)));
      return replies;
    };
    const account = (index: number) => ({ username: `reg${index}`, password: "p", auth: { type: "m.login.dummy" } });
    const registered = await tries("10.0.0.1", "v3/register", account);
    expect(registered.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(4);
    expectLimited(registered[7] ?? (await from("10.0.0.1", "v3/register", account(9))));
    expectOk(await from("10.0.0.2", "v3/register", account(10)));
    const login = (index: number) => ({ type: "m.login.password", user: `nobody${index}`, password: "p" });
    const logins = await tries("10.0.0.3", "v3/login", login);
    expectLimited(logins[7] ?? (await from("10.0.0.3", "v3/login", login(9))));
    expectError(await from("10.0.0.4", "v3/login", login(10)), 403, "M_FORBIDDEN");
  });

  it("do not believe an address that a client makes up", async () => {
    const replies: number[] = [];
    for (let index = 0; index < 8; index += 1) {
      const headers = {
        "X-Real-IP": "10.0.0.5",
        "X-Forwarded-For": `6.6.6.${index}`,
        "CF-Connecting-IP": `7.7.7.${index}`,
      };
      const body = { type: "m.login.password", user: `ghost${index}`, password: "p" };
      replies.push((await server.anybody().request("POST", "v3/login", { body, headers })).status);
    }
    expect(replies).toContain(429);
  });

  it("hold back who invites one person too often, and a stranger's tries do not count", async () => {
    const [dave, carol, eve] = [await server.user("dave"), await server.user("carol"), await server.user("eve")];
    const rooms: string[] = [];
    for (let index = 0; index < 7; index += 1) rooms.push(await roomOf(dave));
    const invite = (user: typeof dave, roomId: string) =>
      user.post(path`v3/rooms/${roomId}/invite`, { user_id: carol.userId });
    for (const roomId of rooms) expectError(await invite(eve, roomId), 403, "M_FORBIDDEN");
    const replies: Reply[] = [];
    for (const roomId of rooms) replies.push(await invite(dave, roomId));
    expect(replies.slice(0, 5).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expectLimited(replies[6] ?? (await invite(dave, rooms[0] ?? "")));
  });
});
