import type { ServerName } from "../../ids.ts";
import type { PowerLevels } from "../content/power-levels.ts";
import type { EventDraft, MatrixEvent, StateLookup } from "../event.ts";
import type { RoomVersionRules } from "../room-version.ts";
import { type RuleName, ruleNumber } from "./rule-numbers.ts";

/** What the authorization rules say of an event; `rule` is the number of the rule that decided, e.g. "5.3.1". */
export type AuthDecision =
  | { readonly allowed: true; readonly rule: string }
  | { readonly allowed: false; readonly rule: string; readonly reason: string };

/** What the rules ask about, gathered once for an event. */
export interface AuthContext {
  readonly event: EventDraft;
  readonly rules: RoomVersionRules;
  readonly state: StateLookup;
  readonly create: MatrixEvent;
  readonly levels: PowerLevels;
  /** Whether a server has validly signed the event. */
  readonly isSignedBy: (server: ServerName) => boolean;
}

/** Allowed, by this rule. */
export function allow(name: RuleName, rules: RoomVersionRules): AuthDecision {
  return { allowed: true, rule: ruleNumber(name, rules) };
}

/** Refused by this rule. `reason` is shown to the person whose event it is. */
export function reject(name: RuleName, rules: RoomVersionRules, reason: string): AuthDecision {
  return { allowed: false, rule: ruleNumber(name, rules), reason };
}
