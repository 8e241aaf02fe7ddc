/** The two servers without each other: cut wires, a server that is down, and one that is killed. */
import { beforeEach, describe, expect, it } from "vitest";
import type { TestUser } from "../support/client.ts";
import { pairForFile } from "./lifecycle.ts";
import {
  eventually,
  joinBy,
  makeOpenRoom,
  membershipOf,
  messages,
  type Roles,
  say,
  setState,
  stateOf,
  untilSameState,
  ways,
} from "./scene.ts";

const pair = pairForFile();

beforeEach(() => pair().meet());

const minute = 60_000;

interface Room {
  readonly alice: TestUser;
  readonly bob: TestUser;
  readonly roomId: string;
}

/** An open room with both in it; both may set everything that 50 suffices for. */
async function sharedRoom({ host, guest }: Roles, version = "12"): Promise<Room> {
  const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
  const levels = { users: version === "12" ? { [bob.userId]: 50 } : { [alice.userId]: 100, [bob.userId]: 50 } };
  const roomId = await makeOpenRoom(alice, version, { power_level_content_override: levels });
  await joinBy(bob, roomId, host);
  await say(bob, roomId, "here I am");
  await eventually(
    () => messages(alice, roomId),
    (seen) => seen.includes("here I am"),
  );
  await say(alice, roomId, "so you are");
  await eventually(
    () => messages(bob, roomId),
    (seen) => seen.includes("so you are"),
  );
  return { alice, bob, roomId };
}

async function sameMessages({ alice, bob, roomId }: Room, count: number, timeoutMs = minute): Promise<string[]> {
  const look = async () => [(await messages(alice, roomId)).toSorted(), (await messages(bob, roomId)).toSorted()];
  const [here = []] = await eventually(
    look,
    ([one, other]) => one?.length === count && one.join() === other?.join(),
    timeoutMs,
  );
  expect(new Set(here).size).toBe(count);
  return here;
}

describe.each(ways)("in %s", (_name, rolesOf) => {
  it.each(["10", "12"])(
    "of version %s, what was set apart is resolved to the same state",
    async (version) => {
      const room = await sharedRoom(rolesOf(pair()), version);
      const { alice, bob, roomId } = room;
      pair().part();
      const [carol, dave] = [await rolesOf(pair()).host.user("carol"), await rolesOf(pair()).guest.user("dave")];
      for (let n = 0; n < 3; n += 1) {
        await setState(alice, roomId, { name: `alice ${n}` }, ["m.room.name"]);
        await setState(bob, roomId, { name: `bob ${n}` }, ["m.room.name"]);
        await setState(bob, roomId, { topic: `bob ${n}` }, ["m.room.topic"]);
        await setState(alice, roomId, { n }, ["test.alice", `${n}`]);
        await setState(bob, roomId, { n }, ["test.bob", `${n}`]);
        await setState(alice, roomId, { by: "alice", n }, ["test.both"]);
        await setState(bob, roomId, { by: "bob", n }, ["test.both"]);
      }
      await joinBy(carol, roomId, rolesOf(pair()).host);
      await joinBy(dave, roomId, rolesOf(pair()).guest);
      // One side takes from the other the power that the other has used meanwhile.
      const users = version === "12" ? {} : { [alice.userId]: 100 };
      await setState(alice, roomId, { users, state_default: 50 }, ["m.room.power_levels"]);
      await say(alice, roomId, "anybody?");
      await say(bob, roomId, "somebody?");
      expect(await stateOf(alice, roomId)).not.toEqual(await stateOf(bob, roomId));
      pair().meet();
      await sameMessages(room, 4);
      await untilSameState(alice, bob, roomId, minute);
      // Said after both have heard of both branches, by each.
      await say(alice, roomId, "together");
      await say(bob, roomId, "again");
      await sameMessages(room, 6);
      await untilSameState(alice, bob, roomId);
      expect(await membershipOf(alice, roomId, dave.userId)).toBe("join");
      expect(await membershipOf(bob, roomId, carol.userId)).toBe("join");
    },
    150_000,
  );

  it("a ban that a guest did not hear of ends what they said meanwhile", async () => {
    const { host, guest } = rolesOf(pair());
    const room = await sharedRoom({ host, guest });
    const { alice, bob, roomId } = room;
    const carol = await guest.user("carol");
    await joinBy(carol, roomId, host);
    await eventually(
      () => membershipOf(alice, roomId, carol.userId),
      (membership) => membership === "join",
    );
    pair().part();
    await setState(alice, roomId, { membership: "ban" }, ["m.room.member", carol.userId]);
    await setState(carol, roomId, { membership: "join", displayname: "not banned" }, ["m.room.member", carol.userId]);
    await say(alice, roomId, "gone");
    await say(bob, roomId, "still here");
    pair().meet();
    await eventually(
      () => membershipOf(bob, roomId, carol.userId),
      (membership) => membership === "ban",
      minute,
    );
    await sameMessages(room, 4);
    expect(await membershipOf(alice, roomId, carol.userId)).toBe("ban");
    await untilSameState(alice, bob, roomId);
  }, 120_000);

  it("the guest's server is down for a while and catches up", async () => {
    const { host, guest } = rolesOf(pair());
    const room = await sharedRoom({ host, guest });
    await guest.stop();
    for (let n = 0; n < 60; n += 1) await say(room.alice, room.roomId, `missed ${n}`);
    await setState(room.alice, room.roomId, { topic: "missed, too" }, ["m.room.topic"]);
    await guest.start();
    await say(room.bob, room.roomId, "what did I miss?");
    const seen = await sameMessages(room, 63);
    expect(seen.filter((body) => body.startsWith("missed"))).toHaveLength(60);
    await untilSameState(room.alice, room.bob, room.roomId);
  }, 150_000);
});

describe("kill -9 of ours in the middle of a conversation", () => {
  it.each(ways)(
    "in %s loses nothing that was confirmed, and repeats nothing",
    async (_name, rolesOf) => {
      const room = await sharedRoom(rolesOf(pair()));
      const ourPerson = rolesOf(pair()).host.kind === "ours" ? room.alice : room.bob;
      const theirPerson = ourPerson === room.alice ? room.bob : room.alice;
      const confirmed: string[] = ["here I am", "so you are"];
      const speak = async (person: TestUser, prefix: string, count: number) => {
        for (let n = 0; n < count; n += 1) {
          const body = `${prefix} ${n}`;
          // While our server is away, nobody is told that a message was taken.
          const taken = await say(person, room.roomId, body).catch(() => null);
          if (taken !== null) confirmed.push(body);
        }
      };
      const theirs = speak(theirPerson, "theirs", 40);
      const early = speak(ourPerson, "ours", 20);
      await eventually(
        async () => confirmed.length,
        (count) => count > 15,
      );
      await pair().ours.kill9();
      await early;
      await pair().ours.start();
      await speak(ourPerson, "ours again", 10);
      await theirs;
      for (const person of [ourPerson, theirPerson]) {
        const isComplete = (seen: string[]) => confirmed.every((body) => seen.includes(body));
        const seen = await eventually(() => messages(person, room.roomId), isComplete, minute);
        expect(new Set(seen).size).toBe(seen.length);
      }
      await untilSameState(room.alice, room.bob, room.roomId);
    },
    150_000,
  );
});
