import type { Contact } from "../../shared/rpc/server-peer.ts";
import { noteAnswered, noteUnanswered } from "./contact.ts";
import type { ServerContext } from "./context.ts";
import { noteAlive } from "./outbox.ts";
import { storeRoute } from "./route.ts";

/** What came of asking the server: of one that answers again, what waits for it is tried now. */
export function noteContact(server: ServerContext, { isAnswered, requests }: Contact): void {
  if (!isAnswered) {
    noteUnanswered(server, requests);
    return;
  }
  storeRoute(server);
  noteAlive(server);
  noteAnswered(server);
}
