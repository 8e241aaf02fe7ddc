/** Power levels in a room upgrade: those of the new room, and those that close the old one. */
import type { UserId } from "../../shared/ids.ts";
import {
  define,
  field,
  isObject,
  type JsonObject,
  type JsonValue,
  objectField,
  withFields,
} from "../../shared/json.ts";
import { creatorsOf } from "../../shared/matrix/content/create.ts";
import type { RoomVersionRules } from "../../shared/matrix/room-version.ts";
import { findCurrentState } from "./state.ts";
import type { RoomRead } from "./store/index.ts";
import type { TransferredLevels } from "./store/upgrades.ts";

/** Where power levels name none. @see https://spec.matrix.org/v1.19/client-server-api/#mroompower_levels */
const defaultStateLevel = 50;
const defaultBanLevel = 50;
/** A creator's level in room versions in which creators are users like others. */
const creatorLevel = 100;

/**
 * The old room's power levels as the new room's version has them. Whoever upgrades has enough at first to set everything
 * that is transferred, and in the end what they had. Null: the old room has none.
 */
export function transferredPowerLevels(
  store: RoomRead,
  input: { requester: UserId; rules: RoomVersionRules; additionalCreators: readonly UserId[] },
): TransferredLevels | null {
  const { requester, rules, additionalCreators } = input;
  const old = findCurrentState(store, "m.room.power_levels", "")?.event.content;
  if (old === undefined) return null;
  const content = inIntegers(old);
  const users = objectField(content, "users") ?? {};
  if (rules.creatorsHaveInfinitePower) {
    // They stand above all levels and may not be listed.
    const without = Object.fromEntries([requester, ...additionalCreators].map((creator) => [creator, undefined]));
    return { atFirst: withFields(content, { users: withFields(users, without) }), atLast: null };
  }
  const needed = levelToTransfer(content);
  const raised = withFields(content, { users: withFields(users, { [requester]: needed }) });
  const create = findCurrentState(store, "m.room.create", "");
  const oldRules = store.room.rules();
  const wasAbove =
    create !== null && oldRules.creatorsHaveInfinitePower && creatorsOf(create.event, oldRules).has(requester);
  // Who stood above all levels keeps the highest there is.
  if (wasAbove) return { atFirst: raised, atLast: null };
  const level = levelOf(users, requester) ?? levelOf(content, "users_default") ?? 0;
  return level >= needed ? { atFirst: content, atLast: null } : { atFirst: raised, atLast: content };
}

/** The level with which everything can be sent into the new room. */
function levelToTransfer(content: JsonObject): number {
  const events = objectField(content, "events") ?? {};
  return Math.max(
    creatorLevel,
    levelOf(content, "state_default") ?? defaultStateLevel,
    levelOf(content, "ban") ?? defaultBanLevel,
    ...Object.keys(events).map((type) => levelOf(events, type) ?? 0),
    ...Object.values(objectField(content, "users") ?? {}).filter((level) => typeof level === "number"),
  );
}

/**
 * The power levels that keep ordinary users from writing and inviting: "setting events_default and invite to the greater
 * of 50 and users_default + 1". Null: they do so already, or there are none.
 */
export function closedPowerLevels(store: RoomRead): JsonObject | null {
  const old = findCurrentState(store, "m.room.power_levels", "")?.event.content;
  if (old === undefined) return null;
  const content = inIntegers(old);
  const least = Math.max(50, (levelOf(content, "users_default") ?? 0) + 1);
  const tooLow = ["events_default", "invite"].filter((name) => (levelOf(content, name) ?? 0) < least);
  return tooLow.length === 0 ? null : withFields(content, Object.fromEntries(tooLow.map((name) => [name, least])));
}

function levelOf(levels: JsonObject, name: string): number | null {
  const level = field(levels, name);
  return typeof level === "number" ? level : null;
}

/** "must never populate the default power levels in a room as string values": what older versions let pass, as integers. */
function inIntegers(content: JsonObject): JsonObject {
  const copy: JsonObject = {};
  for (const [key, value] of Object.entries(content)) {
    const fixed = isObject(value) ? inIntegers(value) : integerOf(value);
    if (fixed !== null) define(copy, key, fixed);
  }
  return copy;
}

function integerOf(value: JsonValue): JsonValue | null {
  if (typeof value === "number") return Math.trunc(value);
  if (typeof value !== "string") return value;
  return /^\s*[+-]?[0-9]{1,15}\s*$/.test(value) ? Number(value) : null;
}
