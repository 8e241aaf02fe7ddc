import { stringField } from "../../shared/json.ts";
import { writeDirectoryUser } from "../directory/users.ts";
import type { UserContext } from "./context.ts";

/** Writes the user's row of the user directory; a deactivated user is not found any more. */
export async function writeDirectoryRow(user: UserContext): Promise<void> {
  const position = user.store.accounts.profileVersion();
  if (position === 0) return;
  const profile = user.store.accounts.findProfile();
  await writeDirectoryUser(user.directory, {
    userId: user.userId,
    isActive: profile !== null,
    displayName: profile === null ? null : stringField(profile.fields, "displayname"),
    avatarUrl: profile === null ? null : stringField(profile.fields, "avatar_url"),
    position,
  });
}
