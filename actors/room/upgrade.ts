/**
 * Room upgrades: a replacement room of another version, to which the old one points.
 *
 * An upgrade touches several actors, any of which may fail or die on the way. So it is stored before it begins, with the
 * replacement's create event and thereby its id, and gone on with by the alarm until it is done. Its steps, each safe to
 * repeat:
 *
 *   create   the replacement, which nobody can find yet; ends with the old room's tombstone
 *   move     aliases, the place in the directory, the canonical alias
 *   levels   whoever upgrades gives back the power that it took
 *   close    the old room
 *   done     kept, so that a repeated request has the same answer
 *   abandon  in place of the tombstone, where something is refused: the requester leaves what was made
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
import { errors, MatrixError } from "../../shared/errors.ts";
import { parseRoomAlias, type RoomAlias, type RoomId, type UserId } from "../../shared/ids.ts";
import { field, type JsonObject, type JsonValue, withFields } from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { numberValue } from "../../shared/matrix/exact-numbers.ts";
import { type RoomVersionRules, rulesFor, supportedRoomVersions } from "../../shared/matrix/room-version.ts";
import { makeCreateEvent, maxInitialState } from "../../shared/room-creation.ts";
import type { UpgradeRoomInput } from "../../shared/rpc/room.ts";
import type { SigningKey } from "../../shared/rpc/server.ts";
import { admitLocalEvent, stateEvent } from "./admit.ts";
import { commit } from "./commit.ts";
import type { RoomContext } from "./context.ts";
import { projectDirectoryLater } from "./directory.ts";
import { tombstoneOf } from "./predecessor.ts";
import { currentPowerLevels } from "./redactions.ts";
import { fetchSigningKey } from "./signing.ts";
import { findCurrentState } from "./state.ts";
import type { RoomRead, RoomTransaction } from "./store/index.ts";
import { type Upgrade, type UpgradeStep, UpgradeStore } from "./store/upgrades.ts";
import { closedPowerLevels, transferredPowerLevels } from "./upgrade-power.ts";
import { type TransferredState, transferredCreation, transferredState } from "./upgrade-state.ts";

/** Room for power levels and what the new room sets by itself. */
const maxInFirstGo = maxInitialState - 10;
/** When the alarm goes on with an upgrade that was interrupted; twice as long each time, up to an hour. */
const retryAfterMs = 10_000;
const maxRetryAfterMs = 3_600_000;
/** Attempts to make the replacement; then the upgrade is given up. What comes after the tombstone is never given up. */
const maxAttempts = 10;

/**
 * `POST /rooms/{roomId}/upgrade`. A repeat by the same user has the same answer, for as long as the tombstone stands.
 *
 * Answers once the tombstone is stored; what is left to do then and fails is repeated by the alarm.
 *
 * @throws MatrixError M_UNSUPPORTED_ROOM_VERSION; M_FORBIDDEN for who may not send a tombstone, also where there is no room;
 *   M_INVALID_PARAM for additional creators that are not user ids; M_UNKNOWN while another upgrade is under way
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidupgrade
 */
export async function upgradeRoom(room: RoomContext, input: UpgradeRoomInput): Promise<{ roomId: RoomId }> {
  const isSupported = supportedRoomVersions.some((version) => version === input.newVersion);
  const rules = isSupported ? rulesFor(input.newVersion) : null;
  if (rules === null) throw errors.unsupportedRoomVersion("This server does not support that room version");
  assertMayUpgrade(room.store, input.requester);
  const key = await fetchSigningKey(room);
  const { roomId } = await commit(room, (tx) => beginUpgrade(room, tx, { input, rules, key }));
  await runUpgrade(room);
  return { roomId };
}

/** Goes on with an upgrade that was interrupted, when it is time. Never throws. */
export async function continueUpgrade(room: RoomContext): Promise<void> {
  const upgrade = new UpgradeStore(room.sql).find();
  if (upgrade === null || upgrade.step === "done") return;
  if (upgrade.retryTs > room.clock.now()) {
    room.alarm.ensure(upgrade.retryTs);
    return;
  }
  try {
    await runUpgrade(room);
  } catch (thrown) {
    room.log.warn("room not upgraded", { room_id: room.roomId, error: describeError(thrown) });
  }
}

/** "1. Checks that the user has permission to send m.room.tombstone events in the room." @throws MatrixError M_FORBIDDEN */
function assertMayUpgrade(store: RoomRead, requester: UserId): void {
  if (!store.memberships.isJoined(requester)) throw errors.forbidden(`${requester} is not in the room`);
  const levels = currentPowerLevels(store);
  if (levels.ofUser(requester) < levels.toSend("m.room.tombstone", true)) {
    throw errors.forbidden(`${requester} may not upgrade the room`);
  }
}

