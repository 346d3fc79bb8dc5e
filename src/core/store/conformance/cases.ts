import type { Store, StoreWrite } from '../store.ts'
import { type Case, equal, listenTo, listOf, pagesOf, put, race, read, show } from './checks.ts'

/** So long lives what ends; long enough for a store across a network to look at it before. */
const lifeMs = 1000
const listed: StoreWrite = { isListed: true }

/** Texts that a column, a collation, a pattern or an encoding may take for another. */
const texts = [
  '',
  ' ',
  'a',
  'A',
  'a ',
  'ä',
  'a\u0308',
  'ß',
  'ss',
  '日本語',
  '😀',
  'null',
  '0',
  '%',
  '_',
  '\\',
  `'";--`,
  'a\nb\t',
  '[*]?',
]

/** All of them; `storeConformance` chooses. */
export const cases: readonly Case[] = [
  {
    name: 'sets, gets and deletes',
    async run({ store, root }) {
      const key = `${root}a`
      equal(await read(store, key), undefined, 'get() of what is not there')
      await store.set(key, '1')
      await store.set(key, '2')
      equal(await read(store, key), '2', 'get() after two set()')
      equal(await store.delete(key), true, 'delete() of what is there')
      equal(await store.delete(key), false, 'delete() of what is not there')
      equal(await read(store, key), undefined, 'get() after delete()')
    },
  },
  {
    name: 'adds only what is not there',
    async run({ store, root }) {
      const key = `${root}a`
      equal(await store.add(key, '1'), true, 'add() of what is not there')
      equal(await store.add(key, '2'), false, 'add() of what is there')
      equal(await store.add(key, '1'), false, 'add() of the very value that is there')
      equal(await read(store, key), '1', 'get() after that')
    },
  },
  {
    name: 'compares before it sets',
    async run({ store, root }) {
      const key = `${root}a`
      equal(await store.compareAndSet(key, '', '1'), false, "compareAndSet() from '' of what is not there")
      equal(await read(store, key), undefined, 'get() after that')
      await store.set(key, '1')
      equal(await store.compareAndSet(key, '2', '3'), false, 'compareAndSet() from another value')
      equal(await store.compareAndSet(key, '1', '1'), true, 'compareAndSet() to the same value')
      equal(await store.compareAndSet(key, '1', '2'), true, 'compareAndSet() from the value that is there')
      equal(await store.compareAndSet(key, '1', '2'), false, 'the same again, as after an answer that was lost')
      equal(await read(store, key), '2', 'get() after that')
    },
  },
  {
    name: 'deletes only the value that it is told',
    async run({ store, root }) {
      const key = `${root}a`
      equal(await store.delete(key, { ifValue: '1' }), false, 'delete({ ifValue }) of what is not there')
      await store.set(key, '1')
      equal(await store.delete(key, { ifValue: '2' }), false, 'delete({ ifValue }) of another value')
      equal(await store.delete(key, { ifValue: '' }), false, "delete({ ifValue: '' }) of another value")
      equal(await read(store, key), '1', 'get() after that')
      equal(await store.delete(key, { ifValue: '1' }), true, 'delete({ ifValue }) of the value that is there')
      equal(await read(store, key), undefined, 'get() after that')
    },
  },
  {
    name: 'takes every text, as a key and as a value, for itself alone',
    async run({ store, root }) {
      for (const text of texts) equal(await store.add(`${root}${text}`, text), true, `add() under ${show(text)}`)
      for (const text of texts) {
        equal(await read(store, `${root}${text}`), text, `get() of ${show(text)}`)
        for (const other of texts)
          if (other !== text)
            equal(
              await store.compareAndSet(`${root}${text}`, other, 'wrong'),
              false,
              `${show(text)} is not ${show(other)}: compareAndSet()`,
            )
        equal(await store.delete(`${root}${text}`, { ifValue: text }), true, `delete({ ifValue: ${show(text)} })`)
      }
    },
  },
  {
    name: 'compares a value of 1 MiB to its last letter',
    async run({ store, root }) {
      const key = `${root}long`
      const long = 'ä😀 long, '.repeat(2 ** 16).slice(0, 2 ** 20 - 1)
      equal(await store.add(key, `${long}1`), true, 'add()')
      equal(await store.compareAndSet(key, `${long}2`, 'x'), false, 'compareAndSet() from one that ends otherwise')
      equal(await store.compareAndSet(key, long, 'x'), false, 'compareAndSet() from one that ends earlier')
      equal(await store.compareAndSet(key, `${long}1`, `${long}3`), true, 'compareAndSet() from the one that is there')
      equal((await read(store, key)) === `${long}3`, true, 'get() gives what was set')
      equal(await store.delete(key, { ifValue: `${long}1` }), false, 'delete({ ifValue }) of the old one')
      equal(await store.delete(key, { ifValue: `${long}3` }), true, 'delete({ ifValue }) of the new one')
    },
  },
  {
    name: 'has one winner of 50 who add, who change and who delete',
    async run({ stores, root }) {
      const key = `${root}race`
      await race(stores, 'add()', (store, me) => store.add(key, me))
      const first = (await read(stores[0] as Store, key)) ?? ''
      const winner = await race(stores, 'compareAndSet()', (store, me) => store.compareAndSet(key, first, `then ${me}`))
      equal(await read(stores[0] as Store, key), `then ${winner}`, 'get(): the value of the one who was told true')
      await race(stores, 'delete({ ifValue })', (store) => store.delete(key, { ifValue: `then ${winner}` }))
      await race(stores, 'add() after that', (store, me) => store.add(key, me))
      await race(stores, 'delete()', (store) => store.delete(key))
    },
  },
  {
    name: 'counts to 100 by ten who compare and set',
    async run({ stores, root }) {
      const key = `${root}counter`
      await (stores[0] as Store).set(key, '0')
      await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const store = stores[index % stores.length] as Store
          for (let left = 10, tries = 0; left > 0; tries++) {
            if (tries === 2000)
              throw new Error('compareAndSet() from the value that get() gave is false time and again')
            const old = (await read(store, key)) ?? ''
            if (await store.compareAndSet(key, old, String(Number(old) + 1))) left--
          }
        }),
      )
      equal(await read(stores[0] as Store, key), '100', 'the counter')
    },
  },
  {
    name: 'keeps an entry as long as its last write says',
    async run({ store, root, wait }) {
      const short: StoreWrite = { ttlMs: lifeMs }
      for (const name of ['gone', 'kept', 'renewed', 'changed']) await store.set(root + name, '1', short)
      await store.set(`${root}fraction`, '1', { ttlMs: lifeMs + 0.5 })
      equal(await store.add(`${root}added`, '1', short), true, 'add() with an end')
      await store.set(`${root}never`, '1')
      equal(await read(store, `${root}gone`), '1', 'get() before the end')
      equal(await store.add(`${root}gone`, '2'), false, 'add() before the end')
      await store.set(`${root}kept`, '1')
      await store.set(`${root}renewed`, '1', { ttlMs: 600_000 })
      equal(await store.compareAndSet(`${root}changed`, '1', '2'), true, 'compareAndSet() before the end')
      await wait(lifeMs + 100)
      for (const name of ['gone', 'added', 'fraction'])
        equal(await read(store, root + name), undefined, `get() of '${name}' after its end`)
      for (const [name, value] of [
        ['kept', '1'],
        ['renewed', '1'],
        ['changed', '2'],
        ['never', '1'],
      ] as const)
        equal(await read(store, root + name), value, `get() of '${name}', which a later write keeps longer`)
    },
  },
  {
    name: 'treats an entry whose time is over as if it were not there',
    async run({ store, stores, root, wait }) {
      const key = (name: string): string => `${root}${name}`
      for (const name of ['a', 'b', 'c', 'd']) await store.set(key(name), '1', { ttlMs: lifeMs })
      await wait(lifeMs + 100)
      equal(await store.compareAndSet(key('a'), '1', '2'), false, 'compareAndSet() of what is over')
      equal(await store.delete(key('b'), { ifValue: '1' }), false, 'delete({ ifValue }) of what is over')
      equal(await store.delete(key('c')), false, 'delete() of what is over')
      const winner = await race(stores, 'add() of what is over', (each, me) => each.add(key('d'), me))
      equal(await read(store, key('d')), winner, 'get(): the value of the one who was told true')
      await store.set(key('e'), '1')
      await store.set(key('e'), '2', { ttlMs: 0 })
      equal(await read(store, key('e')), undefined, 'get() of what was set to live for no time')
    },
  },
  {
    name: 'lists what stands under a prefix, by key and in pages',
    needs: 'list',
    async run({ store, root, wait }) {
      const list = listOf(store)
      const names = [...texts, ...Array.from({ length: 30 }, (_, n) => `many ${n}`)]
      for (const name of names) await store.set(`${root}_%/${name}`, `of ${name}`, listed)
      for (const name of ['_x/1', '_%', '_%0', 'a%/1', '_%?']) await store.set(root + name, 'other', listed)
      for (let n = 0; n < 10; n++) await store.set(`${root}_%/many ${n} short`, 'x', { isListed: true, ttlMs: lifeMs })
      await store.add(`${root}_%/added`, 'of added', listed)
      await store.set(`${root}_%/deleted`, 'x', listed)
      await store.delete(`${root}_%/deleted`)
      await wait(lifeMs + 100)
      equal((await list(`${root}nothing`)).length, 0, 'entries under a prefix that nobody has')
      for (const limit of [1, 7, 1000]) {
        const found = await pagesOf(store, `${root}_%/`, limit)
        const keys = found.map(({ key }) => key.slice(root.length + 3))
        equal([...keys].sort().join(), [...names, 'added'].sort().join(), `keys in pages of ${limit}`)
        const wrong = found.find(({ key, value }) => value !== `of ${key.slice(root.length + 3)}`)
        equal(wrong?.key, undefined, 'an entry with the value of another')
      }
      const all = (await list(`${root}_%/`, { limit: 1000 })).map(({ key }) => key)
      const third = all[2]
      const behind = (await list(`${root}_%/`, { after: third, limit: 2 })).map(({ key }) => key)
      equal(behind.join(), all.slice(3, 5).join(), 'the two behind the third')
    },
  },
  {
    name: 'lists what stands throughout once, while others write',
    needs: 'list',
    async run({ store, stores, root }) {
      const standing = Array.from({ length: 60 }, (_, n) => `${root}standing ${String(n).padStart(2, '0')}`)
      for (const key of standing) await store.set(key, 'stands', listed)
      let isOver = false
      const writers = stores.map(async (each, index) => {
        for (let n = 0; !isOver; n++) {
          const key = `${root}${n % 2 ? 'a' : 'z'} ${index} ${n % 20}`
          if (await each.add(key, 'comes', listed)) await each.compareAndSet(key, 'comes', 'goes', listed)
          await each.delete(key)
          // A store that answers at once lets nobody else in.
          await new Promise((done) => setTimeout(done))
        }
      })
      try {
        for (let round = 0; round < 5; round++) {
          const found = (await pagesOf(store, root, 7)).map(({ key }) => key).filter((key) => standing.includes(key))
          equal(found.join(), standing.join(), 'those that stand throughout')
        }
      } finally {
        isOver = true
        await Promise.all(writers)
      }
    },
  },
  {
    name: 'tells those who listen to a topic, and nobody else',
    needs: 'listen',
    async run({ store, stores, root }) {
      const heard: string[] = []
      const wrong: string[] = []
      const ends = stores.map((each, index) => listenTo(each, `${root}t`, (words) => heard.push(`${index} ${words}`)))
      ends.push(listenTo(store, `${root}other`, (words) => wrong.push(words)))
      const left = listenTo(store, `${root}t`, (words) => wrong.push(words))
      // Who listens may begin a little later: it is told until everybody has heard.
      const hearAll = async (words: string): Promise<void> => {
        for (let tries = 0; !stores.every((_, index) => heard.includes(`${index} ${words}`)); tries++) {
          if (tries === 200) throw new Error(`not everybody has heard what was told: ${heard.join()}`)
          await store.tell?.(`${root}t`, words)
          await new Promise((done) => setTimeout(done, 10))
        }
      }
      left()
      await hearAll('first')
      await hearAll('ä😀')
      for (const end of ends) end()
      equal(wrong.join(), '', 'what was heard under another topic, or after the end')
    },
  },
  {
    name: 'loses and doubles no write whose answer was lost',
    needs: 'interrupt',
    async run({ store, root, interrupt }) {
      const key = `${root}log`
      await put(() => store.set(key, ''))
      const tokens = Array.from({ length: 20 }, (_, n) => `<${n}>`)
      let written = 0
      const append = async (token: string): Promise<void> => {
        for (;;) {
          const old = await put(() => read(store, key))
          // Whatever the answer was: a text that holds the token was written by its owner.
          if (old?.includes(token)) return
          const isDone = await Promise.resolve(store.compareAndSet(key, old ?? '', `${old}${token}`)).catch(() => false)
          if (isDone && ++written % 5 === 0) void interrupt(store)
        }
      }
      await Promise.all(tokens.map(append))
      const log = (await put(() => read(store, key))) ?? ''
      equal(log.length, tokens.join('').length, 'letters written')
      for (const token of tokens) equal(log.split(token).length - 1, 1, `times that ${token} was written`)
    },
  },
]
