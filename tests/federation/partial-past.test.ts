/**
 * What has no place of its own in the live room, and was refused while not all of the room was known: events of the past,
 * and events outside of the graph. Afterwards it is what it is on the whole state, and so is what builds on it.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JsonValue } from "../../shared/json.ts";
import type { MatrixEvent } from "../../shared/matrix/event.ts";
import type { FederatedUser } from "../support/federation.ts";
import { hour, PartialScene, second } from "../support/partial-scene.ts";
import { bodiesOf, readBack } from "../support/read-history.ts";
import { RoomBuilder, user } from "../support/room-builder.ts";

const carol = user("@carol:example.org");
const dave = user("@dave:far.test");
const eve = user("@eve:example.org");

let scene: PartialScene;
let built: RoomBuilder;
let bob: FederatedUser;
/** What happens in the room by those who know that the kick counts for nothing, although it follows that. */
let branch: RoomBuilder;
/** An event by which carol is kicked by somebody who is banned, which cannot be known at first. */
let kick: MatrixEvent;
let daveOnceJoined: MatrixEvent;
/** The states that the resident tells, by the event before which they are. */
let told: Map<string, MatrixEvent[]>;
/** What the resident gives as missing, and as the past. */
let missing: MatrixEvent[];
let past: MatrixEvent[];

beforeEach(async () => {
  built = RoomBuilder.open({ powerLevels: { users: { [carol]: 50, [dave]: 60 } } });
  built.join(carol);
  daveOnceJoined = built.join(dave);
  built.member(built.creator, "ban", dave);
  scene = new PartialScene(built, { omitsMembers: true });
  bob = await scene.two.user("bob");
  await scene.join(bob);
  kick = memberByDave(carol, "leave");
  await scene.give([kick]);
  await scene.federation.advance(10 * second);
  expect(scene.statusOf(kick)).toBe("accepted");
  branch = built.fork();
  tellAbout();
});
afterEach(() => scene.federation.close());

/** What dave makes of somebody, saying nothing of his ban. */
function memberByDave(stateKey: string, membership: string): MatrixEvent {
  const member = { sender: dave, type: "m.room.member", stateKey, content: { membership } };
  const ban = built.lookup("m.room.member", dave)?.eventId;
  const authEvents = built.authEventsFor(member).map((id) => (id === ban ? daveOnceJoined.eventId : id));
  return built.fork().make({ ...member, authEvents });
}

/** Has the resident answer what it is asked of the branch. */
function tellAbout(): void {
  const { peer } = scene.resident;
  told = new Map();
  missing = [];
  past = [];
  peer.on(/\/get_missing_events\//, () => ({ events: missing.map(({ pdu }) => pdu) }));
  peer.on(/\/backfill\//, () => ({ origin: peer.name, origin_server_ts: 1, pdus: past.map(({ pdu }) => pdu) }));
  const stateFor = (request: Request) => told.get(new URL(request.url).searchParams.get("event_id") ?? "");
  peer.on(/\/state_ids\//, (request) => {
    const state = stateFor(request);
    if (state === undefined) return null;
    const ids = (events: readonly MatrixEvent[]) => events.map(({ eventId }) => eventId);
    return { pdu_ids: ids(state), auth_chain_ids: ids(scene.answers.authChain(state)) };
  });
  peer.on(/\/state\//, (request) => {
    const state = stateFor(request);
    if (state === undefined) return null;
    const pdus = (events: readonly MatrixEvent[]) => events.map(({ pdu }) => pdu);
    return { pdus: pdus(state), auth_chain: pdus(scene.answers.authChain(state)) };
  });
}

/** An event on the branch. `tells`: the resident tells the state before it. */
function said(sender: string, body: string, options: { tells?: boolean; prevEvents?: MatrixEvent[] } = {}) {
  const { tells = false, prevEvents } = options;
  const before = [...branch.state.values()];
  const event = branch.append(
    branch.make({
      sender: user(sender),
      type: "m.room.message",
      content: { msgtype: "m.text", body },
      ...(prevEvents === undefined ? {} : { prevEvents: prevEvents.map(({ eventId }) => eventId) }),
    }),
  );
  if (tells) told.set(event.eventId, before);
  return event;
}

async function complete(): Promise<void> {
  scene.tellsState = true;
  await scene.federation.advance(hour);
  for (const table of ["partial_state", "partial_state_events"]) expect(scene.rows(table), table).toEqual([]);
}

const statusesOf = (...events: MatrixEvent[]): unknown[] => events.map((event) => scene.statusOf(event));
const isAnEnd = ({ eventId }: MatrixEvent): boolean => {
  const query = "SELECT 1 FROM event_forward_extremities JOIN events USING (event_nid) WHERE event_id = ?";
  return scene.two.sql("room", built.roomId).one(query, eventId) !== null;
};
const history = async (): Promise<JsonValue[]> => bodiesOf(await readBack(bob, built.roomId));

/** An event after a gap, before which an event of carol's is missing that follows the kick. */
async function giveAfterGap(...lost: MatrixEvent[]): Promise<MatrixEvent> {
  const first = said(built.creator, "first after the gap", { prevEvents: lost });
  const second = said(built.creator, "second");
  missing = [first];
  await scene.give([second]);
  expect(statusesOf(first, second)).toEqual(["accepted", "accepted"]);
  return first;
}

