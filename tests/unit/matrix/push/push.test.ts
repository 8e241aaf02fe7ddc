import { describe, expect, it } from "vitest";
import type { JsonObject, JsonValue } from "../../../../shared/json.ts";
import { PowerLevels } from "../../../../shared/matrix/content/power-levels.ts";
import { compileCondition, type PushContext, PushEvent } from "../../../../shared/matrix/push/conditions.ts";
import { defaultPushRules, type PushRuleset } from "../../../../shared/matrix/push/default-rules.ts";
import { compilePushRules, evaluatePushRules } from "../../../../shared/matrix/push/evaluate.ts";
import { RoomBuilder, user } from "../../../support/room-builder.ts";
import { cpuMsOf } from "../timing.ts";
import { describeVectors, readFixture } from "../vectors.ts";

const me = user("@me:example.org");
const alice = user("@alice:example.org");
const bob = user("@bob:example.org");
const room = RoomBuilder.open({ version: "12", creator: alice });
const levels = new PowerLevels(room.lookup("m.room.power_levels", ""), room.create, room.rules);
const context: PushContext = { userId: me, displayName: "Mr. Me", memberCount: 3, levels };

function evaluate(
  content: JsonObject,
  options: {
    type?: string;
    sender?: typeof me;
    stateKey?: string;
    context?: Partial<PushContext>;
    rules?: PushRuleset;
  } = {},
) {
  const event = room.make({
    sender: options.sender ?? bob,
    type: options.type ?? "m.room.message",
    stateKey: options.stateKey ?? null,
    content,
  });
  const compiled = compilePushRules({ global: options.rules ?? defaultPushRules(me) });
  return evaluatePushRules(event, compiled, { ...context, ...options.context });
}

describe("defaultPushRules", () => {
  const forMe = (rules: JsonValue): JsonValue =>
    JSON.parse(JSON.stringify(rules).replaceAll("[the user's Matrix ID]", me));

  it("are those of the spec, in its order", () => {
    const spec = readFixture<{ override: JsonObject[]; underride: JsonObject[] }>("push-rules.json");
    expect(defaultPushRules(me)).toEqual({
      override: forMe(spec.override),
      content: [],
      room: [],
      sender: [],
      underride: forMe(spec.underride),
    });
  });

  const expectedOf = (global: JsonObject): object => JSON.parse(JSON.stringify(forMe(global)));

  describeVectors<{ global: JsonObject }>("push-rules/default-ruleset-v1.19.json", ({ global }) => {
    it("are those of the vectors", () => expect(defaultPushRules(me)).toEqual(expectedOf(global)));
  });
});

