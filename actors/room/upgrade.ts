/**
 * Room upgrades: a replacement room of another version, to which the old one points.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
import { errors, MatrixError } from "../../shared/errors.ts";
import { type EventId, parseRoomAlias, type RoomAlias, type RoomId, type UserId } from "../../shared/ids.ts";
import { field, type JsonObject, type JsonValue, stringField, withFields } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { isFederated } from "../../shared/matrix/content/create.ts";
import { type RoomVersionRules, rulesFor, supportedRoomVersions } from "../../shared/matrix/room-version.ts";
import { makeCreateEvent } from "../../shared/room-creation.ts";
import type { UpgradeRoomInput } from "../../shared/rpc/room.ts";
import { admitLocalEvent, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { maxInitialState } from "./create.ts";
import { projectDirectoryLater } from "./directory.ts";
import { currentPowerLevels } from "./redactions.ts";
import { fetchSigningKey } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import { closedPowerLevels, transferredPowerLevels } from "./upgrade-power.ts";

interface InitialState {
  readonly type: string;
  readonly stateKey: string;
  readonly content: JsonObject;
}

/** "the recommended state events to transfer", but for the power levels; what stands in for those that are not set. */
const transferred: readonly [type: string, ifAbsent: JsonObject | null][] = [
  ["m.room.join_rules", { join_rule: "invite" }],
  ["m.room.history_visibility", { history_visibility: "shared" }],
  ["m.room.guest_access", { guest_access: "forbidden" }],
  ["m.room.server_acl", null],
  ["m.room.encryption", null],
  ["m.room.name", null],
  ["m.room.avatar", null],
  ["m.room.topic", null],
];

/** Bans that are transferred, at most. */
const maxBans = 10_000;
/** Room for power levels and what the new room sets by itself. */
const maxInFirstGo = maxInitialState - 10;

/**
 * `POST /rooms/{roomId}/upgrade`. A repeat while an upgrade is under way has the same answer.
 *
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION; M_FORBIDDEN for who may not send a tombstone, also where there is no room;
 *   M_INVALID_PARAM for additional creators that are not user ids
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade
 */
export async function upgradeRoom(room: RoomContext, input: UpgradeRoomInput): Promise<{ roomId: RoomId }> {
  const rules = supportedRoomVersions.some((version) => version === input.newVersion)
    ? rulesFor(input.newVersion)
    : null;
  if (rules === null) throw errors.unsupportedRoomVersion("This server does not support that room version");
  assertMayUpgrade(room, input.requester);
  const name = JSON.stringify([input.requester, input.newVersion]);
  const underWay = room.memory.upgrades.get(name);
  if (underWay !== undefined) return underWay;
  const upgrade = replaceRoom(room, input, rules).finally(() => room.memory.upgrades.delete(name));
  room.memory.upgrades.set(name, upgrade);
  return upgrade;
}

/** "1. Checks that the user has permission to send m.room.tombstone events in the room." */
function assertMayUpgrade(room: RoomContext, requester: UserId): void {
  if (!room.store.memberships.isJoined(requester)) throw errors.forbidden(`${requester} is not in the room`);
  const levels = currentPowerLevels(room.store);
  if (levels.ofUser(requester) < levels.toSend("m.room.tombstone", true)) {
    throw errors.forbidden(`${requester} may not upgrade the room`);
  }
}

async function replaceRoom(
  room: RoomContext,
  input: UpgradeRoomInput,
  rules: RoomVersionRules,
): Promise<{ roomId: RoomId }> {
  const { requester } = input;
  const key = await fetchSigningKey(room);
  const levels = transferredPowerLevels(room.store, { requester, rules, additionalCreators: input.additionalCreators });
  const state = transferredState(room);
  // "2. Creates a replacement room", "3. Replicates transferable state events to the new room."
  const roomId = await createReplacement(room, input, {
    first: [...(levels === null ? [] : [powerLevels(levels.atFirst)]), ...state.slice(0, maxInFirstGo)],
    creationContent: creationContent(room, input, rules),
  });
  const replacement = room.actors.room(roomId);
  const send = ({ type, stateKey, content }: InitialState) =>
    replacement.sendEvent({ sender: requester, deviceId: null, txnId: null, type, stateKey, content, redacts: null });
  for (const event of state.slice(maxInFirstGo)) await send(event);
  // "5. Sends a m.room.tombstone event to the old room"
  const body = "This room has been replaced";
  const tombstone = stateEvent(requester, "m.room.tombstone", "", { body, replacement_room: roomId });
  await commit(room, (tx) => admitLocalEvent(room, tx, key, tombstone));
  // "4. Moves any local aliases to the new room."
  const moved = await room.actors.server(room.config.serverName).moveAliases({ from: room.roomId, to: roomId });
  await moveCanonicalAlias(room, requester, { moved, send });
  if (levels !== null && levels.atLast !== null) await send(powerLevels(levels.atLast));
  // "6. If possible, the power levels in the old room should also be modified"
  await closeRoom(room, requester);
  return { roomId };
}

function powerLevels(content: JsonObject): InitialState {
  return { type: "m.room.power_levels", stateKey: "", content };
}

