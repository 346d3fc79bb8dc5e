/** Answers of graphql 17.1.0 to documents with `@defer` and `@stream`, recorded: in the form of 2022, and in that since 2023. */
export interface RecordedAnswer {
  readonly name: string
  readonly document: string
  /** By `legacyExecuteIncrementally`: patches have paths. */
  readonly of2022: readonly unknown[]
  /** By `experimentalExecuteIncrementally`: patches have ids, which were announced. */
  readonly of2023: readonly unknown[]
}

export const recordedAnswers: readonly RecordedAnswer[] = [
  {
    name: 'defer',
    document: '{ order { id ... @defer(label: "slow") { slow total } } }',
    of2022: [
      { data: { order: { id: 'o1' } }, hasNext: true },
      { hasNext: false, incremental: [{ data: { slow: 'slow', total: 7 }, path: ['order'], label: 'slow' }] },
    ],
    of2023: [
      { data: { order: { id: 'o1' } }, pending: [{ id: '0', path: ['order'], label: 'slow' }], hasNext: true },
      { hasNext: false, incremental: [{ id: '0', data: { slow: 'slow', total: 7 } }], completed: [{ id: '0' }] },
    ],
  },
  {
    name: 'nested',
    document:
      '{ order { id ... @defer(label: "owner") { owner { name ... @defer(label: "address") { address { city zip } } } } } }',
    of2022: [
      { data: { order: { id: 'o1' } }, hasNext: true },
      { hasNext: true, incremental: [{ data: { owner: { name: 'Ada' } }, path: ['order'], label: 'owner' }] },
      {
        hasNext: false,
        incremental: [{ data: { address: { city: 'Paris', zip: '75' } }, path: ['order', 'owner'], label: 'address' }],
      },
    ],
    of2023: [
      { data: { order: { id: 'o1' } }, pending: [{ id: '0', path: ['order'], label: 'owner' }], hasNext: true },
      {
        hasNext: true,
        pending: [{ id: '1', path: ['order', 'owner'], label: 'address' }],
        incremental: [{ id: '0', data: { owner: { name: 'Ada' } } }],
        completed: [{ id: '0' }],
      },
      {
        hasNext: false,
        incremental: [{ id: '1', data: { address: { city: 'Paris', zip: '75' } } }],
        completed: [{ id: '1' }],
      },
    ],
  },
  {
    name: 'overlap',
    document:
      '{ order { owner { address { city } } ... @defer(label: "a") { owner { name address { zip } } } ... @defer(label: "b") { owner { name } total } } }',
    of2022: [
      { data: { order: { owner: { address: { city: 'Paris' } } } }, hasNext: true },
      { hasNext: true, incremental: [{ data: { owner: { name: 'Ada' }, total: 7 }, path: ['order'], label: 'b' }] },
      {
        hasNext: false,
        incremental: [{ data: { owner: { name: 'Ada', address: { zip: '75' } } }, path: ['order'], label: 'a' }],
      },
    ],
    of2023: [
      {
        data: { order: { owner: { address: { city: 'Paris' } } } },
        pending: [
          { id: '0', path: ['order'], label: 'a' },
          { id: '1', path: ['order'], label: 'b' },
        ],
        hasNext: true,
      },
      {
        hasNext: true,
        incremental: [
          { id: '1', data: { name: 'Ada' }, subPath: ['owner'] },
          { id: '1', data: { total: 7 } },
        ],
        completed: [{ id: '1' }],
      },
      {
        hasNext: false,
        incremental: [{ id: '0', data: { zip: '75' }, subPath: ['owner', 'address'] }],
        completed: [{ id: '0' }],
      },
    ],
  },
  {
    name: 'stream',
    document: '{ order { id items @stream(initialCount: 1, label: "items") { name price } } }',
    of2022: [
      { data: { order: { id: 'o1', items: [{ name: 'a', price: 1 }] } }, hasNext: true },
      {
        hasNext: true,
        incremental: [{ items: [{ name: 'b', price: 1 }], path: ['order', 'items', 1], label: 'items' }],
      },
      {
        hasNext: false,
        incremental: [{ items: [{ name: 'c', price: 1 }], path: ['order', 'items', 2], label: 'items' }],
      },
    ],
    of2023: [
      {
        data: { order: { id: 'o1', items: [{ name: 'a', price: 1 }] } },
        pending: [{ id: '0', path: ['order', 'items'], label: 'items' }],
        hasNext: true,
      },
      { hasNext: true, incremental: [{ id: '0', items: [{ name: 'b', price: 1 }] }] },
      { hasNext: false, incremental: [{ id: '0', items: [{ name: 'c', price: 1 }] }], completed: [{ id: '0' }] },
    ],
  },
  {
    name: 'failed',
    document: '{ order { id ... @defer(label: "bad") { bad total } ... @defer(label: "ok") { slow } } }',
    of2022: [
      { data: { order: { id: 'o1' } }, hasNext: true },
      {
        hasNext: true,
        incremental: [
          { data: null, path: ['order'], errors: [{ message: 'it broke', path: ['order', 'bad'] }], label: 'bad' },
        ],
      },
      { hasNext: false, incremental: [{ data: { slow: 'slow' }, path: ['order'], label: 'ok' }] },
    ],
    of2023: [
      {
        data: { order: { id: 'o1' } },
        pending: [
          { id: '0', path: ['order'], label: 'bad' },
          { id: '1', path: ['order'], label: 'ok' },
        ],
        hasNext: true,
      },
      { hasNext: true, completed: [{ id: '0', errors: [{ message: 'it broke', path: ['order', 'bad'] }] }] },
      { hasNext: false, incremental: [{ id: '1', data: { slow: 'slow' } }], completed: [{ id: '1' }] },
    ],
  },
  {
    name: 'streamFailed',
    document: '{ order { id items @stream(initialCount: 0) { name note } } }',
    of2022: [
      { data: { order: { id: 'o1', items: [] } }, hasNext: true },
      { hasNext: true, incremental: [{ items: [{ name: 'a', note: 'n-a' }], path: ['order', 'items', 0] }] },
      {
        hasNext: false,
        incremental: [
          {
            items: null,
            path: ['order', 'items'],
            errors: [{ message: 'no note of b', path: ['order', 'items', 1, 'note'] }],
          },
        ],
      },
    ],
    of2023: [
      { data: { order: { id: 'o1', items: [] } }, pending: [{ id: '0', path: ['order', 'items'] }], hasNext: true },
      { hasNext: true, incremental: [{ id: '0', items: [{ name: 'a', note: 'n-a' }] }] },
      {
        hasNext: false,
        completed: [{ id: '0', errors: [{ message: 'no note of b', path: ['order', 'items', 1, 'note'] }] }],
      },
    ],
  },
  {
    name: 'both',
    document: '{ order { ... @defer { items @stream(initialCount: 1) { name } slow } } }',
    of2022: [
      { data: { order: {} }, hasNext: true },
      { hasNext: true, incremental: [{ data: { items: [{ name: 'a' }], slow: 'slow' }, path: ['order'] }] },
      { hasNext: true, incremental: [{ items: [{ name: 'b' }], path: ['order', 'items', 1] }] },
      { hasNext: false, incremental: [{ items: [{ name: 'c' }], path: ['order', 'items', 2] }] },
    ],
    of2023: [
      { data: { order: {} }, pending: [{ id: '0', path: ['order'] }], hasNext: true },
      {
        hasNext: true,
        pending: [{ id: '1', path: ['order', 'items'] }],
        incremental: [{ id: '0', data: { items: [{ name: 'a' }], slow: 'slow' } }],
        completed: [{ id: '0' }],
      },
      { hasNext: true, incremental: [{ id: '1', items: [{ name: 'b' }] }] },
      { hasNext: false, incremental: [{ id: '1', items: [{ name: 'c' }] }], completed: [{ id: '1' }] },
    ],
  },
  {
    name: 'off',
    document: 'query Q($d: Boolean = false) { order { id ... @defer(if: $d) { slow } } }',
    of2022: [{ data: { order: { id: 'o1', slow: 'slow' } } }],
    of2023: [{ data: { order: { id: 'o1', slow: 'slow' } } }],
  },
]
