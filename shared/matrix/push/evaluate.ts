/**
 * Push rules: which rule of a user an event matches first, and what it asks for. Used for unread counts and for pushes.
 *
 * Compile a user's ruleset once, evaluate it for many events.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
import { field, isObject, type JsonObject, type JsonValue, objectField, stringField, withFields } from "../../json.ts";
import type { MatrixEvent } from "../event.ts";
import { bodyMatches, type Condition, compileCondition, type PushContext, PushEvent } from "./conditions.ts";
import { type PushRuleKind, pushRuleKinds } from "./default-rules.ts";

/** What the matching rule asks for. */
export interface PushActions {
  /** The rule that matched; null when none did. */
  readonly ruleId: string | null;
  readonly notify: boolean;
  /** Only together with `notify`. */
  readonly highlight: boolean;
  /** The sound to play; null for none. */
  readonly sound: string | null;
  /** All tweaks, as the push gateway gets them. */
  readonly tweaks: JsonObject;
}

/** A rule ready to be asked. */
interface CompiledRule {
  readonly ruleId: string;
  readonly conditions: readonly Condition[];
  readonly actions: PushActions;
}

/** A ruleset ready to be asked: enabled rules only, most important first. */
export type CompiledPushRules = readonly CompiledRule[];

const noActions: PushActions = { ruleId: null, notify: false, highlight: false, sound: null, tweaks: {} };

/**
 * Compiles the content of a user's `m.push_rules`: `{ global: { override, content, room, sender, underride } }`. Rules that
 * are disabled or malformed never match and are left out.
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#push-rules-events
 */
export function compilePushRules(pushRules: JsonObject): CompiledPushRules {
  const global = objectField(pushRules, "global") ?? {};
  return pushRuleKinds.flatMap((kind) => {
    const rules = field(global, kind);
    return (Array.isArray(rules) ? rules : [])
      .map((rule) => (isObject(rule) ? compileRule(kind, rule) : null))
      .filter((rule) => rule !== null);
  });
}

function compileRule(kind: PushRuleKind, rule: JsonObject): CompiledRule | null {
  const ruleId = stringField(rule, "rule_id");
  const conditions = ruleId === null ? null : conditionsOf(kind, ruleId, rule);
  if (ruleId === null || conditions === null || field(rule, "enabled") === false) return null;
  return { ruleId, conditions, actions: actionsOf(ruleId, field(rule, "actions")) };
}

/** "room, sender and content rules do not have conditions in the same way, but instead have predefined conditions." */
function conditionsOf(kind: PushRuleKind, ruleId: string, rule: JsonObject): Condition[] | null {
  switch (kind) {
    case "room":
      return [(event) => event.roomId === ruleId];
    case "sender":
      return [(event) => event.sender === ruleId];
    case "content": {
      const pattern = stringField(rule, "pattern");
      return pattern === null ? null : [bodyMatches(pattern)];
    }
    case "override":
    case "underride": {
      const conditions = field(rule, "conditions") ?? [];
      if (!Array.isArray(conditions) || !conditions.every(isObject)) return null;
      return conditions.map(compileCondition);
    }
  }
}

/** Reads a rule's actions. The historical `dont_notify` and `coalesce`, and unknown ones, are passed over. */
function actionsOf(ruleId: string, actions: JsonValue | undefined): PushActions {
  const list = Array.isArray(actions) ? actions : [];
  let tweaks: JsonObject = {};
  for (const action of list) {
    const name = isObject(action) ? stringField(action, "set_tweak") : null;
    if (!isObject(action) || name === null) continue;
    // "If a highlight tweak is given with no value, its value is defined to be true."
    tweaks = withFields(tweaks, { [name]: field(action, "value") ?? (name === "highlight" ? true : undefined) });
  }
  const notify = list.includes("notify");
  return {
    ruleId,
    notify,
    highlight: notify && field(tweaks, "highlight") === true,
    sound: stringField(tweaks, "sound"),
    tweaks,
  };
}

/**
 * Finds what a user's rules ask for when an event arrives: the actions of the first rule that matches. For the user's own
 * events always nothing: "Homeservers MUST NOT notify the Push Gateway for events that the user has sent themselves."
 *
 * @see https://spec.matrix.org/v1.19/client-server-api/#push-rules
 */
export function evaluatePushRules(event: MatrixEvent, rules: CompiledPushRules, context: PushContext): PushActions {
  if (event.sender === context.userId) return noActions;
  const pushEvent = new PushEvent(event);
  const match = rules.find((rule) => rule.conditions.every((condition) => condition(pushEvent, context)));
  return match?.actions ?? noActions;
}
