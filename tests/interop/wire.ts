import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** The one way to a server from the outside. It can be cut, and mended. */
export interface Wire {
  /** Where the others believe the server to be. */
  readonly port: number;
  /** Where the server really listens. */
  leadTo(port: number): void;
  /** Ends every connection and takes no new one. */
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

/** Lays a wire on a free port of the loopback address. It carries bytes and does not understand them. */
export async function layWire(): Promise<Wire> {
  const open = new Set<Socket>();
  let target: number | null = null;
  let isCut = false;
  const server = createServer((near) => {
    if (isCut || target === null) {
      near.destroy();
      return;
    }
    const far = connect(target, "127.0.0.1");
    join(near, far, open);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cut = () => {
    isCut = true;
    for (const socket of open) socket.destroy();
  };
  return {
    port: address.port,
    leadTo: (port) => {
      target = port;
    },
    cut,
    mend: () => {
      isCut = false;
    },
    close: async () => {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}

/** Whatever ends one of the two ends the other. */
function join(near: Socket, far: Socket, open: Set<Socket>): void {
  for (const [socket, other] of [
    [near, far],
    [far, near],
  ] as const) {
    open.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => other.destroy());
    socket.on("close", () => {
      open.delete(socket);
      other.destroy();
    });
    socket.pipe(other);
  }
}