describe("an event of the past that was refused while not all of the room was known", () => {
  it("is shown at its place when it is allowed on the whole state", async () => {
    const lost = said(carol, "lost", { tells: true, prevEvents: [kick] });
    await giveAfterGap(lost);
    past = [lost];
    expect(await history()).toEqual(["second", "first after the gap"]);
    expect(scene.statusOf(lost)).toBe("rejected");
    await bob.sync();
    await complete();
    expect(scene.statusOf(lost)).toBe("accepted");
    expect(await history()).toEqual(["second", "first after the gap", "lost"]);
    expect(isAnEnd(lost)).toBe(false);
    expect(await scene.timelineOf(bob)).not.toContain(lost.eventId);
  });

  it("keeps its place, whatever is fetched after it", async () => {
    const older = said(built.creator, "older", { tells: true });
    const lost = said(carol, "lost", { tells: true, prevEvents: [kick] });
    await giveAfterGap(lost, older);
    past = [lost];
    await history();
    await scene.federation.advance(10 * 60 * second);
    past = [older];
    expect(await history()).toEqual(["second", "first after the gap", "older"]);
    expect(statusesOf(older, lost)).toEqual(["accepted", "rejected"]);
    await complete();
    expect(await history()).toEqual(["second", "first after the gap", "lost", "older"]);
  });
});

describe("an event outside of the graph that came while not all of the room was known", () => {
  /** Eve's invitation, refused because of the kick, and her join, which is told as a part of the state. */
  async function inviteEve(): Promise<{ invite: MatrixEvent; join: MatrixEvent }> {
    const content = { membership: "invite" };
    const member = { type: "m.room.member", stateKey: eve, content };
    const invite = branch.append(branch.make({ ...member, prevEvents: [kick.eventId], sender: carol }));
    await scene.give([invite]);
    expect(scene.statusOf(invite)).toBe("rejected");
    const before = [...branch.state.values()];
    const join = branch.join(eve);
    told.set(join.eventId, before);
    return { invite, join };
  }

  it("is part of the states that were told, and authorizes others", async () => {
    const { invite, join } = await inviteEve();
    const lost = said(eve, "lost", { tells: true });
    const first = said(built.creator, "first after the gap");
    const words = said(eve, "second");
    missing = [first];
    await scene.give([words]);
    expect(statusesOf(join, first, words)).toEqual(["rejected", "accepted", "rejected"]);
    past = [lost];
    await history();
    expect(scene.statusOf(lost)).toBe("rejected");
    await complete();
    expect(statusesOf(invite, join)).toEqual(["accepted", "outlier"]);
    expect(statusesOf(lost, first, words)).toEqual(["accepted", "accepted", "accepted"]);
    expect(scene.stateHere()).toEqual([...scene.stateThere(), `m.room.member|${eve} = ${join.eventId}`].sort());
    expect([lost, first, words].map(isAnEnd)).toEqual([false, false, true]);
    expect(await history()).toEqual(["second", "first after the gap", "lost"]);
    const indexed = scene.rows("events").filter(({ auth_chain }) => auth_chain !== null);
    expect(indexed.map(({ event_id }) => event_id)).toContain(join.eventId);
  });

  it("is no obstacle to an event after a gap that it authorizes, nor to what is before that", async () => {
    const { join } = await inviteEve();
    const lost = [said(built.creator, "lost", { tells: true })];
    missing = [said(built.creator, "first after the gap")];
    await scene.give([said(built.creator, "second")]);
    lost.push(said(built.creator, "lost, too", { tells: true }));
    const words = said(eve, "first after the next gap");
    missing = [words];
    await scene.give([said(built.creator, "last")]);
    expect(statusesOf(join, words)).toEqual(["rejected", "rejected"]);
    await complete();
    expect(statusesOf(join, words)).toEqual(["outlier", "accepted"]);
    past = lost;
    expect(await history()).toEqual(expect.arrayContaining(["first after the next gap", "lost, too", "lost"]));
  });

  it("is none any more when what authorizes it is refused", async () => {
    const invite = memberByDave(eve, "invite");
    await scene.give([invite]);
    expect(scene.statusOf(invite)).toBe("accepted");
    branch.append(invite);
    const join = branch.join(eve);
    const lost = said(built.creator, "lost", { tells: true });
    const first = await giveAfterGap(lost);
    expect(scene.statusOf(join)).toBe("outlier");
    expect(scene.stateHere().join()).toContain(join.eventId);
    await complete();
    expect(statusesOf(invite, join)).toEqual(["rejected", "rejected"]);
    expect(scene.stateHere()).toEqual(scene.stateThere());
    // Nor is it told of the state there.
    const asked = `state_ids/${scene.path}?event_id=${encodeURIComponent(first.eventId)}`;
    const state = await scene.resident.peer.request(scene.two, "GET", `/_matrix/federation/v1/${asked}`);
    expect([state.status, state.text.includes(join.eventId)]).toEqual([200, false]);
  });

  it("is looked at anew, however many there are", async () => {
    const levels = { ...built.lookup("m.room.power_levels", "")?.content, state_default: 49 };
    const change = { sender: carol, type: "m.room.power_levels", stateKey: "", content: levels };
    await scene.give([branch.append(branch.make({ ...change, prevEvents: [kick.eventId] }))]);
    const joins = Array.from({ length: 120 }, (_, index) => branch.join(user(`@u${index}:example.org`)));
    // One that names nothing but another of these.
    const renamed = user("@u119:example.org");
    joins[119] = branch.member(renamed, "join", renamed, { displayname: "Somebody else" });
    said(built.creator, "lost", { tells: true });
    missing = [said(built.creator, "first after the gap")];
    await scene.give([said(built.creator, "second")]);
    expect(new Set(statusesOf(...joins))).toEqual(new Set(["rejected"]));
    await complete();
    expect(new Set(statusesOf(...joins))).toEqual(new Set(["outlier"]));
    for (const { eventId } of joins) expect(scene.stateHere().join()).toContain(eventId);
  });
});
