import { serverNameOf, type UserId } from "../../../../shared/ids.ts";
import { isObject, type JsonObject, type JsonValue, objectField, withFields } from "../../../../shared/json.ts";
import { eventFromPdu } from "../../../../shared/matrix/event.ts";
import type { AuthDecision } from "../../../../shared/matrix/event-auth/decision.ts";
import { signEvent } from "../../../../shared/matrix/signing.ts";
import { RoomBuilder, rulesOf, testKeyOf } from "../../../support/room-builder.ts";
import { type Decide, message, on, type RuleCases } from "./cases.ts";
import { memberRules } from "./member-rules.ts";
import { alice, bob, carol, decide, decideIndependent, erin, nobody, overlay, scene, zoe } from "./scene.ts";

// --- create

/** The decision about a create event with changes to the PDU and to its content; undefined takes a key away. */
function create(
  changes: Record<string, JsonValue | undefined>,
  content: Record<string, JsonValue | undefined> = {},
): Decide {
  return (version) => {
    const room = RoomBuilder.empty({ version });
    const changed = withFields(room.create.pdu, { content: withFields(room.create.content, content), ...changes });
    const server = serverNameOf(alice);
    return decideIndependent(room, eventFromPdu(signEvent(changed, room.rules, server, testKeyOf(server)), room.rules));
  };
}

const createRules: RuleCases[] = [
  { rule: "create.hasPrevEvents", rejects: withPrevEvent, spares: create({}) },
  {
    rule: "create.roomId",
    rejects: create({ room_id: "!room:elsewhere.org" }),
    spares: create({}),
  },
  {
    rule: "create.unknownVersion",
    rejects: create({}, { room_version: "unheard-of" }),
    spares: create({}, { room_version: undefined }),
  },
  {
    rule: "create.noCreator",
    rejects: create({}, { creator: undefined }),
    spares: create({}, { creator: "@other:example.org" }),
  },
  {
    rule: "create.additionalCreators",
    rejects: create({}, { additional_creators: [bob, "bob"] }),
    spares: create({}, { additional_creators: [bob, zoe] }),
  },
  { rule: "create.allow", allows: create({}), spares: create({}, { room_version: 12 }) },
];

function withPrevEvent(version: string): AuthDecision | null {
  const prev = rulesOf(version).eventReferences === "ids" ? "$other" : ["$other:example.org", {}];
  return create({ prev_events: [prev] })(version);
}

// --- auth events

/** The decision about a message with the auth events that `pick` makes of a scene. */
function authEvents(
  pick: (room: RoomBuilder) => { sender?: UserId; keys: [string, string][]; rejected?: string },
): Decide {
  return (version) => {
    const room = scene(version);
    const { keys, rejected, sender } = pick(room);
    const event = room.make(message(sender ?? carol));
    const named = keys.map(([type, stateKey]) => {
      const found = room.lookup(type, stateKey);
      if (found === null) throw new Error(`no ${type}`);
      return { event: found, isRejected: type === rejected };
    });
    return decideIndependent(room, event, named);
  };
}

const powerLevelsKey: [string, string] = ["m.room.power_levels", ""];
const carolKey: [string, string] = ["m.room.member", carol];
const createKey: [string, string] = ["m.room.create", ""];
const usualKeys = (room: RoomBuilder): [string, string][] => [
  ...(room.rules.createIsAuthEvent ? [createKey] : []),
  powerLevelsKey,
  carolKey,
];

