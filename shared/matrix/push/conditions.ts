import { field, type JsonObject, type JsonValue, stringField } from "../../json.ts";
import type { PowerLevels } from "../content/power-levels.ts";
import type { MatrixEvent } from "../event.ts";
import { compileGlob, type Glob, literalPattern, matchesGlob, matchesGlobInWords } from "../glob.ts";
import { parsePropertyPath, propertyAt } from "../property-path.ts";

/** What conditions ask about the room and the user beside the event. */
export interface PushContext {
  /** The user whose rules are asked. */
  readonly userId: string;
  /** Their display name in the room; null when they have none. */
  readonly displayName: string | null;
  /** Joined members of the room. */
  readonly memberCount: number;
  /** Power levels in the state at the event. */
  readonly levels: PowerLevels;
}

/** A compiled condition. */
export type Condition = (event: PushEvent, context: PushContext) => boolean;

const bodyPath = "content.body";

/** An event as conditions look at it: properties by path, and the body in lower case, made once. */
export class PushEvent {
  readonly sender: string;
  readonly roomId: string;
  readonly #properties: JsonObject;
  #lowerBody: string | null = null;

  constructor(event: MatrixEvent) {
    this.sender = event.sender;
    this.roomId = event.roomId;
    this.#properties = {
      type: event.type,
      sender: event.sender,
      room_id: event.roomId,
      event_id: event.eventId,
      origin_server_ts: event.originServerTs,
      content: event.content,
    };
    if (event.stateKey !== null) this.#properties.state_key = event.stateKey;
  }

  at(path: readonly string[]): JsonValue | undefined {
    return propertyAt(this.#properties, path);
  }

  /** The body in lower case; empty when there is none that is text. */
  get lowerBody(): string {
    if (this.#lowerBody === null) {
      const body = this.at(["content", "body"]);
      this.#lowerBody = typeof body === "string" ? body.toLowerCase() : "";
    }
    return this.#lowerBody;
  }
}

const never: Condition = () => false;

/**
 * Compiles a condition. "Unrecognised conditions MUST NOT match any events", and neither do malformed ones.
 * @see https://spec.matrix.org/v1.19/client-server-api/#conditions-1
 */
export function compileCondition(condition: JsonObject): Condition {
  switch (stringField(condition, "kind")) {
    case "event_match":
      return compileEventMatch(stringField(condition, "key"), stringField(condition, "pattern"));
    case "event_property_is":
      return compilePropertyIs(stringField(condition, "key"), field(condition, "value"));
    case "event_property_contains":
      return compilePropertyContains(stringField(condition, "key"), field(condition, "value"));
    case "contains_display_name":
      return containsDisplayName;
    case "room_member_count":
      return compileMemberCount(stringField(condition, "is"));
    case "sender_notification_permission":
      return compileNotificationPermission(stringField(condition, "key"));
    default:
      return never;
  }
}

/** "This is a glob pattern match on a property of the event", over the whole value, or within the words of the body. */
function compileEventMatch(key: string | null, pattern: string | null): Condition {
  if (key === null || pattern === null) return never;
  if (key === bodyPath) return bodyMatches(pattern);
  const path = parsePropertyPath(key);
  const glob = compileGlob(pattern.toLowerCase());
  return (event) => {
    const value = event.at(path);
    return typeof value === "string" && matchesGlob(glob, value.toLowerCase());
  };
}

/** Whether the body has the pattern between word boundaries; also what a `content` rule asks. */
export function bodyMatches(pattern: string): Condition {
  const glob = compileGlob(pattern.toLowerCase());
  return (event) => isInBody(glob, event);
}

function isInBody(glob: Glob, event: PushEvent): boolean {
  return typeof event.at(["content", "body"]) === "string" && matchesGlobInWords(glob, event.lowerBody);
}

/** "This is an exact value match on a property of the event." */
function compilePropertyIs(key: string | null, value: JsonValue | undefined): Condition {
  if (key === null || !isSimple(value)) return never;
  const path = parsePropertyPath(key);
  return (event) => event.at(path) === value;
}

/** "This matches if an array property of an event exactly contains a value." */
function compilePropertyContains(key: string | null, value: JsonValue | undefined): Condition {
  if (key === null || !isSimple(value)) return never;
  const path = parsePropertyPath(key);
  return (event) => {
    const list = event.at(path);
    return Array.isArray(list) && list.includes(value);
  };
}

/** "only supports non-compound canonical JSON values" */
function isSimple(value: JsonValue | undefined): value is string | number | boolean | null {
  return value !== undefined && (value === null || typeof value !== "object");
}

/** "This matches messages where content.body contains the owner's display name in that room." */
function containsDisplayName(event: PushEvent, context: PushContext): boolean {
  if (context.displayName === null || context.displayName === "") return false;
  return isInBody(literalPattern(context.displayName.toLowerCase()), event);
}

/** "A decimal integer optionally prefixed by one of, ==, <, >, >= or <=." */
function compileMemberCount(is: string | null): Condition {
  const match = is === null ? null : /^(==|<=|>=|<|>)?([0-9]{1,15})$/.exec(is);
  if (match === null) return never;
  const bound = Number(match[2]);
  switch (match[1]) {
    case "<":
      return (_, { memberCount }) => memberCount < bound;
    case ">":
      return (_, { memberCount }) => memberCount > bound;
    case "<=":
      return (_, { memberCount }) => memberCount <= bound;
    case ">=":
      return (_, { memberCount }) => memberCount >= bound;
    default:
      return (_, { memberCount }) => memberCount === bound;
  }
}

/** "ensuring the sender of the event has high enough power to trigger the notification" */
function compileNotificationPermission(key: string | null): Condition {
  if (key === null) return never;
  return (event, { levels }) => levels.ofUser(event.sender) >= levels.toNotify(key);
}
