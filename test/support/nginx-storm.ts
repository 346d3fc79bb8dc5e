import { seeded } from './seeded.ts'
import type { Nginx } from './servers/nginx.ts'

/** What befalls a gateway, `rounds` times in an order that the seed decides, while numbers from 1 on are published. */
export async function storm(
  nginx: Nginx,
  { seed, rounds, publish }: { seed: number; rounds: number; publish: (n: number) => unknown },
): Promise<number> {
  const random = seeded(seed)
  let n = 0
  const some = () => {
    for (let left = Math.floor(random() * 10); left > 0; left--) publish(++n)
  }
  for (let round = 0; round < rounds; round++) {
    some()
    if (random() < 0.5) {
      const reloaded = nginx.reload()
      some()
      await reloaded
    } else {
      await nginx.stop()
      some()
      await nginx.restart()
    }
    some()
  }
  publish(++n)
  return n
}
