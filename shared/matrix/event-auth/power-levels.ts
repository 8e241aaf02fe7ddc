import { field, isObject, type JsonObject, objectField } from "../../json.ts";
import { creatorsOf } from "../content/create.ts";
import { isLevelMap, isUserLevelMap, type LevelMapName, levelNames, parseLevel } from "../content/power-levels.ts";
import type { RoomVersionRules } from "../room-version.ts";
import { type AuthContext, type AuthDecision, allow, reject } from "./decision.ts";

/**
 * The rules for `m.room.power_levels`: what it may say, and which changes its sender has the power for.
 * @see https://spec.matrix.org/v1.19/rooms/v12/#authorisation-rules
 */
export function authorizePowerLevels(context: AuthContext): AuthDecision {
  const { event, rules, state } = context;
  const malformed = checkContent(context);
  if (malformed !== null) return malformed;
  // "If there is no previous m.room.power_levels event in the room, allow."
  const current = state("m.room.power_levels", "");
  if (current === null) return allow("powerLevels.first", rules);
  return (
    checkLevels(context, current.content) ??
    checkEntries(context, current.content) ??
    checkUsers(context, current.content, event.content) ??
    allow("powerLevels.allow", rules)
  );
}

function checkContent({ event, rules, create }: AuthContext): AuthDecision | null {
  const { content } = event;
  if (rules.powerLevelValues === "integer") {
    // "If any of the properties users_default, … are present and not an integer, reject."
    const wrong = levelNames.find((name) => Object.hasOwn(content, name) && parseLevel(content[name], rules) === null);
    if (wrong !== undefined) return reject("powerLevels.levels", rules, `${wrong} is not an integer`);
    // "If either of the properties events or notifications in content are present and not an object with values that are
    // integers, reject."
    if (!isLevelMap(field(content, "events"), rules) || !isLevelMap(field(content, "notifications"), rules)) {
      return reject("powerLevels.maps", rules, "events or notifications holds something other than integers");
    }
  }
  // "If the users property in content is not an object with keys that are valid user IDs with values that are integers
  // (or a string that is an integer), reject."
  if (!isUserLevelMap(field(content, "users"), rules)) {
    return reject("powerLevels.users", rules, "users holds something other than levels of users");
  }
  // From version 12: "If the users property in content contains the sender of the m.room.create event or any of the
  // additional_creators array, reject."
  if (!rules.creatorsHaveInfinitePower) return null;
  const users = objectField(content, "users") ?? {};
  const creator = [...creatorsOf(create, rules)].find((user) => Object.hasOwn(users, user));
  return creator === undefined
    ? null
    : reject("powerLevels.creators", rules, `${creator} is a creator and has no level`);
}

/** A level before and after; null where it is not given. */
interface Change {
  readonly current: number | null;
  readonly next: number | null;
}

function changeOf(current: JsonObject, next: JsonObject, key: string, rules: RoomVersionRules): Change | null {
  const change = { current: parseLevel(field(current, key), rules), next: parseLevel(field(next, key), rules) };
  return change.current === change.next ? null : change;
}

/** "For the properties users_default, … check if they were added, changed or removed." */
function checkLevels({ event, rules, levels }: AuthContext, current: JsonObject): AuthDecision | null {
  const senderLevel = levels.ofUser(event.sender);
  for (const name of levelNames) {
    const change = changeOf(current, event.content, name, rules);
    if (change === null) continue;
    // "If the current value is higher than the sender's current power level, reject."
    if (change.current !== null && change.current > senderLevel) {
      return reject("powerLevels.levelCurrent", rules, `${event.sender} may not change ${name}`);
    }
    // "If the new value is higher than the sender's current power level, reject."
    if (change.next !== null && change.next > senderLevel) {
      return reject("powerLevels.levelNew", rules, `${event.sender} may not set ${name} to ${change.next}`);
    }
  }
  return null;
}

/** "For each entry being changed in, or removed from, the events or notifications properties … added to, or changed in …" */
function checkEntries({ event, rules, levels }: AuthContext, current: JsonObject): AuthDecision | null {
  const senderLevel = levels.ofUser(event.sender);
  const maps: LevelMapName[] = rules.limitsNotificationLevels ? ["events", "notifications"] : ["events"];
  const changes = maps.flatMap((map) => changedEntries(current, event.content, map, rules));
  for (const [key, change] of changes) {
    if (change.current !== null && change.current > senderLevel) {
      return reject("powerLevels.entryCurrent", rules, `${event.sender} may not change the level of ${key}`);
    }
  }
  for (const [key, change] of changes) {
    if (change.next !== null && change.next > senderLevel) {
      return reject("powerLevels.entryNew", rules, `${event.sender} may not set the level of ${key} to ${change.next}`);
    }
  }
  return null;
}

function checkUsers({ event, rules, levels }: AuthContext, current: JsonObject, next: JsonObject): AuthDecision | null {
  const senderLevel = levels.ofUser(event.sender);
  const changes = changedEntries(current, next, "users", rules);
  // "For each entry being changed in, or removed from, the users property, other than the sender's own entry: If the
  // current value is greater than or equal to the sender's current power level, reject."
  for (const [user, change] of changes) {
    if (user !== event.sender && change.current !== null && change.current >= senderLevel) {
      return reject("powerLevels.userCurrent", rules, `${event.sender} may not change the level of ${user}`);
    }
  }
  // "For each entry being added to, or changed in, the users property: If the new value is greater than the sender's
  // current power level, reject."
  for (const [user, change] of changes) {
    if (change.next !== null && change.next > senderLevel) {
      return reject("powerLevels.userNew", rules, `${event.sender} may not give ${user} the level ${change.next}`);
    }
  }
  return null;
}

function changedEntries(
  current: JsonObject,
  next: JsonObject,
  map: LevelMapName,
  rules: RoomVersionRules,
): [string, Change][] {
  const before = entriesOf(current, map);
  const after = entriesOf(next, map);
  const changes: [string, Change][] = [];
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const change = changeOf(before, after, key, rules);
    if (change !== null) changes.push([key, change]);
  }
  return changes;
}

function entriesOf(content: JsonObject, map: LevelMapName): JsonObject {
  const entries = field(content, map);
  return entries !== undefined && isObject(entries) ? entries : {};
}