describe("evaluatePushRules", () => {
  it.each<[string, JsonObject, Parameters<typeof evaluate>[1], object]>([
    ["a message", { body: "x" }, {}, { notify: true, highlight: false, sound: null, ruleId: ".m.rule.message" }],
    ["a message in a room of two", { body: "x" }, { context: { memberCount: 2 } }, { notify: true, sound: "default" }],
    ["a notice", { body: "x", msgtype: "m.notice" }, {}, { notify: false, ruleId: ".m.rule.suppress_notices" }],
    ["an encrypted event", {}, { type: "m.room.encrypted" }, { notify: true, ruleId: ".m.rule.encrypted" }],
    ["a call", {}, { type: "m.call.invite" }, { notify: true, sound: "ring" }],
    ["a reaction", {}, { type: "m.reaction" }, { notify: false, ruleId: ".m.rule.reaction" }],
    ["an unknown event", {}, { type: "org.example.x" }, { notify: false, ruleId: null }],
    [
      "an invite for me",
      { membership: "invite" },
      { type: "m.room.member", stateKey: me },
      { notify: true, sound: "default" },
    ],
    [
      "another's invite",
      { membership: "invite" },
      { type: "m.room.member", stateKey: bob },
      { notify: false, ruleId: ".m.rule.member_event" },
    ],
    [
      "a mention of me",
      { body: "x", "m.mentions": { user_ids: [bob, me] } },
      {},
      { notify: true, highlight: true, sound: "default" },
    ],
    [
      "a mention of another",
      { body: "x", "m.mentions": { user_ids: [bob] } },
      {},
      { highlight: false, ruleId: ".m.rule.message" },
    ],
    ["my name in the body", { body: "hi Mr. Me" }, {}, { highlight: false, ruleId: ".m.rule.message" }],
    ["@room by the creator", { "m.mentions": { room: true } }, { sender: alice }, { notify: true, highlight: true }],
    [
      "@room by somebody",
      { "m.mentions": { room: true } },
      { sender: bob },
      { highlight: false, ruleId: ".m.rule.message" },
    ],
    ["a tombstone", {}, { type: "m.room.tombstone", stateKey: "" }, { notify: true, highlight: true }],
    ["a message that calls itself tombstone", {}, { type: "m.room.tombstone" }, { notify: false, ruleId: null }],
    [
      "an edit",
      { body: "x", "m.relates_to": { rel_type: "m.replace" } },
      {},
      { notify: false, ruleId: ".m.rule.suppress_edits" },
    ],
    ["my own message", { body: "x" }, { sender: me }, { notify: false, ruleId: null }],
  ])("judges %s", (_name, content, options, expected) => {
    expect(evaluate(content, options)).toMatchObject(expected);
  });

  const none: PushRuleset = { override: [], content: [], room: [], sender: [], underride: [] };
  const rule = (ruleId: string, more: JsonObject): JsonObject => ({
    rule_id: ruleId,
    default: false,
    enabled: true,
    actions: ["notify"],
    ...more,
  });

  it("asks override, content, room, sender, underride in this order", () => {
    const all: PushRuleset = {
      override: [rule("o", { conditions: [] })],
      content: [rule("c", { pattern: "cake" })],
      room: [rule(room.roomId, {})],
      sender: [rule(bob, {})],
      underride: [rule("u", {})],
    };
    const asked: (string | null)[] = [];
    for (const kind of ["override", "content", "room", "sender", "underride"] as const) {
      asked.push(evaluate({ body: "a cake" }, { rules: all }).ruleId);
      all[kind] = [];
    }
    expect(asked).toEqual(["o", "c", room.roomId, bob, "u"]);
    expect(evaluate({ body: "a cake" }, { rules: all }).ruleId).toBeNull();
  });

  it("skips disabled and malformed rules", () => {
    const rules: PushRuleset = {
      ...none,
      override: [
        rule("off", { enabled: false }),
        rule("odd", { conditions: ["x"] }),
        rule("unknown", { conditions: [{ kind: "x" }] }),
        {},
      ],
      content: [rule("no pattern", {})],
    };
    expect(evaluate({ body: "x" }, { rules }).ruleId).toBeNull();
    expect(compilePushRules({})).toEqual([]);
    expect(compilePushRules({ global: { override: "x", room: [1] } })).toEqual([]);
  });

  it("reads tweaks, and passes over actions of the past", () => {
    const actions = [
      "dont_notify",
      "coalesce",
      { set_tweak: "highlight", value: false },
      { set_tweak: "flash", value: 3 },
      5,
    ];
    expect(evaluate({}, { rules: { ...none, override: [rule("r", { actions })] } })).toMatchObject({
      notify: false,
      highlight: false,
      tweaks: { highlight: false, flash: 3 },
    });
    const silent = [{ set_tweak: "highlight" }];
    expect(evaluate({}, { rules: { ...none, override: [rule("r", { actions: silent })] } })).toMatchObject({
      notify: false,
      highlight: false,
    });
  });

  it("evaluates a user's rules for a page of events in little time", () => {
    const events = Array.from({ length: 200 }, () =>
      room.make({ sender: bob, type: "m.room.message", content: { body: "x".repeat(500) } }),
    );
    const compiled = compilePushRules({ global: defaultPushRules(me) });
    const spent = cpuMsOf(() => {
      for (const event of events) evaluatePushRules(event, compiled, context);
    });
    expect(spent).toBeLessThan(200);
  });
});

interface ConditionCase {
  kind: string;
  key: string;
  pattern?: string;
  value?: JsonValue;
  event?: { content?: JsonObject };
  match: boolean;
}

function holds(condition: JsonObject, content: JsonObject, more: Partial<PushContext> = {}): boolean {
  const event = room.make({ sender: bob, type: "m.room.message", content });
  return compileCondition(condition)(new PushEvent(event), { ...context, ...more });
}

describe("compileCondition", () => {
  const cases = readFixture<{ cases: ConditionCase[] }>("push-conditions.json").cases.filter(
    (one) => one.event?.content,
  );
  it.each(cases)("$kind $key $pattern $value of $event: $match", ({ event, match, ...condition }) => {
    expect(holds(JSON.parse(JSON.stringify(condition)), event?.content ?? {})).toBe(match);
  });

  it.each([
    ["3", true],
    ["==3", true],
    ["<3", false],
    ["<=3", true],
    [">2", true],
    [">=4", false],
    ["", false],
    ["three", false],
    ["=3", false],
    ["3.0", false],
  ])("room_member_count %s of 3 members: %s", (is, match) => {
    expect(holds({ kind: "room_member_count", is }, {})).toBe(match);
  });

  it.each([
    ["Mr. Me", "hello mr. me!", true],
    ["Mr. Me", "hello mr. meat", false],
    ["*", "hello", false],
    ["", "hello", false],
    [null, "hello", false],
  ])("contains_display_name %j in %j: %s", (displayName, body, match) => {
    expect(holds({ kind: "contains_display_name" }, { body }, { displayName })).toBe(match);
  });

  it("matches nothing for conditions that are malformed or unknown", () => {
    for (const condition of [
      {},
      { kind: "event_match" },
      { kind: "event_property_is", key: "type", value: {} },
      { kind: "future" },
    ]) {
      expect(holds(condition, { body: "x" })).toBe(false);
    }
  });

  it("looks at the body only where it is text", () => {
    expect(holds({ kind: "event_match", key: "content.body", pattern: "*" }, { body: 5 })).toBe(false);
    expect(holds({ kind: "event_match", key: "content.body", pattern: "*" }, {})).toBe(false);
    expect(holds({ kind: "event_match", key: "room_id", pattern: room.roomId }, {})).toBe(true);
  });
});
