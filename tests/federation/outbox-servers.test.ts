/** Several of our own servers, talking: what one sends, users of the others are given once and in order. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isObject, type JsonObject, type JsonValue, objectField } from "../../shared/json.ts";
import { type FederatedUser, Federation } from "../support/federation.ts";
import { day, hour, inRoom, minute, ok } from "../support/outbound-scene.ts";

let federation: Federation;
let people: FederatedUser[];
let roomId: string;
let transactions = 0;

beforeEach(async () => {
  federation = new Federation();
});
afterEach(() => federation.close());

/** One user at each of these servers, all in one public room of the first. */
async function gather(...names: string[]): Promise<void> {
  people = [];
  for (const name of names) people.push(await federation.server(name).user("someone"));
  const wish = { preset: "public_chat", room_version: "12" };
  roomId = String(ok(await personAt(0).post("v3/createRoom", wish)).room_id);
  for (const person of people.slice(1)) {
    ok(await person.post(`v3/join/${encodeURIComponent(roomId)}?server_name=${names[0]}`));
    await federation.settle();
  }
  for (const person of people) await person.sync();
}

function personAt(who: number): FederatedUser {
  const person = people[who];
  if (person === undefined) throw new Error("nobody there");
  return person;
}

async function say(person: FederatedUser, body: string): Promise<void> {
  transactions += 1;
  ok(await person.put(inRoom(roomId, `send/m.room.message/t${transactions}`), { msgtype: "m.text", body }));
}

/** The messages of the room, as a user reads them from the beginning. */
async function bodiesFor(person: FederatedUser): Promise<string[]> {
  const reply = ok(await person.get(inRoom(roomId, "messages?dir=f&limit=1000")));
  return objects(reply.chunk)
    .filter(({ type }) => type === "m.room.message")
    .map((event) => String(objectField(event, "content")?.body));
}

function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

const of = (bodies: readonly string[], who: number): string[] => bodies.filter((body) => body.startsWith(`${who}:`));

/** Everybody has what each has said, once and in the order in which they said it. */
async function expectAllHave(counts: readonly number[]): Promise<void> {
  for (const person of people) {
    const bodies = await bodiesFor(person);
    for (const [who, count] of counts.entries()) {
      expect(of(bodies, who)).toEqual(Array.from({ length: count }, (_, n) => `${who}:${n}`));
    }
  }
}

describe("a room of several of our servers", () => {
  it.each([{ names: ["one.test", "two.test"] }, { names: ["one.test", "two.test", "three.test"] }])(
    "brings 100 messages each way, once and in order ($names)",
    async ({ names }) => {
      await gather(...names);
      for (let n = 0; n < 100; n += 1) for (const [who, person] of people.entries()) await say(person, `${who}:${n}`);
      await federation.settle();
      await federation.advance(minute);
      await expectAllHave(people.map(() => 100));
    },
  );

  it("catches up a server that was down for a day", async () => {
    await gather("one.test", "two.test", "three.test");
    const two = federation.server("two.test");
    two.isUp = false;
    for (let n = 0; n < 60; n += 1) {
      for (const who of [0, 2]) await say(personAt(who), `${who}:${n}`);
      await federation.advance(24 * minute);
    }
    two.isUp = true;
    await federation.advance(2 * hour);
    await expectAllHave([60, 0, 60]);
  });

  it("shows nobody anything twice where answers are lost", async () => {
    await gather("one.test", "two.test");
    let turn = 0;
    const inner = federation.exchange.bind(federation);
    federation.exchange = async (from, target, request) => {
      const answer = await inner(from, target, request);
      turn += 1;
      if (request.path.includes("/send/") && turn % 3 === 0) throw new Error("answer lost");
      return answer;
    };
    for (let n = 0; n < 40; n += 1) for (const [who, person] of people.entries()) await say(person, `${who}:${n}`);
    await federation.advance(day);
    await expectAllHave([40, 40]);
  });

  it("loses nothing when every actor dies again and again", async () => {
    await gather("one.test", "two.test");
    for (let n = 0; n < 20; n += 1) {
      for (const [who, person] of people.entries()) await say(person, `${who}:${n}`);
      await federation.settle();
      for (const server of federation.servers.values()) server.evict();
    }
    await federation.advance(hour);
    await expectAllHave([20, 20]);
  });
});
