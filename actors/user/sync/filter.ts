import { errors, MatrixError } from "../../../shared/errors.ts";
import { field, isObject, type JsonObject, type JsonValue, objectField } from "../../../shared/json.ts";
import { parseJson } from "../../../shared/json-text.ts";
import {
  type EventFilter,
  matchesEventFilter,
  maxFilterBytes,
  parseSyncFilter,
  type SyncFilter,
  selectFields,
} from "../../../shared/matrix/filter.ts";
import type { UserContext } from "../context.ts";

/** The filter of one request, parsed, beside the `room` part as the client gave it: that is for the rooms. */
export interface RequestFilter extends SyncFilter {
  readonly roomJson: JsonObject | null;
}

/**
 * The filter that the `filter` parameter names or holds.
 * @throws MatrixError M_INVALID_PARAM when it is neither a filter nor the id of one of this user's.
 * @see https://spec.matrix.org/v1.19/client-server-api/#filtering
 */
export function resolveFilter(user: UserContext, parameter: string | null): RequestFilter {
  const json = parameter === null || parameter === "" ? {} : filterNamed(user, parameter);
  const parsed = parseSyncFilter(json);
  if (!parsed.ok) throw errors.invalidParam(`filter: ${parsed.reason}`);
  return { ...parsed.filter, roomJson: objectField(json, "room") };
}

function filterNamed(user: UserContext, parameter: string): JsonObject {
  if (parameter.startsWith("{")) return parseInline(parameter);
  const filter = /^\d{1,15}$/.test(parameter) ? user.store.filters.find(Number(parameter)) : null;
  if (filter === null) throw errors.invalidParam("No such filter");
  return filter;
}

function parseInline(text: string): JsonObject {
  if (new TextEncoder().encode(text).length > maxFilterBytes) {
    throw errors.invalidParam(`A filter may have at most ${maxFilterBytes} bytes`);
  }
  const filter = parseFilterJson(text);
  if (!isObject(filter)) throw errors.invalidParam("filter is not a JSON object");
  return filter;
}

function parseFilterJson(text: string): JsonValue {
  try {
    return parseJson(text);
  } catch (thrown) {
    if (thrown instanceof MatrixError) throw errors.invalidParam(`filter: ${thrown.message}`);
    throw thrown;
  }
}

/** Applies a filter to account data. */
export function filterAccountData(
  filter: EventFilter,
  events: readonly { type: string; content: JsonObject }[],
): JsonObject[] {
  const kept = events.filter((event) => matchesEventFilter(filter, { ...event, sender: null }));
  return filter.limit === null ? kept : kept.slice(0, filter.limit);
}

/** Where a room's section holds lists of events. */
const eventLists = ["timeline", "state", "state_after", "ephemeral", "account_data"] as const;

/** Keeps, of each event of a room's section, the fields that the filter names. */
export function selectSectionFields(section: JsonObject, fields: SyncFilter["eventFields"]): JsonObject {
  if (fields === null) return section;
  const selected: JsonObject = { ...section };
  for (const name of eventLists) {
    const list = objectField(section, name);
    const events = list === null ? undefined : field(list, "events");
    if (list === null || !Array.isArray(events)) continue;
    selected[name] = {
      ...list,
      events: events.map((event) => (isObject(event) ? selectFields(event, fields) : event)),
    };
  }
  return selected;
}