/** Stores what is wanted, or finds it stored. @throws MatrixError M_UNKNOWN, M_FORBIDDEN, M_INVALID_PARAM */
function beginUpgrade(
  room: RoomContext,
  tx: RoomTransaction,
  { input, rules, key }: { input: UpgradeRoomInput; rules: RoomVersionRules; key: SigningKey },
): { roomId: RoomId } {
  const { requester, newVersion, additionalCreators } = input;
  assertMayUpgrade(tx, requester);
  const upgrades = new UpgradeStore(room.sql);
  const same = upgrades.findOf(input);
  if (same !== null && (same.step === "create" || tombstoneOf(room) === same.roomId)) return same;
  const other = upgrades.find();
  if (other !== null && other.step !== "done") throw errors.unknown("Another upgrade of the room is under way");
  const now = room.clock.now();
  const createdTs = other === null ? null : numberValue(field(other.createEvent, "origin_server_ts"));
  const creationContent = transferredCreation(room, input, rules);
  const { createEvent, roomId } = makeCreateEvent(
    { creator: requester, roomVersion: newVersion, creationContent, preset: "private_chat", invite: [] },
    // From room version 12 on, what is alike in all is the same room.
    { key, now: Math.max(now, (createdTs ?? 0) + 1), random: room.random },
  );
  const levels = transferredPowerLevels(tx, { requester, rules, additionalCreators });
  const retryTs = now + retryAfterMs;
  upgrades.insert({ requester, newVersion, additionalCreators, roomId, createEvent, levels, retryTs });
  room.alarm.ensure(retryTs);
  return { roomId };
}

/** Goes on with the stored upgrade; one run at a time. @throws what keeps the replacement from being made */
function runUpgrade(room: RoomContext): Promise<void> {
  const upgrade = new UpgradeStore(room.sql).find();
  if (upgrade === null || upgrade.step === "done") return Promise.resolve();
  const { upgrades } = room.memory;
  const underWay = upgrades.get(upgrade.roomId);
  if (underWay !== undefined) return underWay;
  const run = attempt(room, upgrade).finally(() => upgrades.delete(upgrade.roomId));
  upgrades.set(upgrade.roomId, run);
  return run;
}

async function attempt(room: RoomContext, upgrade: Upgrade): Promise<void> {
  const waitMs = Math.min(retryAfterMs * 2 ** upgrade.attempts, maxRetryAfterMs);
  const retryTs = room.clock.now() + waitMs;
  room.store.transaction(() => new UpgradeStore(room.sql).countAttempt(retryTs));
  room.alarm.ensure(retryTs);
  if (upgrade.step === "create") await createOrAbandon(room, upgrade);
  await finishOrLater(room);
}

async function createOrAbandon(room: RoomContext, upgrade: Upgrade): Promise<void> {
  try {
    await createReplacement(room, upgrade);
  } catch (thrown) {
    const isRefused = thrown instanceof MatrixError && thrown.status < 500 && thrown.status !== 429;
    if (isRefused || upgrade.attempts + 1 >= maxAttempts) {
      setStep(room, "create", "abandon");
      await finishOrLater(room);
    }
    throw thrown;
  }
}

/** Never throws: nobody has to know of what the alarm will repeat. */
async function finishOrLater(room: RoomContext): Promise<void> {
  try {
    await finish(room);
  } catch (thrown) {
    room.log.warn("room upgrade not finished", { room_id: room.roomId, error: describeError(thrown) });
  }
}

/** Everything from the tombstone on, or from where something was refused. */
async function finish(room: RoomContext): Promise<void> {
  for (;;) {
    const upgrade = new UpgradeStore(room.sql).find();
    switch (upgrade?.step) {
      case "move":
        await move(room, upgrade);
        setStep(room, "move", "levels");
        break;
      case "levels":
        await giveBackLevels(room, upgrade);
        setStep(room, "levels", "close");
        break;
      case "close":
        await closeRoom(room, upgrade.requester);
        break;
      case "abandon":
        await abandon(room, upgrade);
        break;
      default:
        return;
    }
  }
}

function setStep(room: RoomContext, from: UpgradeStep, to: UpgradeStep): void {
  room.store.transaction(() => {
    const upgrades = new UpgradeStore(room.sql);
    if (upgrades.find()?.step === from) upgrades.setStep(to);
  });
}

