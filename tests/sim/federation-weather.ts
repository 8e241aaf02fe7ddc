/** Cuts links, one way or both, and takes servers down, for a while each. */
import type { Network } from "./federation-network.ts";
import type { Random } from "./random.ts";

export class Weather {
  readonly #network: Network;
  readonly #random: Random;
  readonly #roughness: number;
  #isOver = false;

  constructor(network: Network, random: Random) {
    this.#network = network;
    this.#random = random;
    this.#roughness = random.pick([0, 0.3, 0.7, 1]);
  }

  async run(): Promise<void> {
    const { scheduler } = this.#network;
    while (!this.#isOver) {
      await scheduler.sleep("the weather changes", this.#random.int(500, 20_000));
      if (this.#isOver || !this.#random.chance(this.#roughness)) continue;
      if (this.#random.chance(0.2)) this.#takeDown();
      else this.#cut();
    }
  }

  stop(): void {
    this.#isOver = true;
  }

  #cut(): void {
    const { cuts, scheduler } = this.#network;
    const [from, to] = this.#pair();
    const isOneWay = this.#random.chance(0.4);
    const links = isOneWay ? [`${from}>${to}`] : [`${from}>${to}`, `${to}>${from}`];
    scheduler.note(`cut ${links.join(" ")}`);
    for (const link of links) cuts.add(link);
    scheduler.post(`mend ${links.join(" ")}`, this.#duration(), () => {
      for (const link of links) cuts.delete(link);
    });
  }

  #takeDown(): void {
    const server = this.#random.pick([...this.#network.servers.values()]);
    if (server.isDown) return;
    this.#network.scheduler.note(`${server.name} goes down`);
    server.shutDown();
    this.#network.scheduler.post(`${server.name} is up again`, this.#duration(), () => {
      if (server.isDown) server.startUp();
    });
  }

  #pair(): [string, string] {
    const names = [...this.#network.servers.keys()];
    const from = this.#random.pick(names);
    return [from, this.#random.pick(names.filter((name) => name !== from))];
  }

  #duration(): number {
    return this.#random.chance(0.2) ? this.#random.int(60_000, 1_200_000) : this.#random.int(500, 30_000);
  }
}
