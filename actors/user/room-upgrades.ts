/**
 * What the user has set for a room goes with it when it is upgraded: "When a user joins the new room, the server should
 * automatically transfer/replicate some of the user's personalized settings such as notifications, tags, etc."
 */
import { MatrixError } from "../../shared/errors.ts";
import type { RoomId } from "../../shared/ids.ts";
import {
  field,
  isObject,
  type JsonObject,
  type JsonValue,
  objectField,
  stringField,
  withFields,
} from "../../shared/json.ts";
import { describeError } from "../../shared/log.ts";
import { pushRuleKinds } from "../../shared/matrix/push/default-rules.ts";
import { changeAccountData } from "./account-data.ts";
import type { UserContext } from "./context.ts";

/** Push rules of a user, at most: nothing is copied beyond. */
const maxPushRules = 1_000;

/**
 * Copies tags, direct chats and push rules from the room that this one replaces, if it replaces one. What the user has set
 * for the new room already stays as it is, so that a repeat does nothing.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-upgrades
 */
export async function copySettingsOfReplacedRoom(user: UserContext, roomId: RoomId): Promise<void> {
  const replaced = await user.actors.room(roomId).findReplacedRoom();
  if (replaced === null) return;
  const upgrade = { from: replaced, to: roomId };
  for (const copy of [copyTags, copyDirectChats, copyPushRules]) unlessTooLarge(user, () => copy(user, upgrade));
}

interface RoomUpgrade {
  readonly from: RoomId;
  readonly to: RoomId;
}

/** What would exceed the user's limits is left out; the rest is copied all the same. */
function unlessTooLarge(user: UserContext, copy: () => void): void {
  try {
    copy();
  } catch (thrown) {
    if (!(thrown instanceof MatrixError) || thrown.errcode !== "M_TOO_LARGE") throw thrown;
    user.log.warn("settings of an upgraded room not copied", { user_id: user.userId, error: describeError(thrown) });
  }
}

/** A room of which the user has ever changed the tags keeps them, also if they are all removed again. */
function copyTags(user: UserContext, { from, to }: RoomUpgrade): void {
  changeAccountData(user, to, "m.tag", (stored) => {
    const tags = objectField(stored.find(from, "m.tag") ?? {}, "tags") ?? {};
    if (Object.keys(tags).length === 0 || stored.find(to, "m.tag") !== null) return null;
    return { tags };
  });
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#mdirect */
function copyDirectChats(user: UserContext, { from, to }: RoomUpgrade): void {
  changeAccountData(user, "", "m.direct", (stored) => {
    const direct = stored.find("", "m.direct") ?? {};
    const changed: Record<string, JsonValue> = {};
    for (const [userId, rooms] of Object.entries(direct)) {
      if (!Array.isArray(rooms) || !rooms.includes(from) || rooms.includes(to)) continue;
      Object.defineProperty(changed, userId, { value: [...rooms, to], enumerable: true });
    }
    return Object.keys(changed).length === 0 ? null : withFields(direct, changed);
  });
}

/** @see https://spec.matrix.org/v1.19/client-server-api/#push-rules */
function copyPushRules(user: UserContext, upgrade: RoomUpgrade): void {
  changeAccountData(user, "", "m.push_rules", (stored) => {
    const content = stored.find("", "m.push_rules");
    const ruleset = content === null ? null : objectField(content, "global");
    if (content === null || ruleset === null) return null;
    const changed = withCopiedRules(ruleset, upgrade);
    return changed === null ? null : withFields(content, { global: changed });
  });
}

/** A ruleset in which every rule about the one room is followed by the same rule about the other; null: there is none. */
function withCopiedRules(ruleset: JsonObject, upgrade: RoomUpgrade): JsonObject | null {
  const all = pushRuleKinds.flatMap((kind) => rulesOf(ruleset, kind));
  let allowance = maxPushRules - all.filter((rule) => field(rule, "default") !== true).length;
  let changed: JsonObject | null = null;
  for (const kind of pushRuleKinds) {
    const rules = rulesOf(ruleset, kind);
    const taken = new Set(rules.map((rule) => stringField(rule, "rule_id")));
    const next = rules.flatMap((rule) => {
      const copy = copyOf(kind, rule, upgrade);
      const ruleId = copy === null ? null : stringField(copy, "rule_id");
      if (copy === null || taken.has(ruleId) || allowance <= 0) return [rule];
      taken.add(ruleId);
      allowance -= 1;
      return [rule, copy];
    });
    if (next.length > rules.length) changed = withFields(changed ?? ruleset, { [kind]: next });
  }
  return changed;
}

function rulesOf(ruleset: JsonObject, kind: string): JsonObject[] {
  const rules = field(ruleset, kind);
  return Array.isArray(rules) ? rules.filter(isObject) : [];
}

/** The same rule about the new room; null: the rule is not about the old one. The server's own rules never are. */
function copyOf(kind: string, rule: JsonObject, { from, to }: RoomUpgrade): JsonObject | null {
  const ruleId = stringField(rule, "rule_id");
  if (ruleId === null || field(rule, "default") === true) return null;
  if (kind === "room") return ruleId === from ? withFields(rule, { rule_id: to }) : null;
  const conditions = field(rule, "conditions");
  if (!Array.isArray(conditions) || !conditions.some((condition) => namesRoom(condition, from))) return null;
  const copied = conditions.map((condition) => (namesRoom(condition, from) ? renamed(condition, to) : condition));
  // Clients name such a rule after the room. Another name is made unique, and the same at each repeat.
  const newId = ruleId.includes(from) ? ruleId.replaceAll(from, () => to) : `${ruleId}.${to}`;
  return withFields(rule, { rule_id: newId, conditions: copied });
}

function namesRoom(condition: JsonValue, roomId: RoomId): condition is JsonObject {
  if (!isObject(condition) || stringField(condition, "key") !== "room_id") return false;
  return field(condition, nameOfValue(condition)) === roomId;
}

function renamed(condition: JsonObject, roomId: RoomId): JsonObject {
  return withFields(condition, { [nameOfValue(condition)]: roomId });
}

/** `event_match` has a pattern, `event_property_is` a value. */
function nameOfValue(condition: JsonObject): "pattern" | "value" {
  return stringField(condition, "kind") === "event_match" ? "pattern" : "value";
}
