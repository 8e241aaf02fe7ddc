import { errors } from "../../shared/errors.ts";
import type { JsonObject } from "../../shared/json.ts";
import { canonicalJson, checkCanonical } from "../../shared/matrix/canonical-json.ts";
import { maxFilterBytes, parseSyncFilter } from "../../shared/matrix/filter.ts";
import type { UserContext } from "./context.ts";

/** Filters that are kept, the newest; clients upload one each time they start. */
const keptFilters = 1_000;

/**
 * Stores a filter. The same filter gets the same id.
 *
 * @throws MatrixError M_BAD_JSON for what is not a filter, M_TOO_LARGE
 * @see https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3useruseridfilter
 */
export function createFilter(user: UserContext, filter: JsonObject): { filterId: string } {
  const parsed = parseSyncFilter(filter);
  if (!parsed.ok) throw errors.badJson(parsed.reason);
  const checked = checkCanonical(filter, "lenient");
  if (!checked.ok) throw errors.badJson(checked.reason);
  const json = canonicalJson(filter, [], "lenient");
  if (new TextEncoder().encode(json).length > maxFilterBytes) {
    throw errors.tooLarge(`A filter may have at most ${maxFilterBytes} bytes`);
  }
  const filterId = user.store.transaction((tx) => {
    const known = tx.filters.findId(json);
    if (known !== null) return known;
    const id = tx.filters.insert(json);
    tx.filters.trim(keptFilters);
    return id;
  });
  return { filterId: String(filterId) };
}

/**
 * @throws MatrixError M_NOT_FOUND
 * @see https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3useruseridfilterfilterid
 */
export function getFilter(user: UserContext, filterId: string): JsonObject {
  const filter = /^\d{1,15}$/.test(filterId) ? user.store.filters.find(Number(filterId)) : null;
  if (filter === null) throw errors.notFound("No such filter");
  return filter;
}
