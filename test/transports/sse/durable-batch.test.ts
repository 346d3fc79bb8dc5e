import { describe, expect, it } from 'vitest'
import { type DurableBatch, durableReader } from '../../../transports/sse/durable-batch.ts'

const control = (data: unknown) => durableReader.read('control', JSON.stringify(data), undefined) as DurableBatch

describe('a control event of a durable stream', () => {
  it('says where the stream goes on, by texts: a server that counts may say numbers', () => {
    const said = { streamNextOffset: '01_5', streamCursor: 'c' }
    expect(control(said)).toMatchObject({ next: '01_5', cursor: 'c', isUpToDate: false })
    expect(control({ streamNextOffset: 7, streamCursor: 9, upToDate: true })).toMatchObject({
      next: '7',
      cursor: '9',
      isUpToDate: true,
    })
  })

  it.each([null, {}, { streamNextOffset: null }, { streamNextOffset: { a: 1 } }, { streamNextOffset: true }, 5, []])(
    'that says %j says nothing of it',
    (data) => expect(control(data)).toMatchObject({ next: undefined, cursor: undefined }),
  )
})
