/** Does `work` for each item, at most `max` at the same time. @returns the results, in the items' order. */
export async function inParallel<Item, Result>(
  items: readonly Item[],
  max: number,
  work: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const takeFromQueue = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(max, items.length) }, takeFromQueue));
  return results;
}
