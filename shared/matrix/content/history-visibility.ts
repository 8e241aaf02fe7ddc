import { type JsonObject, stringField } from "../../json.ts";

/** Who may read a room's past. @see https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility */
export type HistoryVisibility = "world_readable" | "shared" | "invited" | "joined";

const visibilities: readonly HistoryVisibility[] = ["world_readable", "shared", "invited", "joined"];

/**
 * The history visibility by its event's content: "if no history_visibility is set, or if the value is not understood, the
 * visibility is assumed to be shared".
 *
 * @param content null when the state has no such event.
 * @see https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
 */
export function historyVisibilityOf(content: JsonObject | null): HistoryVisibility {
  const text = content === null ? null : stringField(content, "history_visibility");
  return visibilities.find((visibility) => visibility === text) ?? "shared";
}
