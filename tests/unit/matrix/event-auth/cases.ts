import type { UserId } from "../../../../shared/ids.ts";
import type { JsonObject } from "../../../../shared/json.ts";
import type { AuthDecision } from "../../../../shared/matrix/event-auth/decision.ts";
import type { RuleName } from "../../../../shared/matrix/event-auth/rule-numbers.ts";
import type { NewEvent } from "../../../support/room-builder.ts";
import { decide, scene } from "./scene.ts";

/** A decision in a room of the version; null when no rule decided. */
export type Decide = (version: string) => AuthDecision | null;

/** For one rule: cases that it decides, and a near miss that it leaves to another rule. */
export interface RuleCases {
  readonly rule: RuleName;
  readonly allows?: Decide;
  readonly rejects?: Decide;
  readonly spares: Decide;
}

export type SceneOptions = Parameters<typeof scene>[1];

/** A decision about a new event in the usual scene. */
export function on(event: NewEvent, options: SceneOptions = {}): Decide {
  return (version) => decide(scene(version, options), event);
}

/** A member event of the sender, or on another. */
export function member(
  sender: UserId,
  membership: string,
  target: string = sender,
  content: JsonObject = {},
): NewEvent {
  return { sender, type: "m.room.member", stateKey: target, content: { membership, ...content } };
}

/** A message. */
export function message(sender: UserId): NewEvent {
  return { sender, type: "m.room.message", content: { body: "x" } };
}
