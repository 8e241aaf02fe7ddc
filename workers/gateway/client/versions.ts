import { endpoint } from "../../../shared/endpoint.ts";

/**
 * What the spec's versions are claimed of. Clients take a version as a promise of all that it brought: v1.3 brought
 * relations and v1.4 thread lists, which do not exist here yet. What does exist of later versions is named below, by the
 * flags that clients look for; endpoints of later versions are found at the paths of their proposals, too, where clients
 * look for them that miss the version.
 */
const versions = ["v1.1", "v1.2"];

const unstableFeatures = {
  // Private read receipts, and receipts of threads with their unread counts.
  "org.matrix.msc2285.stable": true,
  "org.matrix.msc3771": true,
  "org.matrix.msc3773": true,
  // Mentions by `m.mentions` in the default push rules.
  "org.matrix.msc3952_intentional_mentions": true,
  // Public rooms by their type, as spaces.
  "org.matrix.msc3827.stable": true,
  // The wish to get no invites.
  "org.matrix.msc4380.stable": true,
  // Profile fields of any name, at the spec's own path.
  "uk.tcpip.msc4133.stable": true,
};

/** `GET /_matrix/client/versions` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions */
export const getVersions = endpoint(
  { operationId: "getVersions", method: "GET", path: "/_matrix/client/versions", auth: "none" },
  () => ({ versions, unstable_features: unstableFeatures }),
);
