/** Rooms of both servers in each version: joining, talking, and the same state. */
import { describe, expect, it } from "vitest";
import { pairForFile } from "./lifecycle.ts";
import {
  at,
  eventually,
  inRoom,
  joinBy,
  makeOpenRoom,
  messages,
  ok,
  say,
  send,
  setState,
  untilSameState,
  ways,
} from "./scene.ts";

const pair = pairForFile();

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const from = (prefix: string) => (body: string) => body.startsWith(prefix);

describe.each(ways)("%s", (_name, rolesOf) => {
  it.each(["1", "3", "6", "9", "10", "11", "12"])("of version %s is joined and talked in", async (version) => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const roomId = await makeOpenRoom(alice, version, { name: "Attic", topic: "old things" });
    await say(alice, roomId, "before");
    await joinBy(bob, roomId, host);
    await say(bob, roomId, "hello");
    await eventually(
      () => messages(alice, roomId),
      (seen) => seen.includes("hello"),
    );
    await say(alice, roomId, "welcome");
    await setState(alice, roomId, { topic: "new things" }, ["m.room.topic"]);
    await eventually(
      () => messages(bob, roomId),
      (seen) => seen.includes("welcome"),
    );
    expect(await messages(bob, roomId)).toEqual(["before", "hello", "welcome"]);
    expect(await messages(alice, roomId)).toEqual(["before", "hello", "welcome"]);
    await untilSameState(alice, bob, roomId);
  });

  it("tells those on the other server how old a message is", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const roomId = await makeOpenRoom(alice);
    await joinBy(bob, roomId, host);
    const eventId = await say(alice, roomId, "just now");
    const look = () => ok(bob.get(inRoom(roomId, `event/${encodeURIComponent(eventId)}`)));
    const event = await eventually(look, (found) => found.event_id === eventId);
    expect(at(event, "unsigned", "age")).toBeTypeOf("number");
  });

  it("carries 100 messages each way, in order, once", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const roomId = await makeOpenRoom(alice);
    await joinBy(bob, roomId, host);
    const speak = async (person: typeof alice, prefix: string) => {
      for (const body of numbered(prefix, 100)) await say(person, roomId, body);
    };
    await Promise.all([speak(alice, "a"), speak(bob, "b")]);
    for (const person of [alice, bob]) {
      const seen = await eventually(
        () => messages(person, roomId),
        (all) => all.length >= 200,
        40_000,
      );
      expect(seen.filter(from("a"))).toEqual(numbered("a", 100));
      expect(seen.filter(from("b"))).toEqual(numbered("b", 100));
      expect(seen).toHaveLength(200);
    }
  }, 120_000);

  it.each(["10", "11"])("of version %s, what one redacts is gone for the other", async (version) => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const roomId = await makeOpenRoom(alice, version);
    await joinBy(bob, roomId, host);
    for (const [person, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const eventId = await say(person, roomId, `regretted by ${person.userId}`);
      const path = inRoom(roomId, `event/${encodeURIComponent(eventId)}`);
      await eventually(
        () => ok(other.get(path)),
        (event) => at(event, "content", "body") !== undefined,
      );
      await ok(person.put(inRoom(roomId, `redact/${encodeURIComponent(eventId)}/regret`), { reason: "regret" }));
      const redacted = await eventually(
        () => ok(other.get(path)),
        (event) => at(event, "content", "body") === undefined,
      );
      expect(at(redacted, "unsigned", "redacted_because", "sender")).toBe(person.userId);
    }
  });

  it("brings content of every kind as it was", async () => {
    const { host, guest } = rolesOf(pair());
    const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
    const roomId = await makeOpenRoom(alice);
    await joinBy(bob, roomId, host);
    const content = {
      "": "no name",
      "ключ \u{1f511}": '\u{1d11e} \u2028 \u0000 \u007f " \\ / <&>',
      numbers: [0, -1, 9007199254740991, -9007199254740991],
      nested: { a: [[[{ b: null, c: true, d: false }]]], e: {}, f: [] },
      "\uffff": 1,
      "\u{10000}": 2,
      long: "\u00e4".repeat(30_000),
    };
    for (const [person, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      const eventId = await send(person, roomId, "test.content", content);
      const event = await eventually(
        () => ok(other.get(inRoom(roomId, `event/${encodeURIComponent(eventId)}`))),
        () => true,
      );
      expect(event.content).toEqual(content);
    }
  });
});
