/**
 * What other servers may read of rooms (R71): every endpoint by which they do × what the server's only user is to the room ×
 * history visibility, which may change × the event that is asked about. "Servers may only see what at least one of their
 * users may": what that is, `history-model.ts` works out from the specification alone.
 */
import { afterEach, describe, expect, it } from "vitest";
import { type FederatedServer, Federation } from "../support/federation.ts";
import { type Ask, aboutEvents, askEvent, askNearest, askThrough, get, type Question } from "./federation-questions.ts";
import { type Action, expectWithin, openRoom, type Reader, Scene, type Setting, tokensIn } from "./reading-scene.ts";

const encode = encodeURIComponent;
const asks: Readonly<Record<string, Ask>> = { ...aboutEvents, event: askEvent };

const relations: Readonly<Record<string, readonly (readonly Action[])[]>> = {
  "never in": [],
  invited: [[], ["invite"]],
  "invited, then uninvited": [[], ["invite"], ["kick"]],
  knocked: [[], ["knock"]],
  banned: [[], ["ban"]],
  joined: [[], [], ["join"]],
  "invited, then joined": [[], ["invite"], ["join"]],
  left: [[], ["join"], ["leave"]],
  kicked: [["join"], [], ["kick"]],
  "left, then banned": [["join"], ["leave"], [], ["ban"]],
  "left, then invited": [["join"], ["leave"], ["invite"]],
  "left, then came back": [["join"], ["leave"], [], ["join"]],
};
const phases = 4;

const settings: readonly Setting[] = [
  { first: "world_readable", second: "world_readable", changesAt: 0 },
  { first: "shared", second: "shared", changesAt: 0 },
  { first: "invited", second: "invited", changesAt: 0 },
  { first: "joined", second: "joined", changesAt: 0 },
  { first: "joined", second: "shared", changesAt: 2 },
  { first: "shared", second: "joined", changesAt: 2 },
];

let federation: Federation | null = null;

afterEach(() => {
  federation?.close();
  federation = null;
});

const ask = ({ person }: Reader, question: Question) => askThrough(person.server, "one.test", question);

/** Tokens of member events: those that authorize what a server may see are part of its proof, however old they are. */
function authorizing(scene: Scene): Set<string> {
  const members = scene.facts.filter(({ member }) => member !== null).map(({ token }) => token);
  return new Set(members.filter((token) => token !== null));
}

async function readAll(scene: Scene, reader: Reader, eventIds: ReadonlyMap<string, string>): Promise<void> {
  const { may, must } = scene.knowledgeOf(reader);
  const isIn = scene.isJoined(reader);
  const proof = authorizing(scene);
  for (const [token, eventId] of eventIds) {
    for (const [name, question] of Object.entries(asks)) {
      const { status, text } = await ask(reader, question(scene.roomId, eventId));
      const where = `${reader.relation}: ${name} of ${token}`;
      const hasProof = name === "state" || name === "event_auth";
      const seen = [...tokensIn(text)].filter((one) => !(hasProof && may.size > 0 && proof.has(one)));
      expectWithin(seen, may, where);
      if (isIn) expect(status, `${where}: ${text}`).toBe(200);
      if (isIn && name === "event") expect([...tokensIn(text)], where).toEqual(must.has(token) ? [token] : []);
    }
  }
}

async function nearest(scene: Scene, reader: Reader, eventIds: ReadonlyMap<string, string>): Promise<void> {
  const { mayAsEvent } = scene.knowledgeOf(reader);
  const tokens = new Map([...eventIds].map(([token, eventId]) => [eventId, token]));
  for (const ts of scene.times) {
    const { status, text } = await ask(reader, askNearest(scene.roomId, ts));
    expect(status === 200, `${reader.relation}: ${text}`).toBe(scene.isJoined(reader));
    const body: unknown = JSON.parse(text);
    const token = tokens.get(String(Object(body).event_id));
    if (token !== undefined) expect(mayAsEvent, reader.relation).toContain(token);
  }
}

/** What does not ask about an event: nobody is let in, or told of the room, whom the room does not want. */
async function others(scene: Scene, reader: Reader): Promise<void> {
  const membership = scene.membershipOf(reader);
  const isWanted = membership === "join" || membership === "invite";
  const path = (kind: string): string => `make_${kind}/${encode(scene.roomId)}/${encode(reader.person.userId)}?ver=12`;
  const join = await ask(reader, get(path("join")));
  expect(join.status, `${reader.relation}: ${join.text}`).toBe(isWanted ? 200 : 403);
  const knock = await ask(reader, get(path("knock")));
  expect(knock.status, `${reader.relation}: ${knock.text}`).toBe(403);
  const leave = await ask(reader, get(path("leave")));
  expect(leave.status, `${reader.relation}: ${leave.text}`).toBe(isWanted || membership === "knock" ? 200 : 403);
  const hierarchy = await ask(reader, get(`hierarchy/${encode(scene.roomId)}`));
  const isOpen = isWanted || scene.isWorldReadable();
  expect(hierarchy.status, `${reader.relation}: ${hierarchy.text}`).toBe(isOpen ? 200 : 404);
  for (const { text } of [join, knock, leave, hierarchy]) expect([...tokensIn(text)]).toEqual([]);
}

describe.each(settings)("history visibility $first, then $second", (setting) => {
  it("tells each server what its user may know, and no more", { timeout: 60_000 }, async () => {
    const made = new Federation();
    federation = made;
    const home = made.server("one.test");
    const [alice, walter] = [await home.user("alice"), await home.user("walter")];
    const scene = new Scene(made, await openRoom(alice, walter), { alice, walter });
    for (const [relation, actions] of Object.entries(relations)) {
      const server: FederatedServer = made.server(`server${scene.readers.length}.test`);
      scene.readers.push({ relation, actions, person: await server.user("reader"), hasForgotten: false });
    }
    await scene.play(setting, phases, async () => undefined);
    const eventIds = await scene.eventIds();
    for (const reader of scene.readers) {
      await readAll(scene, reader, eventIds);
      await nearest(scene, reader, eventIds);
      await others(scene, reader);
    }
  });
});
