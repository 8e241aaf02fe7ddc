/** People of both servers doing anything, with the wires cut now and then: in the end both servers have the same state. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import type { TestUser } from "../support/client.ts";
import { pairForFile } from "./lifecycle.ts";
import type { Pair, Side } from "./pair.ts";
import {
  eventually,
  inRoom,
  joinBy,
  makeOpenRoom,
  messages,
  type Roles,
  say,
  stateOf,
  untilSameState,
} from "./scene.ts";

const pair = pairForFile();
/** A seed to be tried in more ways. */
const given = process.env.INTEROP_SEED;

/** A seed, a room version, and who has the room. */
const storms: readonly (readonly [number, string, Side["kind"]])[] = [
  [1, "10", "ours"],
  [2, "12", "theirs"],
];
const asked: typeof storms = [
  [Number(given), "12", "ours"],
  [Number(given), "12", "theirs"],
  [Number(given), "10", "ours"],
  [Number(given), "6", "theirs"],
];

type Random = (below: number) => number;

/** xorshift32: the same storm for the same seed, as far as two servers in real time allow. */
function randomFrom(seed: number): Random {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

interface Cast {
  readonly roomId: string;
  readonly version: string;
  readonly roles: Roles;
  /** Alice, who has made the room, and Bob, as powerful where that can be: they stay. */
  readonly chiefs: readonly [TestUser, TestUser];
  /** The others, with the index of their chief. */
  readonly crowd: readonly (readonly [TestUser, 0 | 1])[];
}

/** One thing that somebody does. What the rules do not allow is refused, and nothing to speak of. */
async function act({ roomId, version, roles, chiefs, crowd }: Cast, random: Random): Promise<void> {
  const chief = chiefs[random(2)] ?? chiefs[0];
  const [person, side] = crowd[random(crowd.length)] ?? [chief, 0];
  const put = (by: TestUser, type: string, key: string, content: Parameters<TestUser["put"]>[1]) =>
    by.put(inRoom(roomId, `state/${type}/${encodeURIComponent(key)}`), content);
  const user_id = person.userId;
  switch (random(12)) {
    case 0:
      return void (await put(chief, "m.room.name", "", { name: `name ${random(1_000)}` }));
    case 1:
      return void (await put(chief, "m.room.topic", "", { topic: `topic ${random(1_000)}` }));
    case 2:
      return void (await put(person, "test.anything", `${random(3)}`, { n: random(1_000) }));
    case 3:
      return void (await chief.post(inRoom(roomId, "kick"), { user_id }));
    case 4:
      return void (await chief.post(inRoom(roomId, "ban"), { user_id }));
    case 5:
      return void (await chief.post(inRoom(roomId, "unban"), { user_id }));
    case 6:
      return void (await person.post(inRoom(roomId, "leave"), {}));
    case 7:
    case 8:
      return void (await joinBy(person, roomId, side === 0 ? roles.host : roles.guest).catch(() => null));
    case 9: {
      const powerful = version === "12" ? chiefs.slice(1) : chiefs;
      const users = Object.fromEntries(powerful.map(({ userId }) => [userId, 100]));
      const levels = { users: { ...users, [user_id]: random(3) * 50 }, events: { "test.anything": random(2) * 50 } };
      return void (await put(chief, "m.room.power_levels", "", { ...levels, state_default: 50 }));
    }
    case 10:
      return void (await put(chief, "m.room.join_rules", "", { join_rule: random(3) === 0 ? "invite" : "public" }));
    default:
      return void (await person.put(inRoom(roomId, `send/m.room.message/${random(1e9)}`), {
        msgtype: "m.text",
        body: "!",
      }));
  }
}

async function gather(roles: Roles, version: string): Promise<Cast> {
  const { host, guest } = roles;
  const [alice, bob] = [await host.user("alice"), await guest.user("bob")];
  const creator = version === "12" ? {} : { [alice.userId]: 100 };
  const levels = { users: { ...creator, [bob.userId]: 100 } };
  const roomId = await makeOpenRoom(alice, version, { power_level_content_override: levels });
  const crowd: (readonly [TestUser, 0 | 1])[] = [];
  await joinBy(bob, roomId, host);
  for (const index of [0, 1, 0, 1] as const) {
    const person = await (index === 0 ? host : guest).user();
    await joinBy(person, roomId, host);
    crowd.push([person, index]);
  }
  return { roomId, version, roles, chiefs: [alice, bob], crowd };
}

async function storm({ part, meet }: Pair, cast: Cast, random: Random): Promise<void> {
  for (let spell = 0; spell < 6; spell += 1) {
    if (spell % 2 === 1) part();
    for (let turn = 0; turn < 12; turn += 1) {
      const together = Array.from({ length: 1 + random(3) }, () => act(cast, random));
      await Promise.all(together);
    }
    meet();
    await sleep(random(1_000));
  }
}

/** Each has heard of everything that the other has, and both have built on it. */
async function calm({ roomId, chiefs }: Cast): Promise<void> {
  for (const word of ["calm", "calmer", "calmest"]) {
    for (const person of chiefs) await say(person, roomId, `${word}, says ${person.userId}`);
    for (const person of chiefs) {
      const isHeard = (seen: string[]) => chiefs.every(({ userId }) => seen.includes(`${word}, says ${userId}`));
      await eventually(() => messages(person, roomId), isHeard, 60_000);
    }
  }
}

it.each(given === undefined ? storms : asked)(
  "storm %i, in a room of version %s, of %s",
  async (seed, version, at) => {
    const { ours, theirs } = pair();
    const random = randomFrom(seed);
    const cast = await gather(at === "ours" ? { host: ours, guest: theirs } : { host: theirs, guest: ours }, version);
    await storm(pair(), cast, random);
    await calm(cast);
    const [alice, bob] = cast.chiefs;
    await untilSameState(alice, bob, cast.roomId);
    expect((await stateOf(alice, cast.roomId)).length).toBeGreaterThan(8);
  },
  180_000,
);
