/** What people do. */
import { MatrixError } from "../../shared/errors.ts";
import type { EventId, RoomId, UserId } from "../../shared/ids.ts";
import { trusted } from "../../shared/ids.ts";
import type { JsonObject } from "../../shared/json.ts";
import type { ChangeMembershipInput, SendEventInput } from "../../shared/rpc/room.ts";
import type { SimClient } from "./clients.ts";
import type { SentMessage } from "./ledger.ts";
import type { Person } from "./people.ts";

export interface Operation {
  readonly weight: number;
  run(person: Person): Promise<void>;
}

export const operations: readonly Operation[] = [
  { weight: 40, run: sendMessage },
  { weight: 5, run: sendBurst },
  { weight: 4, run: redact },
  { weight: 6, run: setState },
  { weight: 2, run: setHistoryVisibility },
  { weight: 1, run: setJoinRules },
  { weight: 7, run: (person) => changeMembership(person, "join") },
  { weight: 5, run: (person) => changeMembership(person, "invite") },
  { weight: 3, run: (person) => changeMembership(person, "leave") },
  { weight: 2, run: (person) => changeMembership(person, "kick") },
  { weight: 1, run: (person) => changeMembership(person, "ban") },
  { weight: 2, run: (person) => changeMembership(person, "unban") },
  { weight: 1, run: (person) => changeMembership(person, "knock") },
  { weight: 2, run: forgetRoom },
  { weight: 4, run: setTyping },
  { weight: 8, run: sendReceipt },
  { weight: 3, run: setAccountData },
  { weight: 6, run: sendToDevice },
  { weight: 1, run: setDisplayName },
  { weight: 2, run: setTag },
  { weight: 1.5, run: upgradeRoom },
];

/** Upgrades make rooms, and each room has its share of what happens: no more than this. */
const maxRooms = 5;

async function sendMessage(person: Person): Promise<void> {
  await send(person, person.room(), person.device());
}

/** Several messages at once: they meet in one commit. */
async function sendBurst(person: Person): Promise<void> {
  const roomId = person.room();
  const count = person.random.int(2, 6);
  await Promise.all(Array.from({ length: count }, () => send(person, roomId, person.device())));
}

async function send(person: Person, roomId: RoomId, device: SimClient): Promise<void> {
  const marker = person.unique("m");
  const message: SentMessage = { roomId, sender: person.userId, marker, eventIds: [], isRefused: false };
  person.ledger.messages.push(message);
  const input = eventInput(person, device, { type: "m.room.message", content: { msgtype: "m.text", body: marker } });
  await sendOnce(person, message, { ...input, txnId: marker });
  // Clients repeat a request whose answer they have, too: after a restart they may not know.
  if (person.random.chance(0.1)) await sendOnce(person, message, { ...input, txnId: marker });
}

async function sendOnce(person: Person, message: SentMessage, input: SendEventInput): Promise<void> {
  const answer = await person.ask("send", () => person.actors.room(message.roomId).sendEvent(input));
  message.isRefused = answer === null;
  if (answer !== null) message.eventIds.push(answer.eventId);
}

async function redact(person: Person): Promise<void> {
  const [roomId, device] = [person.room(), person.device()];
  const target = person.seenEvent(device, roomId);
  if (target === null || target.event.state_key !== undefined) return;
  const redacts = trusted.eventId(target.eventId);
  const input = eventInput(person, device, { type: "m.room.redaction", content: { redacts } });
  const request = { ...input, redacts, txnId: person.unique("r") };
  await person.askForEvent("redact", roomId, () => person.actors.room(roomId).sendEvent(request));
}

async function setState(person: Person): Promise<void> {
  const kind = person.random.pick(["m.room.name", "m.room.topic", "org.example.state"] as const);
  const text = person.unique("s");
  const content: JsonObject =
    kind === "m.room.name" ? { name: text } : kind === "m.room.topic" ? { topic: text } : { text };
  const stateKey = kind === "org.example.state" ? person.random.pick(["a", "b", "c"]) : "";
  await sendState(person, { type: kind, stateKey, content });
}

async function setHistoryVisibility(person: Person): Promise<void> {
  const visibility = person.random.pick(["shared", "shared", "joined", "invited", "world_readable"]);
  await sendState(person, {
    type: "m.room.history_visibility",
    stateKey: "",
    content: { history_visibility: visibility },
  });
}

async function setJoinRules(person: Person): Promise<void> {
  const rule = person.random.pick(["public", "public", "invite", "knock"]);
  await sendState(person, { type: "m.room.join_rules", stateKey: "", content: { join_rule: rule } });
}