const authEventRules: RuleCases[] = [
  {
    rule: "roomId",
    rejects: (version) =>
      decide(scene(version), message(carol), overlay(scene(version).lookup, "m.room.create", otherCreate(version))),
    spares: on(message(carol)),
  },
  {
    rule: "authEvents.duplicate",
    rejects: authEvents((room) => ({ keys: [...usualKeys(room), carolKey] })),
    spares: authEvents((room) => ({ keys: usualKeys(room) })),
  },
  {
    rule: "authEvents.unexpected",
    rejects: authEvents((room) => ({ keys: [...usualKeys(room), ["m.room.member", bob]] })),
    spares: authEvents((room) => ({ keys: usualKeys(room) })),
  },
  {
    rule: "authEvents.rejected",
    rejects: authEvents((room) => ({ keys: usualKeys(room), rejected: "m.room.power_levels" })),
    spares: authEvents((room) => ({ keys: usualKeys(room), rejected: "m.room.topic" })),
  },
  {
    rule: "authEvents.noCreate",
    rejects: authEvents(() => ({ keys: [powerLevelsKey, carolKey] })),
    spares: authEvents(() => ({ keys: [createKey] })),
  },
  { rule: "authEvents.otherRoom", rejects: fromOtherRoom, spares: authEvents((room) => ({ keys: usualKeys(room) })) },
];

function otherCreate(version: string) {
  return RoomBuilder.empty({ version, creator: zoe }).create;
}

function fromOtherRoom(version: string): AuthDecision | null {
  const room = scene(version);
  const other = RoomBuilder.open({ version, creator: zoe });
  other.join(carol);
  const keys = usualKeys(room);
  const named = keys.map(([type, stateKey]) => (type === "m.room.member" ? other : room).lookup(type, stateKey));
  const found = named.filter((event) => event !== null).map((event) => ({ event, isRejected: false }));
  return decideIndependent(room, room.make(message(carol)), found);
}

// --- the room as a whole

const roomRules: RuleCases[] = [
  {
    rule: "federate",
    rejects: on(message(zoe), { create: { "m.federate": false } }),
    spares: on(message(carol), { create: { "m.federate": false } }),
  },
  {
    rule: "aliases.noStateKey",
    rejects: on({ sender: carol, type: "m.room.aliases" }),
    spares: on({ sender: carol, type: "m.room.aliases", stateKey: "" }),
  },
  {
    rule: "aliases.otherDomain",
    rejects: on({ sender: carol, type: "m.room.aliases", stateKey: "elsewhere.org" }),
    spares: on({ sender: carol, type: "m.room.aliases", stateKey: "example.org" }),
  },
  {
    rule: "aliases.allow",
    allows: on({ sender: nobody, type: "m.room.aliases", stateKey: "example.org" }),
    spares: on({ sender: nobody, type: "m.room.topic", stateKey: "example.org" }),
  },
  { rule: "senderNotJoined", rejects: on(message(erin)), spares: on(message(carol)) },
  {
    rule: "thirdPartyInvite",
    allows: on({ sender: bob, type: "m.room.third_party_invite", stateKey: "t" }, { levels: { invite: 50 } }),
    rejects: on({ sender: carol, type: "m.room.third_party_invite", stateKey: "t" }, { levels: { invite: 50 } }),
    spares: on({ sender: bob, type: "m.room.topic", stateKey: "" }, { levels: { invite: 50 } }),
  },
  {
    rule: "requiredLevel",
    rejects: on({ sender: carol, type: "m.room.topic", stateKey: "" }),
    spares: on({ sender: bob, type: "m.room.topic", stateKey: "" }),
  },
  {
    rule: "stateKey",
    rejects: on({ sender: bob, type: "org.example.note", stateKey: carol }),
    spares: on({ sender: bob, type: "org.example.note", stateKey: bob }),
  },
  {
    rule: "redaction.level",
    allows: on({ sender: bob, type: "m.room.redaction", content: {} }),
    spares: on({ sender: bob, type: "m.room.message", content: {} }),
  },
  {
    rule: "redaction.sameDomain",
    allows: (version) => redactOf(version, carol, "$x:example.org"),
    spares: (version) => redactOf(version, carol, "$x:elsewhere.org"),
  },
  {
    rule: "redaction.otherwise",
    rejects: (version) => redactOf(version, carol, "$x:elsewhere.org"),
    spares: (version) => redactOf(version, bob, "$x:elsewhere.org"),
  },
  { rule: "otherwise", allows: on(message(carol)), spares: on(message(nobody)) },
];

