/** Rooms of both servers in each version: joining, talking, and the same state. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Pair, startPair } from "./pair.ts";
import { eventually, joinBy, makeOpenRoom, messages, say, setState, untilSameState, ways } from "./scene.ts";

let pair: Pair;

beforeAll(async () => {
  pair = await startPair();
});
afterAll(() => pair?.stop());
afterEach(({ task }) => {
  if (task.result?.state === "fail") console.log(pair.logs());
});

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}${n}`);
const from = (prefix: string) => (body: string) => body.startsWith(prefix);

describe.each(ways)("%s", (_name, rolesOf) => {
  it.each(["6", "9", "10", "11", "12"])("of version %s is joined and talked in", async (version) => {
    const { host, guest } = rolesOf(pair);
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

  it("carries 100 messages each way, in order, once", async () => {
    const { host, guest } = rolesOf(pair);
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
});