/** Sends a state event into the replacement, in the name of who upgrades. */
async function sendTo(room: RoomContext, { roomId, requester }: Upgrade, state: TransferredState): Promise<void> {
  const request = { sender: requester, deviceId: null, txnId: null, redacts: null };
  await room.actors.room(roomId).sendEvent({ ...request, ...state });
}

function powerLevels(content: JsonObject): TransferredState {
  return { type: "m.room.power_levels", stateKey: "", content };
}

/** "2. Creates a replacement room", "3. Replicates transferable state events", and points to it. */
async function createReplacement(room: RoomContext, upgrade: Upgrade): Promise<void> {
  const { requester, roomId, createEvent, levels } = upgrade;
  const state = transferredState(room);
  const first = [...(levels === null ? [] : [powerLevels(levels.atFirst)]), ...state.slice(0, maxInFirstGo)];
  await room.actors.room(roomId).createRoom({
    creator: requester,
    createEvent,
    roomVersion: upgrade.newVersion,
    preset: "private_chat",
    // It is listed once the old room points to it: until then it may be given up.
    visibility: "private",
    alias: null,
    name: null,
    topic: null,
    invite: [],
    isDirect: false,
    initialState: first,
    powerLevelContentOverride: null,
  });
  // An earlier attempt may have made the room with less than there is now. What is there already changes nothing.
  const rest = state.filter(
    ({ stateKey }, index) => index >= maxInFirstGo || (upgrade.attempts > 0 && stateKey !== ""),
  );
  for (const event of rest) await sendTo(room, upgrade, event);
  // "5. Sends a m.room.tombstone event to the old room"
  const content = { body: "This room has been replaced", replacement_room: roomId };
  const key = await fetchSigningKey(room);
  await commit(room, (tx) => {
    const upgrades = new UpgradeStore(room.sql);
    if (upgrades.find()?.step !== "create") return;
    admitLocalEvent(room, tx, key, stateEvent(requester, "m.room.tombstone", "", content));
    upgrades.setStep("move");
  });
}

/** "4. Moves any local aliases to the new room", and its place in the directory. */
async function move(room: RoomContext, upgrade: Upgrade): Promise<void> {
  const { requester, roomId } = upgrade;
  const moved = await room.actors.server(room.config.serverName).moveAliases({ from: room.roomId, to: roomId });
  if (room.store.room.get().isPublished) {
    await unlessForbidden(room, () => room.actors.room(roomId).setDirectoryVisibility(requester, "public"));
  }
  await moveCanonicalAlias(room, upgrade, moved);
}

/** The canonical alias goes with the aliases; the old room keeps those of other servers. */
async function moveCanonicalAlias(room: RoomContext, upgrade: Upgrade, moved: readonly RoomAlias[]): Promise<void> {
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
  await unlessForbidden(room, () => sendTo(room, upgrade, { type, stateKey: "", content: goes }));
  const stays = pick((value) => value !== undefined && !isMoved(value));
  const key = await fetchSigningKey(room);
  const event = stateEvent(upgrade.requester, type, "", stays);
  await unlessForbidden(room, () => commit(room, (tx) => admitLocalEvent(room, tx, key, event)));
}

/** From now on whoever upgrades has in the new room what they had in the old one. */
async function giveBackLevels(room: RoomContext, upgrade: Upgrade): Promise<void> {
  const atLast = upgrade.levels?.atLast ?? null;
  if (atLast !== null) await unlessForbidden(room, () => sendTo(room, upgrade, powerLevels(atLast)));
}

/**
 * "6. If possible, the power levels in the old room should also be modified to prevent sending of events and inviting new
 * users", and it leaves the directory.
 */
async function closeRoom(room: RoomContext, requester: UserId): Promise<void> {
  const key = await fetchSigningKey(room);
  await unlessForbidden(room, () =>
    commit(room, (tx) => {
      const content = closedPowerLevels(tx);
      if (content !== null) admitLocalEvent(room, tx, key, stateEvent(requester, "m.room.power_levels", "", content));
    }),
  );
  await commit(room, (tx) => {
    new UpgradeStore(room.sql).setStep("done");
    if (!tx.room.get().isPublished) return;
    tx.room.setPublished(false);
    tx.room.oweDirectory(tx.room.takePosition());
    projectDirectoryLater(room);
  });
}

/** The requester leaves what was made of the replacement; nobody else knows of it. */
async function abandon(room: RoomContext, { requester, roomId }: Upgrade): Promise<void> {
  const own = { action: "leave", requester, target: requester } as const;
  const leave = { ...own, reason: null, content: {} };
  // Forbidden: it was never made.
  await unlessForbidden(room, () => room.actors.room(roomId).changeMembership(leave));
  room.store.transaction(() => new UpgradeStore(room.sql).delete());
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
