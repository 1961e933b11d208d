// The process that store-kill.test.ts kills: commits numbered batches, many in flight, and prints a
// number once its synced commit has resolved. Argument: the store's directory.
import { composeKey, openLevelStore, u64Bytes } from "@whither/store";

const [path] = process.argv.slice(2);
if (path === undefined) throw new TypeError("expected the store's directory");
const store = await openLevelStore({ path });

const counterKey = composeKey(0);
const counter = store.get(counterKey);
let next =
  counter === undefined
    ? 0
    : Number(new DataView(counter.buffer, counter.byteOffset).getBigUint64(0)) + 1;

async function writer(): Promise<never> {
  for (;;) {
    const number = next++;
    const id = u64Bytes(BigInt(number));
    // Two rows that must come and stay together, large enough that LevelDB rolls its files over.
    const body = new Uint8Array(2048 + (number % 7) * 512).fill(number & 0xff);
    const puts = [
      [composeKey(1, id), body],
      [composeKey(2, id), u64Bytes(BigInt(body.length))],
      [counterKey, id],
    ] as const;
    await store.commit({ puts, deletes: [] }, { sync: true });
    process.stdout.write(`${number}\n`);
  }
}

process.stdout.write("open\n");
await Promise.all(Array.from({ length: 16 }, writer));