async function sendState(
  person: Person,
  event: { type: string; stateKey: string; content: JsonObject },
): Promise<EventId | null> {
  const roomId = person.room();
  const input = { ...eventInput(person, person.device(), event), stateKey: event.stateKey };
  return await person.askForEvent(event.type, roomId, () => person.actors.room(roomId).sendEvent(input));
}

function eventInput(person: Person, device: SimClient, event: { type: string; content: JsonObject }): SendEventInput {
  const { type, content } = event;
  const sender = person.userId;
  return { sender, deviceId: device.deviceId, txnId: null, type, stateKey: null, content, redacts: null };
}

async function changeMembership(person: Person, action: ChangeMembershipInput["action"]): Promise<void> {
  const isOwn = action === "join" || action === "leave" || action === "knock";
  const target: UserId = isOwn ? person.userId : person.other();
  const input = { action, requester: person.userId, target, reason: null, content: {} };
  const roomId = action === "join" || action === "knock" ? person.foreignRoom() : person.room();
  await person.askForEvent(action, roomId, () => person.actors.room(roomId).changeMembership(input));
}

/** Only what was left can be forgotten. */
async function forgetRoom(person: Person): Promise<void> {
  const roomId = person.foreignRoom();
  person.ledger.forgotten.add(`${person.userId} ${roomId}`);
  await person.ask("forget", async () => {
    try {
      await person.actors.room(roomId).forget(person.userId);
      return true;
    } catch (thrown) {
      if (thrown instanceof MatrixError && thrown.errcode === "M_UNKNOWN") return null;
      throw thrown;
    }
  });
}

async function setTyping(person: Person): Promise<void> {
  const roomId = person.room();
  const input = { userId: person.userId, typing: person.random.chance(0.7), timeoutMs: person.random.int(500, 30_000) };
  await person.ask("typing", () => person.actors.room(roomId).setTyping(input));
}

async function sendReceipt(person: Person): Promise<void> {
  const roomId = person.room();
  const seen = person.seenEvent(person.device(), roomId);
  if (seen === null) return;
  const input = {
    userId: person.userId,
    receiptType: person.random.chance(0.7) ? ("m.read" as const) : ("m.read.private" as const),
    eventId: trusted.eventId(seen.eventId),
    threadId: person.random.chance(0.3) ? "main" : null,
  };
  await person.ask("receipt", () => person.actors.room(roomId).sendReceipt(input));
}

async function setAccountData(person: Person): Promise<void> {
  const roomId = person.random.chance(0.5) ? person.room() : null;
  const type = person.random.pick(["org.example.a", "org.example.b"]);
  const content = { text: person.unique("d") };
  await person.ask("account data", () => person.actors.user(person.userId).setAccountData(roomId, type, content));
}

async function sendToDevice(person: Person): Promise<void> {
  const id = person.unique("t");
  const target = person.random.pick(person.everybody);
  const devices = person.devicesOf(target);
  const chosen = person.random.chance(0.4) ? null : person.random.pick(devices);
  const names = chosen === null ? devices : [chosen];
  person.ledger.toDevice.push({ id, targets: names.map((name) => `${target} ${name}`) });
  const messages = { [target]: { [chosen ?? "*"]: { id } } };
  const input = { deviceId: person.device().deviceId, txnId: id, type: "org.example.message", messages };
  await person.ask("to-device", () => person.actors.user(person.userId).sendToDevice(input));
}

async function setDisplayName(person: Person): Promise<void> {
  const name = person.unique("name");
  await person.ask("display name", () => person.actors.user(person.userId).setProfileField("displayname", name));
}

async function setTag(person: Person): Promise<void> {
  const tag = person.random.pick(["m.favourite", "u.tag"]);
  const content = person.random.chance(0.7) ? { text: person.unique("tag") } : null;
  const roomId = person.room();
  await person.ask("tag", () => person.actors.user(person.userId).setRoomTag(roomId, tag, content));
}

/** Only one upgrade of a room goes on at a time: who comes second leaves it at that. */
async function upgradeRoom(person: Person): Promise<void> {
  const { rooms } = person.ledger;
  if (rooms.length >= maxRooms) return;
  const roomId = person.room();
  const input = { requester: person.userId, newVersion: person.random.pick(["11", "12"]), additionalCreators: [] };
  const request = async (): Promise<RoomId | null> => {
    try {
      return (await person.actors.room(roomId).upgradeRoom(input)).roomId;
    } catch (thrown) {
      if (thrown instanceof MatrixError && thrown.errcode === "M_UNKNOWN") return null;
      throw thrown;
    }
  };
  const replacement = await person.ask("upgrade", request);
  if (replacement !== null && !rooms.includes(replacement)) rooms.push(replacement);
}