function creationContent(room: RoomContext, input: UpgradeRoomInput, rules: RoomVersionRules): JsonObject {
  const old = findCurrentState(room.store, "m.room.create", "")?.event.content ?? {};
  const last: EventId | undefined = room.store.extremities.forward(1)[0]?.eventId;
  return withFields(
    { predecessor: withFields({ room_id: room.roomId }, { event_id: last }) },
    {
      type: field(old, "type"),
      "m.federate": isFederated(old) ? undefined : false,
      additional_creators:
        rules.creatorsHaveInfinitePower && input.additionalCreators.length > 0 ? input.additionalCreators : undefined,
    },
  );
}

async function createReplacement(
  room: RoomContext,
  { requester, newVersion }: UpgradeRoomInput,
  wish: { first: InitialState[]; creationContent: JsonObject },
): Promise<RoomId> {
  const key = await fetchSigningKey(room);
  const { createEvent, roomId } = makeCreateEvent(
    {
      creator: requester,
      roomVersion: newVersion,
      creationContent: wish.creationContent,
      preset: "private_chat",
      invite: [],
    },
    { key, now: room.clock.now(), random: room.random },
  );
  await room.actors.room(roomId).createRoom({
    creator: requester,
    createEvent,
    roomVersion: newVersion,
    preset: "private_chat",
    visibility: room.store.room.get().isPublished ? "public" : "private",
    alias: null,
    name: null,
    topic: null,
    invite: [],
    isDirect: false,
    initialState: wish.first,
    powerLevelContentOverride: null,
  });
  return roomId;
}

/** What the new room begins with: settings, a space's children, and bans. Other memberships are their users' to make. */
function transferredState(room: RoomContext): InitialState[] {
  const { store } = room;
  const state: InitialState[] = [];
  for (const [type, ifAbsent] of transferred) {
    const content = findCurrentState(store, type, "")?.event.content ?? ifAbsent;
    if (content !== null) state.push({ type, stateKey: "", content });
  }
  const create = findCurrentState(store, "m.room.create", "")?.event.content ?? {};
  if (stringField(create, "type") === "m.space") {
    for (const { type, stateKey } of store.stateKeys.ofType("m.space.child")) {
      const content = findCurrentState(store, type, stateKey)?.event.content ?? {};
      // One without content was taken out of the space.
      if (Object.keys(content).length > 0) state.push({ type, stateKey, content });
    }
  }
  for (const { userId, eventNid } of store.memberships.withMembership("ban", "", maxBans)) {
    const reason = stringField(store.events.byNid(eventNid).event.content, "reason") ?? undefined;
    state.push({ type: "m.room.member", stateKey: userId, content: withFields({ membership: "ban" }, { reason }) });
  }
  return state;
}

/** The canonical alias goes with the aliases; the old room keeps those of other servers. */
async function moveCanonicalAlias(
  room: RoomContext,
  requester: UserId,
  { moved, send }: { moved: readonly RoomAlias[]; send: (event: InitialState) => Promise<unknown> },
): Promise<void> {
  const old = findCurrentState(room.store, "m.room.canonical_alias", "")?.event.content;
  if (old === undefined || moved.length === 0) return;
  const isMoved = (value: JsonValue | undefined): boolean => {
    const alias = typeof value === "string" ? parseRoomAlias(value) : null;
    return alias !== null && moved.includes(alias);
  };
  const alias = field(old, "alias");
  const others = field(old, "alt_aliases");
  const list = Array.isArray(others) ? others : [];
  const pick = (isWanted: (value: JsonValue | undefined) => boolean): JsonObject => {
    const alt = list.filter(isWanted);
    return withFields(
      {},
      { alias: isWanted(alias) ? alias : undefined, alt_aliases: alt.length > 0 ? alt : undefined },
    );
  };
  const goes = pick(isMoved);
  if (Object.keys(goes).length === 0) return;
  const type = "m.room.canonical_alias";
  await unlessForbidden(room, () => send({ type, stateKey: "", content: goes }));
  const stays = stateEvent(
    requester,
    type,
    "",
    pick((value) => value !== undefined && !isMoved(value)),
  );
  const key = await fetchSigningKey(room);
  await unlessForbidden(room, () => commit(room, (tx) => admitLocalEvent(room, tx, key, stays)));
}

/** Keeps people from writing into the old room, and takes it out of the directory. */
async function closeRoom(room: RoomContext, requester: UserId): Promise<void> {
  const key = await fetchSigningKey(room);
  await unlessForbidden(room, () =>
    commit(room, (tx) => {
      const content = closedPowerLevels(tx);
      if (content !== null) admitLocalEvent(room, tx, key, stateEvent(requester, "m.room.power_levels", "", content));
    }),
  );
  await commit(room, (tx) => {
    if (!tx.room.get().isPublished) return;
    tx.room.setPublished(false);
    tx.room.oweDirectory(tx.room.takePosition());
    projectDirectoryLater(room);
  });
}

/** What only who has more power may do is left undone. */
async function unlessForbidden(room: RoomContext, act: () => Promise<unknown>): Promise<void> {
  try {
    await act();
  } catch (thrown) {
    if (!(thrown instanceof MatrixError) || thrown.errcode !== "M_FORBIDDEN") throw thrown;
    room.log.info("upgrade left something undone", { room_id: room.roomId, reason: describeError(thrown) });
  }
}
