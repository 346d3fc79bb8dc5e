import openapiTS, { astToString } from 'openapi-typescript'
import { forTypes } from 'polywire/openapi'
import { describe, expect, it } from 'vitest'

const event = {
  type: 'object',
  properties: { event: { const: 'done' }, data: { contentSchema: { type: 'integer' }, type: 'string' } },
}
const notify = {
  '{$request.body#/url}': {
    post: {
      requestBody: { content: { 'application/json': { schema: { type: 'boolean' } } } },
      responses: { 200: { description: '' } },
    },
  },
}
const document = {
  openapi: '3.2.0',
  info: { title: 't', version: '1' },
  paths: {
    '/runs': {
      get: { responses: { 200: { description: '', content: { 'text/event-stream': { itemSchema: event } } } } },
      post: { operationId: 'start', callbacks: { notify }, responses: { 202: { description: '' } } },
    },
  },
}

const flat = (text: string) => text.replace(/\s+/g, ' ')
const typesOf = async (given: object) => flat(astToString(await openapiTS(forTypes(given) as never, { silent: true })))

describe('forTypes()', () => {
  it('puts the items of streams, and what is in their data, where the generator finds them', async () => {
    expect(await typesOf(document)).toContain(
      '"text/event-stream": { /** @constant */ event?: "done"; data?: number; };',
    )
  })

  it('gives callbacks as webhooks of their names', async () => {
    expect(await typesOf(document)).toMatch(/webhooks \{ notify: \{ .*"application\/json": boolean;/)
  })

  it('tells callbacks of one name apart by their operations, and leaves webhooks and the document as they are', () => {
    const hooks = { notify: { get: { responses: {} } } }
    const given = { ...document, webhooks: hooks }
    const before = JSON.stringify(given)
    const { webhooks } = forTypes(given) as { webhooks: Record<string, object> }
    expect(Object.keys(webhooks)).toEqual(['notify', 'start.notify'])
    expect(webhooks.notify).toEqual(hooks.notify)
    expect(JSON.stringify(given)).toBe(before)
  })

  it('takes callbacks of the components, too', () => {
    const given = { openapi: '3.0.0', components: { callbacks: { paid: notify } } }
    expect(forTypes(given)).toHaveProperty('webhooks.paid.post')
  })
})
