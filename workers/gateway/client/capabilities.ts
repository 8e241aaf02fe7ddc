import { endpoint } from "../../../shared/endpoint.ts";
import { supportedRoomVersions } from "../../../shared/matrix/room-version.ts";

/** `GET /_matrix/client/v3/capabilities` — https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3capabilities */
export const getCapabilities = endpoint(
  {
    operationId: "getCapabilities",
    method: "GET",
    path: "/_matrix/client/v3/capabilities",
    aliases: ["/_matrix/client/r0/capabilities"],
    auth: "accessToken",
  },
  ({ config }) => ({
    capabilities: {
      "m.change_password": { enabled: true },
      "m.room_versions": {
        default: config.defaultRoomVersion,
        available: Object.fromEntries(supportedRoomVersions.map((version) => [version, "stable"])),
      },
      "m.profile_fields": { enabled: true },
      "m.set_displayname": { enabled: true },
      "m.set_avatar_url": { enabled: true },
      "m.3pid_changes": { enabled: false },
      "m.get_login_token": { enabled: false },
      "m.forget_forced_upon_leave": { enabled: false },
    },
  }),
);
