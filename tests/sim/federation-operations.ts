/** What people on several servers do. */
import type { RoomId, UserId } from "../../shared/ids.ts";
import { objectField } from "../../shared/json.ts";
import { type Resident, roomPath } from "./federation-people.ts";

/** Somebody's doing, among all the others. */
export interface Deed {
  readonly person: Resident;
  readonly roomId: RoomId;
  readonly everybody: readonly Resident[];
}

interface FederationOperation {
  readonly weight: number;
  run(deed: Deed): Promise<void>;
}

const operations: readonly FederationOperation[] = [
  { weight: 40, run: say },
  { weight: 14, run: setState },
  { weight: 5, run: setPowerLevel },
  { weight: 3, run: setJoinRule },
  { weight: 4, run: (deed) => actOn(deed, "kick") },
  { weight: 3, run: (deed) => actOn(deed, "ban") },
  { weight: 3, run: (deed) => actOn(deed, "unban") },
  { weight: 5, run: (deed) => actOn(deed, "invite") },
  { weight: 3, run: leave },
  { weight: 7, run: join },
  { weight: 1, run: knock },
  { weight: 4, run: redact },
  { weight: 1, run: setDisplayName },
  { weight: 2, run: setTyping },
  { weight: 8, run: read },
  { weight: 6, run: sendToDevice },
  { weight: 1, run: rotateKey },
];
const totalWeight = operations.reduce((sum, { weight }) => sum + weight, 0);

/** Does one random thing. */
export async function doSomething(deed: Deed): Promise<void> {
  let at = deed.person.random.next() * totalWeight;
  const operation = operations.find(({ weight }) => {
    at -= weight;
    return at < 0;
  });
  await (operation ?? { run: say }).run(deed);
}

async function say({ person, roomId }: Deed): Promise<void> {
  const count = person.random.chance(0.15) ? person.random.int(2, 4) : 1;
  const send = () => person.send(roomId, "m.room.message", { msgtype: "m.text", body: person.unique("m") });
  await Promise.all(Array.from({ length: count }, send));
}

async function setState({ person, roomId }: Deed): Promise<void> {
  const { random } = person;
  const text = person.unique("s");
  const kind = random.pick(["m.room.name", "m.room.topic", "org.example.state"]);
  if (kind === "m.room.name") await person.setState(roomId, kind, "", { name: text });
  else if (kind === "m.room.topic") await person.setState(roomId, kind, "", { topic: text });
  else await person.setState(roomId, kind, random.pick(["a", "b", "c"]), { text });
}

/** Gives somebody another level, in what the person's server thinks are the levels now. */
async function setPowerLevel({ person, roomId, everybody }: Deed): Promise<void> {
  const path = `${roomPath(roomId)}/state/m.room.power_levels/`;
  const levels = await person.ask("levels", "GET", path);
  if (levels === null) return;
  const target = person.random.pick(everybody);
  const level = person.random.pick([0, 25, 50, 75, 100]);
  const users = { ...(objectField(levels, "users") ?? {}), [target.userId]: level };
  await person.setState(roomId, "m.room.power_levels", "", { ...levels, users });
}

async function setJoinRule({ person, roomId }: Deed): Promise<void> {
  const rule = person.random.pick(["public", "public", "invite", "knock"]);
  await person.setState(roomId, "m.room.join_rules", "", { join_rule: rule });
}

async function actOn({ person, roomId, everybody }: Deed, action: "kick" | "ban" | "unban" | "invite"): Promise<void> {
  const others = everybody.filter(
    (other) => other !== person && (action === "invite" || action === "unban" || !other.isAnchor),
  );
  if (others.length === 0) return;
  const target: UserId = person.random.pick(others).userId;
  await person.ask(action, "POST", `${roomPath(roomId)}/${action}`, { user_id: target });
}

async function leave({ person, roomId }: Deed): Promise<void> {
  if (!person.isAnchor) await person.ask("leave", "POST", `${roomPath(roomId)}/leave`, {});
}

async function join({ person, roomId, everybody }: Deed): Promise<void> {
  const { random } = person;
  const others = everybody.map(({ server }) => server.name).filter((name) => name !== person.server.name);
  const first = random.pick(others);
  await person.join(roomId, random.chance(0.5) ? [first] : [first, random.pick(others)]);
}

async function knock({ person, roomId, everybody }: Deed): Promise<void> {
  const via = person.random.pick(everybody).server.name;
  await person.ask("knock", "POST", `/_matrix/client/v3/knock/${encodeURIComponent(roomId)}?via=${via}`, {});
}

async function redact({ person, roomId }: Deed): Promise<void> {
  const events = person.ledger.events.filter((event) => event.roomId === roomId && event.what === "m.room.message");
  if (events.length === 0) return;
  const { eventId } = person.random.pick(events);
  const path = `${roomPath(roomId)}/redact/${encodeURIComponent(eventId)}/${person.unique("r")}`;
  await person.askForEvent("redact", roomId, { method: "PUT", path, body: {} });
}

async function setDisplayName({ person }: Deed): Promise<void> {
  const path = `/_matrix/client/v3/profile/${encodeURIComponent(person.userId)}/displayname`;
  await person.ask("display name", "PUT", path, { displayname: person.unique("name") });
}

async function setTyping({ person, roomId }: Deed): Promise<void> {
  const path = `${roomPath(roomId)}/typing/${encodeURIComponent(person.userId)}`;
  await person.ask("typing", "PUT", path, { typing: person.random.chance(0.6), timeout: 20_000 });
}

/** Has read what the person's client has seen last. */
async function read({ person, roomId }: Deed): Promise<void> {
  const seen = person.client.rooms.get(roomId)?.items.findLast((item) => item.kind === "event");
  if (seen?.kind !== "event") return;
  const path = `${roomPath(roomId)}/receipt/m.read/${encodeURIComponent(seen.eventId)}`;
  await person.ask("receipt", "POST", path, {});
}

async function sendToDevice({ person, everybody }: Deed): Promise<void> {
  const { random, ledger } = person;
  const { userId, client } = random.pick(everybody);
  const id = person.unique("d");
  const message = { deviceId: client.deviceId, isPromised: false };
  ledger.toDevice.set(id, message);
  const messages = { [userId]: { [random.chance(0.5) ? "*" : client.deviceId]: { id } } };
  const path = `/_matrix/client/v3/sendToDevice/org.example.message/${id}`;
  message.isPromised = (await person.ask("to-device", "PUT", path, { messages })) !== null;
}

/** The operator of the person's server gives it a new key. */
async function rotateKey({ person }: Deed): Promise<void> {
  await person.server.rotateKey();
}