function redactOf(version: string, sender: UserId, redacts: string): AuthDecision | null {
  const room = scene(version);
  const target = room.message(alice, "x");
  const event = room.make({ sender, type: "m.room.redaction", redacts: target.eventId });
  return decide(room, eventFromPdu(withFields(event.pdu, { redacts }), room.rules));
}

// --- power levels

/** Bob, who has 50, changes power levels from `current` to `next`; both are merged into what such a room needs. */
function levels(current: JsonObject, next: JsonObject): Decide {
  return (version) => {
    const base: JsonObject = {
      events: { "m.room.power_levels": 0 },
      users: { ...(rulesOf(version).creatorsHaveInfinitePower ? {} : { [alice]: 100 }), [bob]: 50 },
    };
    const room = scene(version, { levels: merge(base, current) });
    return decide(room, { sender: bob, type: "m.room.power_levels", stateKey: "", content: merge(base, next) });
  };
}

function merge(base: JsonObject, changes: JsonObject): JsonObject {
  return withFields(
    base,
    Object.fromEntries(
      Object.entries(changes).map(([key, value]) => {
        const before = objectField(base, key);
        return [key, before !== null && isObject(value) ? withFields(before, value) : value];
      }),
    ),
  );
}

const powerLevelRules: RuleCases[] = [
  { rule: "powerLevels.levels", rejects: levels({}, { kick: "50" }), spares: levels({}, { kick: 50 }) },
  {
    rule: "powerLevels.maps",
    rejects: levels({}, { notifications: { room: null } }),
    spares: levels({}, { notifications: {} }),
  },
  {
    rule: "powerLevels.users",
    rejects: levels({}, { users: { carol: 1 } }),
    spares: levels({}, { users: { [carol]: 1 } }),
  },
  {
    rule: "powerLevels.creators",
    rejects: levels({}, { users: { [alice]: 0 } }),
    spares: levels({}, { users: { [carol]: 0 } }),
  },
  { rule: "powerLevels.first", allows: firstLevels, spares: levels({}, {}) },
  {
    rule: "powerLevels.levelCurrent",
    rejects: levels({ ban: 51 }, { ban: 50 }),
    spares: levels({ ban: 50 }, { ban: 49 }),
  },
  { rule: "powerLevels.levelNew", rejects: levels({ ban: 50 }, { ban: 51 }), spares: levels({ ban: 49 }, { ban: 50 }) },
  {
    rule: "powerLevels.entryCurrent",
    rejects: levels({ events: { x: 51 } }, {}),
    spares: levels({ events: { x: 50 } }, {}),
  },
  {
    rule: "powerLevels.entryNew",
    rejects: levels({}, { events: { x: 51 } }),
    spares: levels({}, { events: { x: 50 } }),
  },
  {
    rule: "powerLevels.userCurrent",
    rejects: levels({ users: { [carol]: 50 } }, { users: { [carol]: 49 } }),
    spares: levels({ users: { [carol]: 49 } }, { users: { [carol]: 50 } }),
  },
  {
    rule: "powerLevels.userNew",
    rejects: levels({}, { users: { [bob]: 51 } }),
    spares: levels({}, { users: { [bob]: 49 } }),
  },
  { rule: "powerLevels.allow", allows: levels({}, {}), spares: levels({}, { ban: 99 }) },
];

function firstLevels(version: string): AuthDecision | null {
  const room = RoomBuilder.empty({ version });
  room.join(alice);
  return decide(room, { sender: alice, type: "m.room.power_levels", stateKey: "", content: { users: { [bob]: 5 } } });
}

/** Every authorization rule of every room version. */
export const ruleTable: readonly RuleCases[] = [
  ...createRules,
  ...authEventRules,
  ...roomRules,
  ...memberRules,
  ...powerLevelRules,
];
